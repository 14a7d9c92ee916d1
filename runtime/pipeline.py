"""From frames to predictions: the one loop behind every command that classifies windows."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace

from models.errors import SourceError
from runtime.clip_classifier import Decoding, TimeSpent
from runtime.feed import Arrival, Feed, FrameWatch, Sampler, Stream, open_feed
from runtime.preprocess import Preparation
from runtime.records import Clip, Frame, Latency, Prediction, SourceEvent
from runtime.stream_model import StreamModel

__all__ = ["FrameWatch", "Sampler", "Stream", "classify_streams"]


def classify_streams(
    streams: Sequence[Stream],
    model: StreamModel,
    decoding: Decoding,
    *,
    preparation: Preparation,
    watch: FrameWatch | None = None,
) -> Generator[Prediction, None, None]:
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
        watch: Somebody else who looks at the frames and hears of what befalls the sources; the
            time it takes is in no latency.

    Yields:
        Predictions, of each source in the order of its windows.

    Raises:
        SourceError: A source failed: at once if it never gave anything, which somebody has to
            mend; otherwise when all others have ended.
        BackendError: The engine failed, or its result does not fit the card.
    """
    lanes = [_Lane(stream, number, watch or _NOBODY) for number, stream in enumerate(streams)]
    with open_feed(streams, preparation, watch) as feed:
        while batch := _next_batch(lanes, feed):
            yield from _predictions(batch, lanes, model, decoding)
            for lane in lanes:
                lane.show()
    for lane in lanes:
        if lane.failure is not None:
            raise lane.failure


_NOBODY = FrameWatch(on_frame=lambda frame, stream: None)


class _Lane:
    """Where a stream is: its clips that wait for a batch, and what the loop knows of it."""

    def __init__(self, stream: Stream, number: int, watch: FrameWatch) -> None:
        self.source = stream.source
        self.clips: deque[Clip] = deque()
        self.spent = TimeSpent()
        self.ended = False
        self.failure: SourceError | None = None
        self.dropped: int | None = None
        self._sampler, self._turns = stream.sampler, stream.turns
        self._account = stream.account
        self._number = number
        self._watch = watch
        self._untold: list[Frame | SourceEvent] = []
        self._begun = self._silent = False
        self._newest_s = 0.0

    @property
    def stopped(self) -> bool:
        """Whether it is time to end, finished or not."""
        return self._watch.stopped()

    @property
    def awaited(self) -> bool:
        """Whether others wait for its next window: its source is not live, and not silent."""
        return not (self.source.live or self._silent)

    def arrived(self, arrival: Arrival) -> None:
        """Take a frame, an event, or the end.

        Raises:
            SourceError: The source failed before it gave anything.
        """
        if arrival.ended:
            self._end(arrival)
        elif arrival.event is not None:
            self._begun = True
            self._silent = not arrival.event.delivers
            if self._turns is not None and arrival.event.begins_video:
                self.clips.extend(self._turns.begin())
            self._untold.append(arrival.event)
        else:
            self._begun = True
            self._silent = False
            self._frame(arrival)
        self.show()

    def show(self) -> None:
        """Tell of frames and events that came, unless clips which they completed still wait."""
        if self.clips:
            return
        untold, self._untold = self._untold, []
        for item in untold:
            if isinstance(item, SourceEvent):
                self._watch.on_event(item, self._number)
            else:
                self._watch.on_frame(item, self._number)

    def window(self) -> Clip | None:
        """The next clip, if there is one."""
        if not self.clips:
            return None
        clip = self.clips.popleft()
        self._account.window(clip)
        return clip

    def _frame(self, arrival: Arrival) -> None:
        self.spent.decode_ms += arrival.decode_ms
        self.spent.preprocess_ms += arrival.preprocess_ms
        # Of the moment at which the frame came: a recording of the stream tells the same.
        self.dropped = arrival.dropped
        if arrival.small is not None:
            self._account.sampled += 1
            self._newest_s = arrival.small.time_s
            self.clips.extend(self._sampler.push(arrival.small))
        else:
            self._account.only_watched += 1
        if arrival.frame is not None:
            self._untold.append(arrival.frame)

    def _end(self, arrival: Arrival) -> None:
        self.ended = True
        failure = arrival.failure
        if failure is not None and not self._begun:
            raise failure
        if not (self.stopped or arrival.unfinished):
            self.clips.extend(self._sampler.finish())
        self.failure = failure
        if failure is not None:
            self._untold.append(
                SourceEvent(
                    kind="gave_up",
                    text=failure.message,
                    time_s=self._newest_s,
                    at_s=time.time(),
                    delivers=False,
                    breaks=True,
                )
            )
        self._watch.on_end(self._number)


def _next_batch(lanes: Sequence[_Lane], feed: Feed) -> list[tuple[int, Clip]]:
    """A clip of every stream that has one; empty when all have ended, or it is time to.

    A file that has none yet is waited for. A live source is not, nor a pipe that has fallen silent,
    except when there is nothing else to do. When it is time to end, what is complete is still
    given: which frames came then says which windows there are, whenever the time came.
    """
    while True:
        idle = not any(lane.clips for lane in lanes)
        lacking = [number for number, lane in enumerate(lanes) if not (lane.clips or lane.ended)]
        if any(lane.stopped for lane in lanes):
            if idle:
                return []
            lacking = []
        wait = idle or any(lanes[number].awaited for number in lacking)
        arrival = feed.take(lacking, wait=wait) if lacking else None
        if arrival is not None:
            lanes[arrival.stream].arrived(arrival)
            continue
        clips = [(number, lane.window()) for number, lane in enumerate(lanes)]
        return [(number, clip) for number, clip in clips if clip is not None]


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
        yield replace(
            prediction,
            stream=number,
            batch=len(batch),
            dropped=lane.dropped,
            reused=scores.reused,
            level=scores.level,
        )
