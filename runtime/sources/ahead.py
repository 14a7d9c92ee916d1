"""Decode ahead: a thread that reads a file while its frames are made use of."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from runtime.closing import ClosesOnExit
from runtime.records import Frame, SourceCounts
from runtime.sources.base import Wanted

FRAMES_AHEAD = 8
BYTES_AHEAD = 32 << 20
"""Frames that may wait: two of any size, up to 8 while they take no more than 32 MiB."""

_INTERRUPTED_S = 0.2
"""How often whoever waits looks whether it is time to stop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """A frame whose picture is not converted to RGB yet.

    Attributes:
        time_s: Its time.
        converted: The frame with its picture, given the `decode_ms` of the frames skipped before
            it; None where there turns out to be no picture.
        decode_ms: Time spent on it so far.
    """

    time_s: float
    converted: Callable[[float], Frame | None]
    decode_ms: float


class ReadAhead(ClosesOnExit):
    """Runs a decoder in a thread, a few frames ahead of who reads them.

    The thread starts with the first call of `frames`, and ends with the video or with `close`.

    Args:
        decoded: The video; used and closed in the thread only.
        name: Of the thread.
    """

    def __init__(self, decoded: Iterator[Decoded], *, name: str) -> None:
        self._decoded = decoded
        self._name = name
        self._changed = threading.Condition()
        self._waiting: deque[Frame] = deque()
        self._wanted: Wanted | None = None
        self._skipped = self._delivered = self._broken = 0
        self._failure: BaseException | None = None
        self._ended = self._stopping = self._interrupted = False
        self._thread: threading.Thread | None = None

    @property
    def counts(self) -> SourceCounts:
        """What became of the frames decoded so far; those that wait count as not received yet."""
        with self._changed:
            delivered, skipped, broken = self._delivered, self._skipped, self._broken
        return SourceCounts(
            received=delivered + skipped + broken,
            delivered=delivered,
            skipped=skipped,
            broken=broken,
        )

    def frames(self, wanted: Wanted | None) -> Iterator[Frame]:
        """Frames from the current position, until the video ends or this is closed.

        Frames decoded ahead for an earlier call were subject to what that one wanted.

        Args:
            wanted: Which frames are wanted.

        Raises:
            Exception: What the decoder or `wanted` raised.
        """
        return (one for one in self.frames_and_waits(wanted, math.inf) if one is not None)

    def frames_and_waits(self, wanted: Wanted | None, patience_s: float) -> Iterator[Frame | None]:
        """As `frames`; and None whenever nothing was decoded for so many seconds."""
        self._want(wanted)
        while True:
            with self._changed:
                waiting = self._wait(patience_s)
                if self._over():
                    return
                frame = self._waiting.popleft() if self._waiting else None
                if frame is None and not waiting:
                    break
                self._delivered += frame is not None
                self._changed.notify_all()
            yield frame
        if self._failure is not None:
            raise self._failure

    def interrupt(self) -> None:
        """Let `frames` end, wherever it waits."""
        self._interrupted = True

    def _over(self) -> bool:
        return self._stopping or self._interrupted

    def _wait(self, patience_s: float) -> bool:
        """Wait for a frame or the end; whether there was neither for too long. Under the lock."""
        silent_s, seen = time.monotonic(), self._skipped + self._broken
        while not self._over() and not (self._waiting or self._ended):
            self._changed.wait(_INTERRUPTED_S)
            if seen != self._skipped + self._broken:
                silent_s, seen = time.monotonic(), self._skipped + self._broken
            if time.monotonic() - silent_s > patience_s:
                return True
        return False

    def close(self) -> None:
        """Stop and join the thread. Calling it twice is fine."""
        with self._changed:
            self._stopping = True
            self._waiting.clear()
            self._changed.notify_all()
        # In pieces: a signal is handled between two of them, not within a wait without an end.
        while self._thread is not None and self._thread.is_alive():
            self._thread.join(_INTERRUPTED_S)

    def _want(self, wanted: Wanted | None) -> None:
        with self._changed:
            self._wanted = wanted
            if wanted is not None:
                waiting = list(self._waiting)
                self._waiting = deque(frame for frame in waiting if wanted(frame.time_s))
                self._skipped += len(waiting) - len(self._waiting)
                # There may be room now.
                self._changed.notify_all()
            if self._thread is None and not self._stopping:
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()

    def _run(self) -> None:
        try:
            skipped_ms = 0.0
            for decoded in self._decoded:
                with self._changed:
                    asked = self._wanted
                    needed = asked is None or asked(decoded.time_s)
                    self._skipped += not needed
                    if self._stopping:
                        return
                if needed:
                    self._put(decoded.converted(skipped_ms), asked)
                skipped_ms = 0.0 if needed else skipped_ms + decoded.decode_ms
        except BaseException as error:
            # Whoever reads must hear of it, whatever it is.
            self._failure = error
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _put(self, frame: Frame | None, asked: Wanted | None) -> None:
        """Wait for room, then let the frame wait; `asked` said that it is wanted."""
        with self._changed:
            if frame is None:
                self._broken += 1
                return
            self._changed.wait_for(lambda: self._room(frame) or self._stopping)
            newer = self._wanted
            if newer is not None and newer is not asked and not newer(frame.time_s):
                self._skipped += 1
                return
            self._waiting.append(frame)
            self._changed.notify_all()

    def _room(self, frame: Frame) -> bool:
        count = len(self._waiting)
        return count < 2 or (
            count < FRAMES_AHEAD and (count + 1) * frame.picture.nbytes <= BYTES_AHEAD
        )
