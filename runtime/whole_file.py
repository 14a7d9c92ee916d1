"""Classify a whole file at once, with the frames that PaddleVideo would take of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from models.card import ModelCard
from models.errors import SourceError, UsageError
from models.spec import ClipSpec
from runtime.clip_classifier import ClipClassifier, TimeSpent
from runtime.decode import check_decoding
from runtime.preprocess import Preparation
from runtime.records import Clip, Frame, Prediction
from runtime.sampling import DENSE_SPAN, FrameInterval, dense_frames, segment_frames
from runtime.session import Session
from runtime.sources import FrameSource, open_source
from runtime.views import Views

WholeSampling = Literal["uniform", "dense"]
"""How clips are cut out of a whole file: one of all of it, or ten that follow each other."""

DENSE_VIEWS: Views = 3
"""Views of each clip of dense testing."""


def classify_whole(
    source_uri: str,
    session: Session,
    card: ModelCard,
    *,
    top_k: int,
    threshold: float,
    views: Views = 1,
    sampling: WholeSampling = "uniform",
) -> Prediction:
    """Classify a whole file, with exactly the frames and views that PaddleVideo would take.

    `uniform` is one clip in any number of views; `dense` is ten clips in three views each.
    The engine runs once for each, one clip at a time, and the logits are averaged: what a
    classifier that is linear after the mean over all frames and views computes.

    The frames depend on their number, which a container may state wrongly. So the stated number
    is used as a guess while the frames are counted; if the count proves it wrong and other
    frames are needed, the file is read a second time. Never more frames are kept than are used:
    T, or 10 * T of `dense`.

    Args:
        source_uri: A source that can be opened twice: a file, or "demo".
        session: The model; not closed.
        card: Its card.
        top_k: Classes at most.
        threshold: Least probable class that is reported.
        views: Views of the one clip of `uniform`; `dense` has its own.
        sampling: Which frames are taken.

    Returns:
        One prediction, from the first frame to the end of the last.

    Raises:
        UsageError: The source is live, an option is out of range, or the model takes more frames
            than a clip of `dense` is long.
        SourceError: The file cannot be used, or changed between the two readings.
        BackendError: The engine failed, or its result does not fit the card.
    """
    check_decoding(top_k=top_k, threshold=threshold)
    if sampling == "dense" and card.clip.frames > DENSE_SPAN:
        raise UsageError(
            f"Dense sampling takes clips of {DENSE_SPAN} frames of the video, and {card.name}"
            f" wants {card.clip.frames} frames.",
            hint="--sampling uniform",
        )
    preparation = Preparation(clip=card.clip, views=DENSE_VIEWS if sampling == "dense" else views)
    classifier = ClipClassifier(
        session=session, card=card, preparation=preparation, top_k=top_k, threshold=threshold
    )
    spent = TimeSpent()
    with open_source(source_uri) as source:
        if source.live:
            raise UsageError(
                f"{sampling.capitalize()} sampling needs a file, and {source.description} has"
                " no end.",
                hint="Classify it window by window: --window 2 --stride 1",
            )
        guess = _positions(_stated_frames(source), card.clip, sampling)
        reading = _read_whole(source, _used(guess), preparation, spent)
        if reading.total == 0:
            raise SourceError(f"{source.description} holds no frame.")
    positions = _positions(reading.total, card.clip, sampling)
    needed = _used(positions)
    if not reading.kept.keys() >= needed:
        counted = reading.total
        with open_source(source_uri) as source:
            reading = _read_whole(source, needed, preparation, spent)
        if reading.total != counted:
            raise SourceError(
                f"{source_uri} had {counted} frames when read first, then {reading.total}:"
                " it changes while it is read.",
                hint="Wait until the file is complete.",
            )
    return classifier.predict(tuple(reading.clip(chosen) for chosen in positions), spent, source)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reading:
    """What one reading of a whole file found.

    Attributes:
        kept: Prepared frames by their position.
        total: Number of frames.
        start_s: Time of the first frame.
        end_s: End of the last frame, one frame interval after its time.
    """

    kept: dict[int, Frame]
    total: int
    start_s: float
    end_s: float

    def clip(self, positions: Sequence[int]) -> Clip:
        """The clip of the frames at these positions, all of them kept."""
        return Clip(
            frames=tuple(self.kept[position] for position in positions),
            start_s=self.start_s,
            end_s=self.end_s,
            available=self.total,
            index=0,
        )


def _read_whole(
    source: FrameSource, wanted: frozenset[int], preparation: Preparation, spent: TimeSpent
) -> _Reading:
    """Count all frames, and keep those at the wanted positions."""
    kept: dict[int, Frame] = {}
    interval = FrameInterval()
    total, start_s, last_s = 0, 0.0, 0.0
    for frame in source:
        if total in wanted:
            kept[total] = spent.prepared(frame, preparation)
        else:
            spent.decode_ms += frame.decode_ms
        start_s = frame.time_s if total == 0 else start_s
        last_s = frame.time_s
        interval.push(last_s)
        total += 1
    return _Reading(kept=kept, total=total, start_s=start_s, end_s=last_s + interval.seconds)


def _stated_frames(source: FrameSource) -> int:
    """Number of frames if the container's length and frame rate are right; 0 when unknown."""
    if source.duration_s is None or source.fps is None:
        return 0
    return round(source.duration_s * source.fps)


def _positions(
    available: int, clip: ClipSpec, sampling: WholeSampling
) -> tuple[tuple[int, ...], ...]:
    """Positions of the frames of every clip cut out of a file; none for an empty file."""
    if available < 1:
        return ()
    if sampling == "dense":
        return dense_frames(available, clip.frames)
    return (segment_frames(available, clip.frames, rule=clip.segment_frame),)


def _used(clips: tuple[tuple[int, ...], ...]) -> frozenset[int]:
    return frozenset(position for clip in clips for position in clip)
