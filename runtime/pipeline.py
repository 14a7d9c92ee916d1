"""From frames to predictions: the one loop behind every command that classifies windows."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace

from runtime.clip_classifier import Decoding, TimeSpent
from runtime.feed import Arrival, Feed, FrameWatch, Sampler, Stream, open_feed
from runtime.preprocess import Preparation
from runtime.records import Clip, Frame, Latency, Prediction
from runtime.stream_model import StreamModel

__all__ = ["FrameWatch", "Sampler", "Stream", "classify_streams"]


def classify_streams(
    streams: Sequence[Stream],
    model: StreamModel,
    decoding: Decoding,
    *,
    preparation: Preparation,
    watch: FrameWatch | None = None,
) -> Iterator[Prediction]:
    """Classify every window of one or several sources, each as soon as it is over.

    Every frame that is needed is resized and cropped once, when it arrives; what waits for its
    window is only the small crop (with several views, the resized picture). Overlapping windows
    share those.

    Of several sources, one window each is computed as one batch: files wait for one another, and
    nobody waits for a live source.

    Args:
        streams: Sources, read to their ends (a live one until it is closed or fails); not
            closed. Close the iterator before them.
        model: The model; not closed.
        decoding: How its scores become predictions.
        preparation: What is kept of the frames.
        watch: Somebody else who looks at the frames; the time it takes is in no latency.

    Yields:
        Predictions, of each source in the order of its windows.

    Raises:
        SourceError: A source failed.
        BackendError: The engine failed, or its result does not fit the card.
    """
    lanes = [_Lane(stream, watch) for stream in streams]
    with open_feed(streams, preparation, watch) as feed:
        while batch := _next_batch(lanes, feed):
            yield from _predictions(batch, lanes, model, decoding)
            for number, lane in enumerate(lanes):
                lane.show(number)


class _Lane:
    """Where a stream is: its clips that wait for a batch, and what the loop knows of it."""

    def __init__(self, stream: Stream, watch: FrameWatch | None) -> None:
        self.source = stream.source
        self.clips: deque[Clip] = deque()
        self.spent = TimeSpent()
        self.ended = False
        self._sampler = stream.sampler
        self._watch = watch
        self._unshown: list[Frame] = []

    def arrived(self, arrival: Arrival) -> None:
        """Take a frame, or the end."""
        if arrival.ended:
            self.ended = True
            self.clips.extend(self._sampler.finish())
            return
        self.spent.decode_ms += arrival.decode_ms
        self.spent.preprocess_ms += arrival.preprocess_ms
        if arrival.small is not None:
            self.clips.extend(self._sampler.push(arrival.small))
        if arrival.frame is not None:
            self._unshown.append(arrival.frame)
        self.show(arrival.stream)

    def show(self, number: int) -> None:
        """Show the frames that came, unless clips which they completed still wait."""
        if self.clips or self._watch is None:
            return
        frames, self._unshown = self._unshown, []
        for frame in frames:
            self._watch.on_frame(frame, number)


def _next_batch(lanes: Sequence[_Lane], feed: Feed) -> list[tuple[int, Clip]]:
    """A clip of every stream that has one; empty when all have ended.

    A file that has none yet is waited for. A live source is not, except when there is nothing
    else to do.
    """
    while True:
        lacking = [number for number, lane in enumerate(lanes) if not (lane.clips or lane.ended)]
        idle = not any(lane.clips for lane in lanes)
        wait = idle or any(not lanes[number].source.live for number in lacking)
        arrival = feed.take(lacking, wait=wait) if lacking else None
        if arrival is None:
            return [
                (number, lane.clips.popleft()) for number, lane in enumerate(lanes) if lane.clips
            ]
        lanes[arrival.stream].arrived(arrival)


def _predictions(
    batch: Sequence[tuple[int, Clip]],
    lanes: Sequence[_Lane],
    model: StreamModel,
    decoding: Decoding,
) -> Iterator[Prediction]:
    """Normalise, infer, decode; the time of the batch is that of each of its clips."""
    scores = model.scores(batch)
    for (number, clip), values in zip(batch, scores.values, strict=True):
        lane = lanes[number]
        decode_ms, preprocess_ms = lane.spent.taken()
        latency = Latency(
            decode_ms=decode_ms,
            preprocess_ms=preprocess_ms + scores.normalise_ms,
            infer_ms=scores.infer_ms,
        )
        prediction = decoding.prediction(clip, values, latency, lane.source)
        yield replace(prediction, stream=number, batch=len(batch), reused=scores.reused)
