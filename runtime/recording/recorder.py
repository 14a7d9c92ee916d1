"""Writes a recording in a thread of its own, so that the disk never holds up a source."""

from __future__ import annotations

import contextlib
import shutil
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from models.errors import OutputError
from models.plain_text import plain
from models.sizes import size_in_words
from runtime.outputs.line_file import cannot_write
from runtime.recording.entries import Ended, Entry, Opening
from runtime.recording.recording_file import RecordingFile
from runtime.records import Frame, SourceCounts

LEAST_FREE_BYTES = 64 * 1024 * 1024
"""A recording is given up while the disk has still so much room, which others may need."""

_WAITING_BYTES = 24 * 1024 * 1024
"""Pictures that wait for the encoder; two may in any case."""

_PATIENCE_S = 5.0
"""A recording that does not get on for so long is given up."""

_LOOK_S = 0.1
_CHECK_ROOM_S = 1.0


@dataclass(frozen=True, slots=True)
class _Shown:
    frame: Frame
    counts: SourceCounts

    @property
    def bytes(self) -> int:
        """Memory it takes."""
        return self.frame.picture.nbytes


class Recorder:
    """Takes what a source gives, and writes it.

    Nothing is ever left out: where the encoder or the disk cannot keep up, `picture` waits, and a
    live source drops meanwhile, which is recorded like all else. A recording that cannot go on
    (the disk is full or hangs, the size is reached) ends, with what was written, and nothing else
    does.

    Args:
        path: Must not exist.
        opening: Its first entry.
        limit_bytes: Largest size of the file, give or take a picture; None for none.
        clock: Monotonic seconds.

    Attributes:
        cut: Why the recording was given up; empty while it was not.
        full: It was because it had reached its size.

    Raises:
        OutputError: The file exists, or cannot be made.
    """

    def __init__(
        self,
        path: Path,
        opening: Opening,
        *,
        limit_bytes: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if path.exists():
            raise OutputError(
                f"{path} exists, and a recording overwrites nothing.",
                hint=f"Remove it, or give another name: {path.stem}-2{path.suffix}",
            )
        try:
            self._file = RecordingFile(path, opening)
        except OSError as error:
            raise cannot_write(path, error) from error
        self.path = path
        self.cut = ""
        self.full = False
        self._limit_bytes = limit_bytes
        self._clock = clock
        self._changed = threading.Condition()
        self._waiting: deque[Entry | _Shown] = deque()
        self._waiting_pictures = self._waiting_bytes = 0
        self._written = 0
        self._closing = False
        self._pictures = self._bytes = 0
        self._room_checked_s = float("-inf")
        self._thread = threading.Thread(target=self._run, name=f"recording {path}", daemon=True)
        self._thread.start()

    def note(self, entry: Entry) -> None:
        """Append an entry; never waits."""
        with self._changed:
            if not self.cut and not self._closing:
                self._waiting.append(entry)

    def picture(self, frame: Frame, counts: SourceCounts, *, stopping: Callable[[], bool]) -> bool:
        """Append a picture, which must not change afterwards; waits for room.

        Args:
            frame: As the source gave it.
            counts: Of the source.
            stopping: Looked at while waiting.

        Returns:
            False if it was not recorded because it was time to stop.
        """
        shown = _Shown(frame, counts)
        with self._changed:
            written, since_s = self._written, self._clock()
            while not (self.cut or self._closing or self._room(shown)):
                self._changed.wait(_LOOK_S)
                if stopping():
                    return False
                if self._written != written:
                    written, since_s = self._written, self._clock()
                elif self._clock() - since_s > _PATIENCE_S:
                    self._give_up(f"nothing could be written for {_PATIENCE_S:g} s")
            if not self.cut and not self._closing:
                self._waiting.append(shown)
                self._waiting_pictures += 1
                self._waiting_bytes += shown.bytes
                self._changed.notify_all()
        return True

    def give_up(self, reason: str) -> None:
        """Record nothing more, and complete what there is."""
        with self._changed:
            self._give_up(plain(reason))

    def close(self, ended: Ended, *, grace_s: float) -> None:
        """Complete the file with its last entry; what is not written by then is not in it.

        Args:
            ended: Kept from the first call.
            grace_s: How long to wait.
        """
        with self._changed:
            if not self._closing:
                if not self.cut:
                    self._waiting.append(ended)
                self._closing = True
                self._changed.notify_all()
        until_s = time.monotonic() + grace_s
        while self._thread.is_alive() and (left_s := until_s - time.monotonic()) > 0:
            self._thread.join(min(left_s, _LOOK_S))  # in pieces: signals are handled in between
        if self._thread.is_alive():
            with self._changed:
                self._give_up("there was no time to write the rest")

    def notes(self) -> tuple[str, ...]:
        """What is to be said at the end."""
        what = f"{self._pictures} pictures, {size_in_words(self._bytes)}"
        found = [f"recording: {what} in {self.path}"]
        if self.cut:
            found.append(f"recording: ended early, {self.cut}")
        return tuple(found)

    def _room(self, shown: _Shown) -> bool:
        return self._waiting_pictures < 2 or self._waiting_bytes + shown.bytes <= _WAITING_BYTES

    def _give_up(self, reason: str) -> None:
        """Record nothing more; called with the lock."""
        if not self.cut:
            self.cut = reason
        self._waiting.clear()
        self._waiting_pictures = self._waiting_bytes = 0
        self._changed.notify_all()

    def _run(self) -> None:
        while (item := self._next()) is not None:
            try:
                self._write(item)
            except Exception as error:
                # Whatever an encoder raises, the run goes on without it.
                self.give_up(str(getattr(error, "strerror", None) or error))
        try:
            if self.cut:
                self._file.note(Ended(how="cut", text=plain(self.cut)))
            self._file.close()
        except OSError as error:
            self.give_up(error.strerror or str(error))
        with contextlib.suppress(OSError):
            self._bytes = self.path.stat().st_size

    def _next(self) -> Entry | _Shown | None:
        """What is to be written next; None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self.cut or self._waiting or self._closing)
            if self.cut or not self._waiting:
                return None
            item = self._waiting.popleft()
            self._written += 1
            if isinstance(item, _Shown):
                self._waiting_pictures -= 1
                self._waiting_bytes -= item.bytes
            self._changed.notify_all()
            return item

    def _write(self, item: Entry | _Shown) -> None:
        if not isinstance(item, _Shown):
            self._file.note(item)
            return
        self._check_room()
        self._file.add(item.frame, item.counts)
        self._pictures, self._bytes = self._file.pictures, self._file.bytes
        if self._limit_bytes is not None and self._bytes >= self._limit_bytes:
            self.full = True
            self.give_up(f"it has reached {size_in_words(self._limit_bytes)}")

    def _check_room(self) -> None:
        now_s = self._clock()
        if now_s - self._room_checked_s < _CHECK_ROOM_S:
            return
        self._room_checked_s = now_s
        free = shutil.disk_usage(self.path.parent).free
        if free < LEAST_FREE_BYTES:
            raise OSError(None, f"only {size_in_words(free)} are left on its disk")
