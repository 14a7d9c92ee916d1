"""Frames of one or several sources, prepared, in the order in which the loop wants them."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from runtime.clip_classifier import since_ms
from runtime.closing import Closeable, ClosesOnExit
from runtime.preprocess import Preparation
from runtime.records import Clip, Frame
from runtime.sources import FrameSource

QUEUED_FRAMES = 4
"""Frames of a source that wait for the loop when there are several; a live one has its own queue
behind these, which drops."""

_JOIN_S = 10.0


class Sampler(Protocol):
    """What chooses frames and makes clips of them: `GridSampler`, `ClipSampler`."""

    @property
    def gaps(self) -> int:
        """Gaps so far after which it started anew."""

    def wanted(self, time_s: float) -> bool:
        """Whether a frame is needed; asked once for each, possibly in another thread."""

    def due(self, time_s: float) -> bool:
        """Whether `push` has a use for a frame that came."""

    def push(self, frame: Frame) -> tuple[Clip, ...]:
        """Take a frame; the clips that it completes."""

    def finish(self) -> tuple[Clip, ...]:
        """The clips that are left at the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """A source, and what chooses its frames.

    Attributes:
        source: Read to its end; not closed.
        sampler: Fresh.
    """

    source: FrameSource
    sampler: Sampler


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameWatch:
    """Somebody who looks at the frames of the sources, beside the model.

    Attributes:
        on_frame: Called with every original frame that comes and the number of its stream, after
            the predictions that the frame completed were handed out.
        wants: Whether the next frame of a stream is wanted although the model does not need it;
            called in the thread that reads the source.
    """

    on_frame: Callable[[Frame, int], None]
    wants: Callable[[int], bool] = lambda stream: True


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A frame of a stream, or its end.

    Attributes:
        stream: Its number.
        frame: As the source gave it; None at the end, and where nobody watches.
        small: The same with what is kept of it; None where the sampler has no use for it.
        ended: Nothing comes after this.
        decode_ms: Time spent decoding.
        preprocess_ms: Time spent resizing.
    """

    stream: int
    frame: Frame | None = None
    small: Frame | None = None
    ended: bool = False
    decode_ms: float = 0.0
    preprocess_ms: float = 0.0


class Feed(Closeable, Protocol):
    """Where the loop gets its frames."""

    def take(self, streams: Collection[int], *, wait: bool) -> Arrival | None:
        """The next frame of one of some streams.

        Args:
            streams: Their numbers; none that has ended.
            wait: Wait for one; else None is returned when there is none at the moment.

        Raises:
            SourceError: A source failed.
        """


def open_feed(
    streams: Sequence[Stream], preparation: Preparation, watch: FrameWatch | None
) -> Feed:
    """The frames of one source, read when they are asked for; of several, read by threads.

    Args:
        streams: At least one.
        preparation: What is kept of the frames.
        watch: Who wants frames beside the samplers.
    """
    readers = [_Reader(stream, number, preparation, watch) for number, stream in enumerate(streams)]
    return _DirectFeed(readers[0]) if len(readers) == 1 else _ThreadedFeed(readers)


class _Reader:
    """Reads one source and prepares its frames."""

    def __init__(
        self, stream: Stream, number: int, preparation: Preparation, watch: FrameWatch | None
    ) -> None:
        self._stream = stream
        self._number = number
        self._preparation = preparation
        self._watch = watch
        self.stopping = False

    def arrivals(self) -> Iterator[Arrival]:
        """Frames in order, then the end."""
        for frame in self._stream.source.frames(self._wanted):
            yield self._arrival(frame)
        yield Arrival(stream=self._number, ended=True)

    def _wanted(self, time_s: float) -> bool:
        needed = self._stream.sampler.wanted(time_s)
        watched = self._watch is not None and self._watch.wants(self._number)
        return needed or watched or self.stopping

    def _arrival(self, frame: Frame) -> Arrival:
        started_s = time.perf_counter()
        small = None
        if self._stream.sampler.due(frame.time_s):
            small = replace(frame, picture=self._preparation.kept(frame.picture))
        return Arrival(
            stream=self._number,
            frame=None if self._watch is None else frame,
            small=small,
            decode_ms=frame.decode_ms,
            preprocess_ms=since_ms(started_s) if small is not None else 0.0,
        )


class _DirectFeed(ClosesOnExit):
    """One source, read in the loop's own thread."""

    def __init__(self, reader: _Reader) -> None:
        self._arrivals = reader.arrivals()

    def take(self, streams: Collection[int], *, wait: bool) -> Arrival | None:
        return next(self._arrivals)

    def close(self) -> None:
        """Nothing to stop."""


class _ThreadedFeed(ClosesOnExit):
    """Several sources, each read by a thread of its own, a few frames ahead."""

    def __init__(self, readers: Sequence[_Reader]) -> None:
        self._readers = readers
        self._queues: list[deque[Arrival | BaseException]] = [deque() for _ in readers]
        self._changed = threading.Condition()
        self._stopping = False
        self._threads = [
            threading.Thread(
                target=self._read, args=(number,), name=f"source {number}", daemon=True
            )
            for number in range(len(readers))
        ]
        for thread in self._threads:
            thread.start()

    def take(self, streams: Collection[int], *, wait: bool) -> Arrival | None:
        with self._changed:
            if wait:
                self._changed.wait_for(lambda: any(self._queues[number] for number in streams))
            for number in streams:
                if self._queues[number]:
                    arrival = self._queues[number].popleft()
                    self._changed.notify_all()
                    break
            else:
                return None
        if isinstance(arrival, BaseException):
            raise arrival
        return arrival

    def close(self) -> None:
        """Stop the threads, each at the next frame of its source, which is then free again."""
        with self._changed:
            self._stopping = True
            for reader in self._readers:
                reader.stopping = True
            self._changed.notify_all()
        until_s = time.monotonic() + _JOIN_S
        for thread in self._threads:
            thread.join(max(0.0, until_s - time.monotonic()))

    def _read(self, number: int) -> None:
        try:
            for arrival in self._readers[number].arrivals():
                if not self._put(number, arrival):
                    return
        except BaseException as error:
            # Whatever a source raises, the loop must hear of it.
            self._put(number, error)

    def _put(self, number: int, arrival: Arrival | BaseException) -> bool:
        """Queue it when there is room; False once the loop has ended."""
        queue = self._queues[number]
        with self._changed:
            self._changed.wait_for(lambda: self._stopping or len(queue) < QUEUED_FRAMES)
            if self._stopping:
                return False
            queue.append(arrival)
            self._changed.notify_all()
            return True
