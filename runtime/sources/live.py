"""Read a device in a thread, and keep only its newest pictures."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from models.errors import SourceError
from runtime.closing import ClosesOnExit
from runtime.opencv import rgb_from_bgr
from runtime.records import Frame, Picture, SourceCounts
from runtime.sources.base import Wanted

logger = logging.getLogger(__name__)

QUEUE_LENGTH = 8
"""Pictures kept. At 30 fps that is 0.27 s, longer than one inference of the small models takes,
so that nothing is dropped when only the inference makes the reader wait."""

_JOIN_TIMEOUT_S = 2.0

_INTERRUPTED_S = 0.2


class Capture(Protocol):
    """What is read: the part of `cv2.VideoCapture` that matters here."""

    def grab(self) -> bool:
        """Wait for the next picture; False when there will be none."""

    def retrieve(self) -> tuple[bool, Picture | None]:
        """Decode the picture grabbed last: success, and BGR uint8 [H, W, 3]."""

    def release(self) -> None:
        """Let the device go."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveOptions:
    """How a live source is read.

    Attributes:
        clock: Monotonic seconds; the arrival times of the frames come from it.
        read_timeout_s: Longest wait for a picture before the source counts as dead.
        queue_length: Pictures kept for a slow reader; the oldest is dropped for a new one.
    """

    clock: Callable[[], float] = time.monotonic
    read_timeout_s: float = 5.0
    queue_length: int = QUEUE_LENGTH


class LiveSource(ClosesOnExit):
    """A device that delivers pictures whether or not anyone reads them.

    A thread drains the device all the time, so that what is read is never stale by more than
    the queue. The thread owns the device and releases it when it ends.

    Args:
        capture: The opened device; any object with `grab`, `retrieve` and `release`.
        description: Shown to people.
        fps: Nominal frame rate; None when the device does not tell.
        options: Clock, timeout and queue.
    """

    live = True
    duration_s: float | None = None

    def __init__(
        self,
        capture: Capture,
        *,
        description: str,
        fps: float | None,
        options: LiveOptions | None = None,
    ) -> None:
        self._capture = capture
        self.description = description
        self.fps = fps
        self._options = options or LiveOptions()
        self._queue: deque[Frame] = deque()
        self._changed = threading.Condition()
        self._stopping = False
        self._failure = ""
        self._received = self._delivered = self._skipped = self._dropped = self._broken = 0
        self._interrupted = False
        self._wanted: Wanted | None = None
        self._opened_s = self._options.clock()
        self._thread = threading.Thread(target=self._drain, name=description, daemon=True)
        self._thread.start()

    @property
    def counts(self) -> SourceCounts:
        """What became of the pictures so far."""
        with self._changed:
            return SourceCounts(
                received=self._received,
                delivered=self._delivered,
                skipped=self._skipped,
                dropped=self._dropped,
                broken=self._broken,
            )

    def __iter__(self) -> Iterator[Frame]:
        """All frames in order of arrival; ends only after `close`."""
        return self.frames()

    def frames(self, wanted: Wanted | None = None) -> Iterator[Frame]:
        """Wanted frames in order of arrival; ends only after `close`.

        Args:
            wanted: Asked in the thread that reads the device, except for the frames that wait
                already. What it raises ends the source.

        Raises:
            SourceError: The device failed, or gave nothing for `read_timeout_s`.
        """
        self._want(wanted)
        while True:
            frame = self._fetched()
            if frame is None:
                return
            yield frame

    def interrupt(self) -> None:
        """Let `frames` end soon."""
        self._interrupted = True

    def close(self) -> None:
        """Stop and join the thread, which releases the device."""
        with self._changed:
            self._stopping = True
            self._dropped += len(self._queue)
            self._queue.clear()
            self._changed.notify_all()
        self._thread.join(_JOIN_TIMEOUT_S)
        if self._thread.is_alive():
            logger.warning(
                "%s did not let go within %g s; it is released once its driver answers.",
                self.description,
                _JOIN_TIMEOUT_S,
            )

    def _want(self, wanted: Wanted | None) -> None:
        """Leave out from now on what is not wanted, of the waiting frames too."""
        with self._changed:
            self._wanted = wanted
            if wanted is not None:
                waiting = list(self._queue)
                self._queue = deque(frame for frame in waiting if wanted(frame.time_s))
                self._skipped += len(waiting) - len(self._queue)

    def _fetched(self) -> Frame | None:
        """The oldest queued frame; None once closed."""
        with self._changed:
            alive, answered = True, False
            while alive and not answered:
                skipped = self._skipped
                answered = self._answered(self._options.read_timeout_s)
                # A device whose pictures are not wanted is well.
                alive = self._skipped != skipped
            if self._stopping or self._interrupted:
                return None
            if self._queue:
                self._delivered += 1
                return self._queue.popleft()
            if answered:
                raise SourceError(
                    f"{self.description} stopped delivering pictures: {self._failure}.",
                    hint="Check that it is still plugged in and that no other program took it.",
                )
        raise SourceError(
            f"{self.description} delivered no picture for {self._options.read_timeout_s:g} s.",
            hint="Unplug it and plug it in again, or give another camera: camera1",
        )

    def _answered(self, timeout_s: float) -> bool:
        """Wait until there is something, or it is time to stop; the lock is held."""
        until_s = time.monotonic() + timeout_s
        while True:
            if self._queue or self._failure or self._stopping or self._interrupted:
                return True
            left_s = until_s - time.monotonic()
            if left_s <= 0:
                return False
            self._changed.wait(min(left_s, _INTERRUPTED_S))

    def _drain(self) -> None:
        failure = "its driver reported the end"
        try:
            index = 0
            while not self._stopping and self._capture.grab():
                self._take(index)
                index += 1
        except Exception as error:
            # A driver may raise anything; the reader must hear of it, whatever it is.
            failure = f"{type(error).__name__}: {error}"
        finally:
            self._capture.release()
            with self._changed:
                self._failure = failure
                self._changed.notify_all()

    def _take(self, index: int) -> None:
        """Decode the picture just grabbed and put it into the queue, if it is wanted."""
        arrived_s = self._options.clock()
        time_s = arrived_s - self._opened_s
        with self._changed:
            self._received += 1
            asked = self._wanted
            if asked is not None and not asked(time_s):
                self._skipped += 1
                return
        started_s = time.perf_counter()
        decoded, bgr = self._capture.retrieve()
        picture = rgb_from_bgr(bgr) if decoded and bgr is not None else None
        decode_ms = (time.perf_counter() - started_s) * 1000.0
        with self._changed:
            if picture is None:
                self._broken += 1
                return
            if self._wanted is not None and self._wanted is not asked and not self._wanted(time_s):
                self._skipped += 1
                return
            if self._stopping:
                self._dropped += 1
                return
            if len(self._queue) == self._options.queue_length:
                self._queue.popleft()
                self._dropped += 1
            self._queue.append(
                Frame(
                    picture=picture,
                    index=index,
                    time_s=time_s,
                    arrived_s=arrived_s,
                    decode_ms=decode_ms,
                )
            )
            self._changed.notify_all()
