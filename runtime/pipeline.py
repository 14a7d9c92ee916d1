"""From frames to predictions: the one loop behind every command that runs a model."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace

from models.card import ModelCard
from models.errors import SourceError, UsageError
from models.spec import ClipSpec
from runtime.decode import check_decoding, top_labels
from runtime.preprocess import clip_tensor, prepare
from runtime.records import Clip, Frame, Latency, Prediction
from runtime.sampling import ClipSampler, FrameInterval, WindowSpec, segment_centres
from runtime.session import Session
from runtime.sources import FrameSource, open_source


def classify_windows(
    source: FrameSource,
    session: Session,
    card: ModelCard,
    *,
    window: WindowSpec,
    top_k: int,
    threshold: float,
    on_frame: Callable[[Frame], None] | None = None,
) -> Iterator[Prediction]:
    """Classify every window of a source, each as soon as it is over.

    Every frame is resized and cropped once, when it arrives; what waits for its window is only
    the small crop. Overlapping windows share those crops.

    Args:
        source: Read to its end (a live one until it is closed or fails); not closed.
        session: The model; not closed.
        card: Its card.
        window: Length and stride of the windows.
        top_k: Classes per prediction at most.
        threshold: Least probable class that is reported.
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
    sampler = ClipSampler(window, card.clip.frames)
    stage = _Stage(session=session, card=card, top_k=top_k, threshold=threshold)
    spent = _Spent()
    for frame in source:
        clips = sampler.push(spent.prepared(frame, card.clip))
        for clip in clips:
            yield stage.predict(clip, spent, source)
        spent.newest_arrived_s = frame.arrived_s
        if on_frame is not None:
            on_frame(frame)
    for clip in sampler.finish():
        yield stage.predict(clip, spent, source)


def classify_whole(
    source_uri: str, session: Session, card: ModelCard, *, top_k: int, threshold: float
) -> Prediction:
    """Classify a file as one clip, with exactly the frames that PaddleVideo would take.

    Those depend on the number of frames, which a container may state wrongly. So the stated
    number is used as a guess while the frames are counted; if the count proves it wrong and
    other frames are needed, the file is read a second time. Never more than T frames are kept.

    Args:
        source_uri: A source that can be opened twice: a file, or "demo".
        session: The model; not closed.
        card: Its card.
        top_k: Classes at most.
        threshold: Least probable class that is reported.

    Returns:
        One prediction, from the first frame to the end of the last.

    Raises:
        UsageError: The source is live, or an option is out of range.
        SourceError: The file cannot be used, or changed between the two readings.
        BackendError: The engine failed, or its result does not fit the card.
    """
    check_decoding(top_k=top_k, threshold=threshold)
    stage = _Stage(session=session, card=card, top_k=top_k, threshold=threshold)
    spent = _Spent()
    with open_source(source_uri) as source:
        if source.live:
            raise UsageError(
                f"Uniform sampling needs a file, and {source.description} has no end.",
                hint="Classify it window by window: --window 2 --stride 1",
            )
        reading = _read_whole(source, _guessed_centres(source, card.clip), card.clip, spent)
        if reading.total == 0:
            raise SourceError(f"{source.description} holds no frame.")
    needed = segment_centres(reading.total, card.clip.frames)
    if not reading.kept.keys() >= set(needed):
        counted = reading.total
        with open_source(source_uri) as source:
            reading = _read_whole(source, needed, card.clip, spent)
        if reading.total != counted:
            raise SourceError(
                f"{source_uri} had {counted} frames when read first, then {reading.total}:"
                " it changes while it is read.",
                hint="Wait until the file is complete.",
            )
    clip = Clip(
        frames=tuple(reading.kept[index] for index in needed),
        start_s=reading.start_s,
        end_s=reading.end_s,
        available=reading.total,
        index=0,
    )
    return stage.predict(clip, spent, source)


@dataclass(slots=True, kw_only=True)
class _Spent:
    """Time spent on the frames since the last prediction, in milliseconds."""

    decode_ms: float = 0.0
    preprocess_ms: float = 0.0
    newest_arrived_s: float = 0.0

    def prepared(self, frame: Frame, clip: ClipSpec) -> Frame:
        """The same frame with its prepared crop instead of the full picture."""
        started_s = time.perf_counter()
        small = replace(frame, picture=prepare(frame.picture, clip))
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
    """The model with all that is needed to turn a clip of prepared frames into a prediction."""

    session: Session
    card: ModelCard
    top_k: int
    threshold: float

    def predict(self, clip: Clip, spent: _Spent, source: FrameSource) -> Prediction:
        """Normalise, infer, decode; the frames of `clip` hold prepared pictures."""
        started_s = time.perf_counter()
        tensor = clip_tensor([frame.picture for frame in clip.frames], self.card.clip)
        normalise_ms = _since_ms(started_s)
        started_s = time.perf_counter()
        logits = self.session.run(tensor)
        infer_ms = _since_ms(started_s)
        top = top_labels(logits[0], self.card.labels, top_k=self.top_k, threshold=self.threshold)
        decode_ms, preprocess_ms = spent.taken()
        age_ms = (time.monotonic() - spent.newest_arrived_s) * 1000.0
        return Prediction(
            index=clip.index,
            start_s=clip.start_s,
            end_s=clip.end_s,
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


def _read_whole(
    source: FrameSource, wanted: Collection[int], clip: ClipSpec, spent: _Spent
) -> _Reading:
    """Count all frames, and keep those at the wanted positions."""
    kept: dict[int, Frame] = {}
    interval = FrameInterval()
    total, start_s, last_s = 0, 0.0, 0.0
    positions = frozenset(wanted)
    for frame in source:
        if total in positions:
            kept[total] = spent.prepared(frame, clip)
        else:
            spent.decode_ms += frame.decode_ms
        start_s = frame.time_s if total == 0 else start_s
        last_s = frame.time_s
        interval.push(last_s)
        total += 1
    return _Reading(kept=kept, total=total, start_s=start_s, end_s=last_s + interval.seconds)


def _guessed_centres(source: FrameSource, clip: ClipSpec) -> tuple[int, ...]:
    """Positions to keep if the container's length and frame rate are right."""
    if source.duration_s is None or source.fps is None:
        return ()
    stated = round(source.duration_s * source.fps)
    return segment_centres(stated, clip.frames) if stated > 0 else ()


def _since_ms(started_s: float) -> float:
    return (time.perf_counter() - started_s) * 1000.0
