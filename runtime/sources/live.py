"""Read a device or a network stream in a thread, for weeks: what is lost is opened again."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from models.errors import SourceError
from runtime.closing import ClosesOnExit
from runtime.elapsed import since_ms
from runtime.memory import give_back
from runtime.records import Frame, SourceCounts, SourceEvent
from runtime.sources.base import Wanted, only_frames
from runtime.sources.connection import (
    Connect,
    Connection,
    Grabbed,
    PictureWatch,
    Unreachable,
    Unwanted,
)
from runtime.sources.options import SourceOptions
from runtime.sources.picture_health import PictureHealth, PictureLimits
from runtime.sources.story import Story, Surroundings
from runtime.sources.waiting_pictures import WaitingPictures

logger = logging.getLogger(__name__)

_LOOK_S = 0.1
"""Waits are cut into pieces of this length, to look whether they are to end."""
_JOIN_S = 0.4
_GRACE_S = 1.0
"""An opening has a timeout of its own, with a better reason to give than who watches over it."""
_MOST_LEFT = 3
"""Threads that may hang in a driver before no more are started."""


@dataclass(frozen=True, slots=True)
class _Blocked:
    """A call that may not return: since when, for how long it may, and for what it waits."""

    since_s: float
    may_s: float
    what: str


class LiveSource(ClosesOnExit):
    """A device or stream that delivers pictures whether or not anyone reads them.

    A thread opens it, drains it all the time, so that what is read is never stale by more than the
    queue, and opens it again when it is lost or silent. A call that does not return is left
    behind with its thread, and another thread takes over; the one behind closes what it holds
    once it returns, and does nothing else.

    Args:
        connect: Opens it.
        name: Shown to people until it is open, and in errors; without secrets.
        options: Timeouts, retries, and what becomes of pictures that nobody fetches.
        watch: Looks at the pictures now and then; None for nobody.
        around: Time and chance.
    """

    live = True
    duration_s: float | None = None

    def __init__(
        self,
        connect: Connect,
        *,
        name: str,
        options: SourceOptions,
        watch: PictureWatch | None = None,
        around: Surroundings | None = None,
    ) -> None:
        self._connect = connect
        self._name = name
        self._options = options
        self._watch = watch
        self._around = around or Surroundings()
        self._changed = threading.Condition()
        # Flags, which are only ever set.
        self._stopping = self._interrupted = False
        # All below with that lock held.
        self._waiting = WaitingPictures(options.drop)
        self._story = Story(
            name, retries=options.retries, around=self._around, tell=self._waiting.tell
        )
        self._wanted: Wanted | None = None
        self._received = self._delivered = self._skipped = self._dropped = self._broken = 0
        self._known: Connection | None = None
        self._tried = self._ended = False
        self._failure: Exception | None = None
        # Number of the thread that reads, which may be blocked, and those behind.
        self._reader = 0
        self._blocked: _Blocked | None = None
        self._left: list[threading.Thread] = []
        self._thread = self._started(0.0)

    @property
    def description(self) -> str:
        """What was opened last; before that, its name."""
        return self._name if self._known is None else self._known.description

    @property
    def fps(self) -> float | None:
        """Nominal frame rate of what was opened last; None when unknown."""
        return None if self._known is None else self._known.fps

    @property
    def counts(self) -> SourceCounts:
        """What became of the pictures so far."""
        with self._changed:
            return SourceCounts(
                received=self._received,
                delivered=self._delivered,
                skipped=self._skipped,
                dropped=self._dropped + self._waiting.dropped,
                broken=self._broken,
            )

    def __iter__(self) -> Iterator[Frame]:
        """All frames in order of arrival, and nothing else."""
        return only_frames(self.frames())

    def frames(self, wanted: Wanted | None = None) -> Iterator[Frame | SourceEvent]:
        """Wanted frames in order of arrival, and what befalls the source.

        Args:
            wanted: Asked in the thread that reads the device, except for the frames that wait
                already. What it raises ends the source, and is raised here.

        Raises:
            SourceError: It was given up.
        """
        with self._changed:
            self._wanted = wanted
            if wanted is not None:
                self._skipped += self._waiting.keep(wanted)
                self._changed.notify_all()
        while True:
            with self._changed:
                item = self._next()
            if item is None:
                break
            yield item
        if self._failure is not None and not (self._stopping or self._interrupted):
            raise self._failure

    def wait_until_open(self) -> None:
        """Wait for the first connection, or until the first attempt to connect has failed.

        Raises:
            SourceError: What is wrong has to be mended first, or nothing is to be tried again.
        """
        until_s = self._around.clock() + self._options.open_timeout_s
        with self._changed:
            while not (self._tried or self._options.stopping() or self._around.clock() > until_s):
                self._changed.wait(_LOOK_S)
            self._interrupted = self._interrupted or self._options.stopping()
            failure = self._failure
        if failure is not None:
            self.close()
            raise failure

    def interrupt(self) -> None:
        """Let `frames` end soon, wherever it waits."""
        self._interrupted = True

    def close(self) -> None:
        """Stop the thread, which lets the device go; one that hangs does so once it returns."""
        with self._changed:
            self._stopping = True
            self._dropped += self._waiting.clear()
            self._changed.notify_all()
        self._thread.join(_JOIN_S)
        if self._thread.is_alive():
            logger.info("%s does not return; it is let go once it does.", self._name)

    def _next(self) -> Frame | SourceEvent | None:
        """The next that waits, once there is something; None at the end."""
        while not (self._stopping or self._interrupted):
            if self._waiting:
                item = self._waiting.take()
                self._delivered += isinstance(item, Frame)
                self._changed.notify_all()
                return item
            if self._ended:
                return None
            self._changed.wait(_LOOK_S)
            self._leave_behind()
        return None

    def _leave_behind(self) -> None:
        """Leave a thread that has been blocked for too long, and start another."""
        blocked = self._blocked
        if blocked is None or self._around.clock() - blocked.since_s <= blocked.may_s:
            return
        self._left = [thread for thread in self._left if thread.is_alive()]
        if len(self._left) >= _MOST_LEFT:
            return
        self._left.append(self._thread)
        self._reader += 1
        silent = Unreachable(f"no {blocked.what} for {blocked.may_s:g} s", silent=True)
        wait_s = self._lost(silent)
        if wait_s is not None:
            self._thread = self._started(wait_s)

    def _lost(self, error: Unreachable | SourceError) -> float | None:
        """It is lost, or cannot be opened; seconds until the next attempt, None for none."""
        first, self._tried = not self._tried, True
        self._blocked = None
        mistake = isinstance(error, SourceError)
        reason = error.reason if isinstance(error, Unreachable) else error.message
        silent = isinstance(error, Unreachable) and error.silent
        wait_s = None if mistake and first else self._story.lost(reason, silent=silent)
        if wait_s is None:
            self._end(error if isinstance(error, SourceError) else self._given_up(reason))
        self._changed.notify_all()
        return wait_s

    def _given_up(self, reason: str) -> SourceError:
        times = self._options.retries or 0
        again = f", also when tried {times} more time{'s' * (times != 1)}" if times else ""
        return SourceError(
            f"{self._name}: {reason}{again}.",
            hint="Check that it is there and reachable; without --retries it is tried for ever.",
        )

    def _end(self, failure: Exception | None) -> None:
        self._failure, self._ended = failure, True
        self._changed.notify_all()

    # The thread that reads; from here on the lock is taken where it is needed.

    def _started(self, wait_s: float) -> threading.Thread:
        thread = threading.Thread(
            target=self._run, args=(self._reader, wait_s), name=self._name, daemon=True
        )
        thread.start()
        return thread

    def _run(self, reader: int, wait_s: float | None) -> None:
        def unwanted() -> bool:
            return self._stopping or self._interrupted or reader != self._reader

        while wait_s is not None:
            until_s = self._around.clock() + wait_s
            while not unwanted() and (left_s := until_s - self._around.clock()) > 0:
                self._around.pause(min(left_s, _LOOK_S))
            if unwanted():
                return
            wait_s = self._attempt(unwanted)

    def _attempt(self, unwanted: Unwanted) -> float | None:
        """Open it, read it until it is lost; seconds until the next attempt, None for none."""
        failure: Exception | None = None
        try:
            self._read(unwanted)
        except Exception as error:
            # Also what `wanted` or the watch raise: whoever fetches must hear of it.
            failure = error
        with self._changed:
            if unwanted():
                return None
            if isinstance(failure, (Unreachable, SourceError)):
                return self._lost(failure)
            self._end(failure)
            return None

    def _read(self, unwanted: Unwanted) -> None:
        """Open it and read it until the video is over, or nobody wants it."""
        self._may_block(self._options.open_timeout_s + _GRACE_S, "answer", unwanted)
        with _DriverErrors():
            connection = self._connect(unwanted)
        try:
            with self._changed:
                if unwanted():
                    return
                self._known, self._tried = connection, True
                self._story.opened(connection.fps)
                self._changed.notify_all()
            if self._watch is not None:
                self._watch.restart()
            while not unwanted():
                self._may_block(self._options.read_timeout_s, "picture", unwanted)
                with _DriverErrors():
                    grabbed = connection.grab()
                if grabbed is None:
                    return
                self._take(grabbed, unwanted)
        finally:
            connection.close()
            give_back()

    def _may_block(self, may_s: float, what: str, unwanted: Unwanted) -> None:
        """A call follows that may not return."""
        with self._changed:
            if not unwanted():
                self._blocked = _Blocked(self._around.clock(), may_s, what)

    def _take(self, grabbed: Grabbed, unwanted: Unwanted) -> None:
        """Convert the picture just grabbed and let it wait, if it is wanted."""
        arrived_s = self._around.clock()
        with self._changed:
            if unwanted():
                return
            self._blocked = None
            index = self._received + grabbed.broken
            self._received = index + 1
            self._broken += grabbed.broken
            time_s = self._story.picture(arrived_s, grabbed.media_s)
            asked = self._wanted
            needed = asked is None or asked(time_s)
            self._skipped += not needed
        watch = self._watch if self._watch is not None and self._watch.due(time_s) else None
        if not needed and watch is None:
            return
        started_s = time.perf_counter()
        with _DriverErrors():
            picture = grabbed.picture()
        decode_ms = grabbed.decode_ms + since_ms(started_s)
        seen: Sequence[SourceEvent] = ()
        if watch is not None and picture is not None and not unwanted():
            seen = watch.look(picture, time_s=time_s, at_s=self._around.now_s())
        with self._changed:
            if picture is None or unwanted():
                self._broken += needed and picture is None
                self._dropped += needed and picture is not None
                return
            self._story.converted(picture)
            for event in seen:
                self._waiting.tell(event)
            if needed and asked is not self._wanted and self._wanted is not None:
                needed = self._wanted(time_s)
                self._skipped += not needed
            if needed:
                frame = Frame(
                    picture=picture,
                    index=index,
                    time_s=time_s,
                    arrived_s=arrived_s,
                    decode_ms=decode_ms,
                    epoch=self._story.epoch,
                )
                self._put(frame, unwanted)
            self._changed.notify_all()

    def _put(self, frame: Frame, unwanted: Unwanted) -> None:
        """Let a picture wait, once there is room where none may be dropped; the lock is held."""
        while self._waiting.must_wait(frame) and not unwanted():
            self._changed.wait(_LOOK_S)
        if unwanted():
            self._dropped += 1
        else:
            self._waiting.put(frame)


class _DriverErrors:
    """Whatever a driver raises, opening it anew may help."""

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Exception) and not isinstance(error, (Unreachable, SourceError)):
            raise Unreachable(f"{type(error).__name__}: {error}") from error


def open_live(connect: Connect, *, name: str, options: SourceOptions) -> LiveSource:
    """Start to read a device or stream, and wait for it to open.

    Its pictures are watched for being frozen or black.

    Args:
        connect: Opens it.
        name: Shown to people; without secrets.
        options: How it is read.

    Returns:
        The source; not open yet where the first attempt has failed in a way that time may mend.

    Raises:
        SourceError: What is wrong has to be mended first, or nothing is to be tried again.
    """
    watch = PictureHealth(PictureLimits(frozen_s=options.frozen_after_s))
    source = LiveSource(connect, name=name, options=options, watch=watch)
    source.wait_until_open()
    return source
