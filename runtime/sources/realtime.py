"""A file played in real time, as if a camera were showing it: to try and to measure live use."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from runtime.closing import ClosesOnExit
from runtime.records import Frame, SourceCounts, SourceEvent
from runtime.sources import demo, file, folder, list_file, sequence, wildcard
from runtime.sources.base import FrameSource, SourceKind, Wanted, only_frames
from runtime.sources.options import SourceOptions
from runtime.sources.waiting_pictures import QUEUE_LENGTH

PREFIX = "realtime:"

_LONGEST_SLEEP_S = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How time goes.

    Attributes:
        clock: Monotonic seconds.
        sleep: Waits that many seconds.
        queue_length: Frames kept for a slow reader; the oldest is dropped for a new one.
    """

    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    queue_length: int = QUEUE_LENGTH


class RealtimeSource(ClosesOnExit):
    """A live source that shows the frames of a file, each when its time has come.

    The clock starts with the first frame that is read. A frame arrives when it is due and is
    there when the time that its decoding took has passed as well, as with a camera, although the
    file may have been decoded ahead. Frames that nobody fetches in time are dropped as a camera's
    are. Unlike a camera it ends, with the file.

    Args:
        source: What is shown; closed with this one.
        pace: How time goes.
    """

    live = True
    duration_s: float | None = None

    def __init__(self, source: FrameSource, pace: Pace | None = None) -> None:
        self._source = source
        self._pace = pace or Pace()
        self._waiting: deque[Frame | SourceEvent] = deque()
        self._starts_s: float | None = None
        self._interrupted = False
        self.description = f"{source.description}, in real time"
        self.fps = source.fps
        self._delivered = self._dropped = self._skipped = 0

    @property
    def counts(self) -> SourceCounts:
        """What became of the frames that were due; those that wait count as not received yet."""
        skipped = self._source.counts.skipped + self._skipped
        return SourceCounts(
            received=self._delivered + self._dropped + skipped,
            delivered=self._delivered,
            skipped=skipped,
            dropped=self._dropped,
        )

    def __iter__(self) -> Iterator[Frame]:
        """All frames."""
        return only_frames(self.frames())

    def frames(self, wanted: Wanted | None = None) -> Iterator[Frame | SourceEvent]:
        """Wanted frames, each when it is due, and what befalls the file in its place among them.

        Args:
            wanted: Asked in the reader's thread, except for the frames that wait already.

        Raises:
            SourceError: The file cannot be read (any more).
        """
        if wanted is not None:
            kept = [
                item
                for item in self._waiting
                if isinstance(item, SourceEvent) or wanted(item.time_s)
            ]
            self._skipped += len(self._waiting) - len(kept)
            self._waiting = deque(kept)
        coming = self._source.frames(wanted)
        while True:
            self._take_in(coming)
            if not self._waiting:
                return
            item = self._waiting.popleft()
            if isinstance(item, SourceEvent):
                yield item
                continue
            due_s = self._due_s(item)
            self._sleep_until(due_s + item.decode_ms / 1e3)
            if self._interrupted:
                return
            self._delivered += 1
            yield replace(item, arrived_s=due_s)

    def interrupt(self) -> None:
        """Let `frames` end soon."""
        self._interrupted = True
        self._source.interrupt()

    def close(self) -> None:
        """Close the file."""
        self._waiting.clear()
        self._source.close()

    def _take_in(self, coming: Iterator[Frame | SourceEvent]) -> None:
        """Read until a frame is not due yet, and drop the oldest if too many are.

        Nothing is read beyond an event until that was handed out.
        """
        while not self._waiting or self._is_due(self._waiting[-1]):
            if len(self._waiting) > self._pace.queue_length:
                self._waiting.popleft()
                self._dropped += 1
            item = next(coming, None)
            if item is None:
                return
            self._waiting.append(item)

    def _is_due(self, item: Frame | SourceEvent) -> bool:
        return isinstance(item, Frame) and self._due_s(item) <= self._pace.clock()

    def _sleep_until(self, until_s: float) -> None:
        """Wait, and look now and then whether it is time to stop."""
        while not self._interrupted and (left_s := until_s - self._pace.clock()) > 0:
            self._pace.sleep(min(left_s, _LONGEST_SLEEP_S))

    def _due_s(self, frame: Frame) -> float:
        if self._starts_s is None:
            self._starts_s = self._pace.clock() - frame.time_s
        return self._starts_s + frame.time_s


_SHOWN = (
    demo.SOURCE,
    folder.SOURCE,
    wildcard.SOURCE,
    sequence.SOURCE,
    list_file.SOURCE,
    file.SOURCE,
)


def open_realtime(uri: str, options: SourceOptions) -> FrameSource:
    """Open "realtime:" and demo, a file, or several.

    Raises:
        SourceNotFound: There is no such file.
        SourceError: It is no video.
    """
    kind, shown = _shown(uri)
    return RealtimeSource(kind.open(shown, options))


def _check(uri: str) -> None:
    kind, shown = _shown(uri)
    if kind.check is not None:
        kind.check(shown)


def _shown(uri: str) -> tuple[SourceKind, str]:
    """What is shown, and of which kind it is."""
    shown = uri.removeprefix(PREFIX)
    return next(kind for kind in _SHOWN if kind.claims(shown)), shown


SOURCE = SourceKind(
    name="realtime",
    claims=lambda uri: uri.startswith(PREFIX),
    open=open_realtime,
    example="realtime:clip.mp4",
    about="a file or demo, shown in real time as by a camera",
    check=_check,
)
