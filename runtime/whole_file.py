"""Classify a whole file at once, with the frames that PaddleVideo would take of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from models.card import ModelCard
from models.errors import SourceError, UsageError
from models.spec import ClipSpec
from runtime.clip_classifier import ClipClassifier, TimeSpent
from runtime.decode import check_decoding
from runtime.elapsed import since_ms
from runtime.preprocess import Preparation
from runtime.records import Clip, Frame, Prediction
from runtime.sampling import DENSE_SPAN, FrameInterval, dense_frames, segment_frames
from runtime.session import Session
from runtime.sources import FrameSource, chosen_frames, only_frames, open_source
from runtime.views import Views

WholeSampling = Literal["uniform", "dense"]
"""How clips are cut out of a whole file: one of all of it, or ten that follow each other."""

Positions = Callable[[int], tuple[tuple[int, ...], ...]]
"""Positions of the frames of every clip that is cut out of a file of so many frames."""

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

    Where the packets of a file are its frames, they are counted, and only what the chosen frames
    refer to is decoded. Any other file is read through. Then the number of frames that its
    container states, which may be wrong, is used as a guess while they are counted; if the count
    proves it wrong and other frames are needed, the file is read a second time. Either way the
    frames are the same, and never more of them are kept than are used: T, or 10 * T of `dense`.

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
    clips, spent = clips_of(source_uri, preparation, sampling=sampling)
    return classifier.predict(clips, spent)


def clips_of(
    source_uri: str, preparation: Preparation, *, sampling: WholeSampling = "uniform"
) -> tuple[tuple[Clip, ...], TimeSpent]:
    """Read a whole file: what `classify_whole` does before the model runs.

    Args:
        source_uri: A source that can be opened twice.
        preparation: What is kept of its frames.
        sampling: Which frames are taken.

    Returns:
        The clips, which all name the time of the whole file, and the time it took.

    Raises:
        UsageError: The source is live.
        SourceError: The file cannot be used, or changed between the two readings.
    """
    positions = partial(_positions, clip=preparation.clip, sampling=sampling)
    spent = TimeSpent()
    reading = _chosen(source_uri, positions, preparation, spent)
    if reading is None:
        spent = TimeSpent()
        reading = _read_through(source_uri, sampling, positions, preparation, spent)
    return tuple(reading.clip(chosen) for chosen in positions(reading.total)), spent


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


def _chosen(
    uri: str, positions: Positions, preparation: Preparation, spent: TimeSpent
) -> _Reading | None:
    """The reading of a file that is decoded only where it is needed; None if it has to be whole."""
    started_s = time.perf_counter()
    chosen = chosen_frames(uri, lambda total: _used(positions(total)))
    if chosen is None:
        return None
    spent.decode_ms += since_ms(started_s)
    with chosen:
        kept = {frame.index: spent.prepared(frame, preparation) for frame in chosen.frames()}
    if not chosen.complete:
        return None
    interval = FrameInterval()
    for time_s in chosen.times_s:
        interval.push(time_s)
    return _Reading(
        kept=kept,
        total=chosen.total,
        start_s=chosen.times_s[0],
        end_s=chosen.times_s[-1] + interval.seconds,
    )


def _read_through(
    uri: str,
    sampling: WholeSampling,
    positions: Positions,
    preparation: Preparation,
    spent: TimeSpent,
) -> _Reading:
    """The reading of a source that is decoded as a whole, twice if it states a wrong length."""
    with open_source(uri) as source:
        if source.live:
            raise UsageError(
                f"{sampling.capitalize()} sampling needs a file, and {source.description} has"
                " no end.",
                hint="Classify it window by window: --window 2 --stride 1",
            )
        guess = _used(positions(_stated_frames(source)))
        reading = _read_whole(source, guess, preparation, spent)
        if reading.total == 0:
            raise SourceError(f"{source.description} holds no frame.")
    needed = _used(positions(reading.total))
    if reading.kept.keys() >= needed:
        return reading
    counted = reading.total
    with open_source(uri) as source:
        reading = _read_whole(source, needed, preparation, spent)
    if reading.total != counted:
        raise SourceError(
            f"{uri} had {counted} frames when read first, then {reading.total}:"
            " it changes while it is read.",
            hint="Wait until the file is complete.",
        )
    return reading


def _read_whole(
    source: FrameSource, needed: frozenset[int], preparation: Preparation, spent: TimeSpent
) -> _Reading:
    """Count all frames, and keep those at the needed positions."""
    kept: dict[int, Frame] = {}
    times_s: list[float] = []

    def wanted(time_s: float) -> bool:
        times_s.append(time_s)
        return len(times_s) - 1 in needed

    started_s, before_ms = time.perf_counter(), spent.preprocess_ms
    decode_ms = spent.decode_ms
    for frame in only_frames(source.frames(wanted)):
        if frame.file is not None:
            raise UsageError(
                f"Classifying whole videos takes one at a time, and {source.description}.",
                hint="edgecls eval --clips FOLDER, or window by window: --sampling sliding",
            )
        kept[frame.index] = spent.prepared(frame, preparation)
    # Decoding goes on beside preparing, and behind the last needed frame: what counts is the wait.
    spent.decode_ms = decode_ms + since_ms(started_s) - (spent.preprocess_ms - before_ms)
    interval = FrameInterval()
    for time_s in times_s:
        interval.push(time_s)
    return _Reading(
        kept=kept,
        total=len(times_s),
        start_s=times_s[0] if times_s else 0.0,
        end_s=times_s[-1] + interval.seconds if times_s else 0.0,
    )


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
