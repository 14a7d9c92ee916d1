"""Frames of one or several sources, prepared, in the order in which the loop wants them."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from models.errors import SourceError
from runtime.closing import Closeable, ClosesOnExit
from runtime.elapsed import since_ms
from runtime.frame_account import FrameAccount
from runtime.preprocess import Preparation
from runtime.records import Clip, Frame, SourceEvent
from runtime.sampling_in_turn import SamplersInTurn
from runtime.sources import FrameSource, repeats_live, unfinished

QUEUED_FRAMES = 4
"""Frames of a file that wait for the loop when there are several sources; of a live one there is
only one, as it has its own queue behind it, in which frames do not get old."""

_JOIN_S = 10.0
_LOOK_S = 0.1


class Sampler(Protocol):
    """What chooses frames and makes clips of them: `GridSampler`, `ClipSampler`.

    Attributes:
        take_every: Of the windows, only those whose number is a multiple of this are given; may
            change at any time.
    """

    take_every: int

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
        turns: The same, where a source of several videos is to be cut video by video.
        account: Of its frames; filled by the loop.
    """

    source: FrameSource
    sampler: Sampler
    turns: SamplersInTurn | None = None
    account: FrameAccount = field(default_factory=FrameAccount)


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameWatch:
    """Somebody who looks at the frames of the sources, beside the model.

    Attributes:
        on_frame: Called with every original frame that comes and the number of its stream, after
            the predictions that the frame completed were handed out.
        wants: Whether the next frame of a stream is wanted although the model does not need it;
            called in the thread that reads the source.
        on_event: Called with what befalls a source and the number of its stream, in its place
            among the frames.
        on_end: Called with the number of a stream whose source has ended.
        stopped: Whether to end without the windows that the ends of the sources would complete.
    """

    on_frame: Callable[[Frame, int], None]
    wants: Callable[[int], bool] = lambda stream: True
    on_event: Callable[[SourceEvent, int], None] = lambda event, stream: None
    on_end: Callable[[int], None] = lambda stream: None
    stopped: Callable[[], bool] = lambda: False


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A frame of a stream, something that befell its source, or its end.

    Attributes:
        stream: Its number.
        event: What befell the source.
        frame: As the source gave it; None at the end, and where nobody watches.
        small: The same with what is kept of it; None where the sampler has no use for it.
        ended: Nothing comes after this.
        failure: Why it ended, where that is not as it should be.
        unfinished: No window ends with it.
        dropped: Of a live source, also one that is repeated: frames dropped until now.
        decode_ms: Time spent decoding.
        preprocess_ms: Time spent resizing.
    """

    stream: int
    event: SourceEvent | None = None
    frame: Frame | None = None
    small: Frame | None = None
    ended: bool = False
    failure: SourceError | None = None
    unfinished: bool = False
    dropped: int | None = None
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
            BackendError: A frame cannot be prepared.
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
        self._sampler, self._turns = stream.sampler, stream.turns
        self.source, self.account = stream.source, stream.account
        self._number = number
        self._preparation = preparation
        self._watch = watch

    def arrivals(self) -> Iterator[Arrival]:
        """Frames and events in order, then the end."""
        failure = None
        try:
            for item in self.source.frames(self._wanted):
                if isinstance(item, SourceEvent):
                    if self._turns is not None and item.begins_video:
                        self._turns.expect()
                    yield Arrival(stream=self._number, event=item)
                else:
                    yield self._arrival(item)
        except SourceError as error:
            failure = error
        yield Arrival(
            stream=self._number, ended=True, failure=failure, unfinished=unfinished(self.source)
        )

    def _wanted(self, time_s: float) -> bool:
        needed = self._sampler.wanted(time_s)
        watched = self._watch is not None and self._watch.wants(self._number)
        return needed or watched

    def _arrival(self, frame: Frame) -> Arrival:
        started_s = time.perf_counter()
        small = None
        if self._sampler.due(frame.time_s):
            small = replace(frame, picture=self._preparation.kept(frame.picture))
        return Arrival(
            stream=self._number,
            frame=None if self._watch is None else frame,
            small=small,
            dropped=self.source.counts.dropped if repeats_live(self.source) else None,
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
            # In pieces: a signal is handled between two of them, not within a wait without an end.
            while wait and not any(self._queues[number] for number in streams):
                self._changed.wait(_LOOK_S)
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
        """Interrupt the sources, and stop the threads that read them."""
        for reader in self._readers:
            reader.source.interrupt()
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        until_s = time.monotonic() + _JOIN_S
        for thread in self._threads:
            thread.join(max(0.0, until_s - time.monotonic()))
        with self._changed:
            for reader, queue in zip(self._readers, self._queues, strict=True):
                reader.account.left += sum(map(_is_frame, queue))
                queue.clear()

    def _read(self, number: int) -> None:
        try:
            for arrival in self._readers[number].arrivals():
                if not self._put(number, arrival):
                    return
        except BaseException as error:
            # Whatever a source raises, the loop must hear of it.
            self._put(number, error)

    def _put(self, number: int, arrival: Arrival | BaseException) -> bool:
        """Queue it, and wait until there is room for the next; False once the loop has ended."""
        queue, reader = self._queues[number], self._readers[number]
        room = 1 if reader.source.live else QUEUED_FRAMES
        with self._changed:
            if self._stopping:
                reader.account.left += _is_frame(arrival)
                return False
            queue.append(arrival)
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._stopping or len(queue) < room)
            return not self._stopping


def _is_frame(arrival: Arrival | BaseException) -> bool:
    return isinstance(arrival, Arrival) and not arrival.ended and arrival.event is None
