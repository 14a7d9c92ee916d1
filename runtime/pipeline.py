"""From frames to predictions: the one loop behind every command that runs a model."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from models.card import ModelCard
from models.errors import SourceError, UsageError
from models.spec import ClipSpec
from runtime.decode import check_decoding, top_labels
from runtime.preprocess import Preparation
from runtime.records import Clip, Frame, Latency, Prediction
from runtime.sampling import (
    DENSE_SPAN,
    ClipSampler,
    FrameInterval,
    WindowSpec,
    dense_frames,
    segment_frames,
)
from runtime.session import Session
from runtime.sources import FrameSource, open_source
from runtime.views import Views

WholeSampling = Literal["uniform", "dense"]
"""How clips are cut out of a whole file: one of all of it, or ten that follow each other."""

DENSE_VIEWS: Views = 3
"""Views of each clip of dense testing."""


def classify_windows(
    source: FrameSource,
    session: Session,
    card: ModelCard,
    *,
    window: WindowSpec,
    top_k: int,
    threshold: float,
    views: Views = 1,
    on_frame: Callable[[Frame], None] | None = None,
) -> Iterator[Prediction]:
    """Classify every window of a source, each as soon as it is over.

    Every frame is resized and cropped once, when it arrives; what waits for its window is only
    the small crop (with several views, the resized picture). Overlapping windows share those.

    Args:
        source: Read to its end (a live one until it is closed or fails); not closed.
        session: The model; not closed.
        card: Its card.
        window: Length and stride of the windows.
        top_k: Classes per prediction at most.
        threshold: Least probable class that is reported.
        views: Views per window; the engine runs once for each, and the logits are averaged.
        on_frame: Called with every original frame, after the predictions that the frame
            completed were handed out; the time it takes is in no latency.

    Yields:
        Predictions in the order of the windows.

    Raises:
        UsageError: `top_k` or `threshold` is out of range.
        SourceError: The source failed.
        BackendError: The engine failed, or its result does not fit the card.
    """
    check_decoding(top_k=top_k, threshold=threshold)
    sampler = ClipSampler(window, card.clip.frames, rule=card.clip.segment_frame)
    preparation = Preparation(clip=card.clip, views=views)
    stage = _Stage(
        session=session, card=card, preparation=preparation, top_k=top_k, threshold=threshold
    )
    spent = _Spent()
    for frame in source:
        clips = sampler.push(spent.prepared(frame, preparation))
        for clip in clips:
            yield stage.predict((clip,), spent, source)
        spent.newest_arrived_s = frame.arrived_s
        if on_frame is not None:
            on_frame(frame)
    for clip in sampler.finish():
        yield stage.predict((clip,), spent, source)


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
    stage = _Stage(
        session=session, card=card, preparation=preparation, top_k=top_k, threshold=threshold
    )
    spent = _Spent()
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
    return stage.predict(tuple(reading.clip(chosen) for chosen in positions), spent, source)


@dataclass(slots=True, kw_only=True)
class _Spent:
    """Time spent on the frames since the last prediction, in milliseconds."""

    decode_ms: float = 0.0
    preprocess_ms: float = 0.0
    newest_arrived_s: float = 0.0

    def prepared(self, frame: Frame, preparation: Preparation) -> Frame:
        """The same frame with what is kept of it instead of the full picture."""
        started_s = time.perf_counter()
        small = replace(frame, picture=preparation.kept(frame.picture))
        self.preprocess_ms += _since_ms(started_s)
        self.decode_ms += frame.decode_ms
        return small

    def taken(self) -> tuple[float, float]:
        """Decode and preprocess time, which then start from 0 again."""
        result = self.decode_ms, self.preprocess_ms
        self.decode_ms = self.preprocess_ms = 0.0
        return result


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stage:
    """The model with all that is needed to turn prepared frames into a prediction."""

    session: Session
    card: ModelCard
    preparation: Preparation
    top_k: int
    threshold: float

    def predict(self, clips: Sequence[Clip], spent: _Spent, source: FrameSource) -> Prediction:
        """Normalise, infer, average, decode.

        Args:
            clips: Clips of one window, which they all name; their frames hold what is kept.
            spent: Time spent so far on the frames.
            source: Where they come from.
        """
        outputs: list[NDArray[np.float32]] = []
        normalise_ms = infer_ms = 0.0
        for clip in clips:
            started_s = time.perf_counter()
            for tensor in self.preparation.tensors([frame.picture for frame in clip.frames]):
                normalise_ms += _since_ms(started_s)
                started_s = time.perf_counter()
                outputs.append(self.session.run(tensor)[0])
                infer_ms += _since_ms(started_s)
                started_s = time.perf_counter()
        logits = np.asarray(np.mean(outputs, axis=0, dtype=np.float64))
        top = top_labels(
            logits,
            self.card.labels,
            top_k=self.top_k,
            threshold=self.threshold,
            output=self.card.output,
        )
        decode_ms, preprocess_ms = spent.taken()
        age_ms = (time.monotonic() - spent.newest_arrived_s) * 1000.0
        return Prediction(
            index=clips[0].index,
            start_s=clips[0].start_s,
            end_s=clips[0].end_s,
            top=top,
            latency=Latency(
                decode_ms=decode_ms,
                preprocess_ms=preprocess_ms + normalise_ms,
                infer_ms=infer_ms,
            ),
            frame_age_ms=age_ms if source.live else None,
            dropped=source.dropped if source.live else None,
        )


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
    source: FrameSource, wanted: frozenset[int], preparation: Preparation, spent: _Spent
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


def _since_ms(started_s: float) -> float:
    return (time.perf_counter() - started_s) * 1000.0
