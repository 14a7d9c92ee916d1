"""Append whole lines to a file, whatever happens."""

from __future__ import annotations

import contextlib
import logging
import os
import stat
from enum import Enum
from pathlib import Path

from models.errors import OutputError

logger = logging.getLogger(__name__)

_LONGEST_TAIL = 16 * 1024 * 1024


class Sync(str, Enum):
    """When lines are forced onto the disk, so that they survive a power cut.

    A line survives the death of the process as soon as it is written, without any of this.
    """

    NEVER = "never"
    EVENTS = "events"
    ALWAYS = "always"


class WhenFull(str, Enum):
    """What happens when the disk is full."""

    FAIL = "fail"
    DROP = "drop"


class LineFile:
    """A text file that only ever ends in a whole line, or in one that the next opening removes.

    Lines are appended; what is there stays. A half line at the end, left by a power cut, is
    removed when the file is opened, and so is the part of a line that did not fit onto the disk,
    at once. One process writes at a time. The file may be truncated by others meanwhile
    (logrotate's `copytruncate`).

    Args:
        path: Made when absent; its folder must be there.
        begins: What a file of this kind begins with; any other file is refused. None for a kind
            that has no such mark: then a half line is ended, not removed.
        sync: See `Sync`.
        when_full: FAIL raises; DROP leaves lines out, warns once, and goes on when there is room.

    Raises:
        OutputError: It cannot be opened, is no regular file, is of another kind, or is in use by
            another run.
    """

    def __init__(self, path: Path, *, begins: str | None, sync: Sync, when_full: WhenFull) -> None:
        self._path = path
        self._sync = sync
        self._when_full = when_full
        self._failing = False
        self.dropped = 0
        self._handle = _opened(path)
        try:
            _take(self._handle, path)
            _check_kind(self._handle, path, begins)
            cut = _half_line(self._handle, path)
            if cut and begins is None:
                os.write(self._handle, b"\n")
            elif cut:
                os.ftruncate(self._handle, os.fstat(self._handle).st_size - cut)
                logger.warning("%s: removed a half line of %d bytes from its end", path, cut)
            self.was_empty = os.fstat(self._handle).st_size == 0
        except OSError as error:
            os.close(self._handle)
            if isinstance(error, OutputError):
                raise
            raise cannot_write(path, error) from error

    @property
    def path(self) -> Path:
        """The file."""
        return self._path

    def write(self, text: str, *, important: bool = False) -> bool:
        """Append lines, all of them or none.

        Args:
            text: Whole lines, each with its newline; nothing is done when empty.
            important: Belongs to an event.

        Returns:
            Whether they were written.

        Raises:
            OutputError: They were not, and `when_full` is FAIL.
        """
        if not text:
            return True
        try:
            self._append(text.encode("utf-8", "backslashreplace"))
            if self._sync is Sync.ALWAYS or (important and self._sync is Sync.EVENTS):
                os.fsync(self._handle)
        except OSError as error:
            if self._when_full is WhenFull.FAIL:
                raise cannot_write(self._path, error) from error
            self.dropped += text.count("\n")
            if not self._failing:
                self._failing = True
                logger.warning(
                    "%s: %s; leaving lines out until it works again",
                    self._path,
                    error.strerror or error,
                )
            return False
        if self._failing:
            self._failing = False
            logger.warning(
                "%s: works again, %d lines were left out so far", self._path, self.dropped
            )
        return True

    def close(self) -> None:
        """Bring everything onto the disk, unless that is never wanted; idempotent."""
        if self._handle < 0:
            return
        with contextlib.suppress(OSError):
            if self._sync is not Sync.NEVER:
                os.fsync(self._handle)
        os.close(self._handle)
        self._handle = -1

    def _append(self, data: bytes) -> None:
        before = os.fstat(self._handle).st_size
        left = memoryview(data)
        try:
            while left:
                left = left[os.write(self._handle, left) :]
        except OSError:
            if len(left) < len(data):
                with contextlib.suppress(OSError):
                    os.ftruncate(self._handle, before)
            raise


def _opened(path: Path) -> int:
    try:
        with contextlib.suppress(FileNotFoundError):
            if not stat.S_ISREG(path.stat().st_mode):
                raise OutputError(
                    f"{path} is not a regular file; lines are appended to those only.",
                    hint="edgecls run --format jsonl ... > FILE",
                )
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
    except ValueError as error:
        raise OutputError(f"{str(path)!r} is no file name: {error}.") from error
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        raise cannot_write(path, error) from error


def _take(handle: int, path: Path) -> None:
    """Keep other runs off; drives that know no locks are written without."""
    try:
        import fcntl
    except ImportError:  # no such thing on this system
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise OutputError(
            f"Another run writes to {path}.", hint="Give each run a file of its own."
        ) from error
    except OSError:
        return


def _check_kind(handle: int, path: Path, begins: str | None) -> None:
    """Leave other people's files alone; a beginning cut off by a power cut is known, too."""
    if begins is None and b"\0" in os.pread(handle, 4096, 0):
        raise OutputError(
            f"{path} is not a text file; lines are appended to those only.",
            hint="Give the name of a new file.",
        )
    expected = b"" if begins is None else begins.encode()
    found = os.pread(handle, len(expected), 0)
    if found != expected[: len(found)]:
        raise OutputError(
            f"{path} holds something else: it begins with {found[:40]!r}, and a file of this kind"
            f" begins with {expected[:40]!r}.",
            hint="Give the name of a new file, or of one that the same command made.",
        )


def _half_line(handle: int, path: Path) -> int:
    """Number of bytes behind the last newline.

    Raises:
        OutputError: There is no newline near the end: this is no file of lines.
    """
    size = os.fstat(handle).st_size
    start, tail = size, b""
    while start > 0 and b"\n" not in tail:
        if size - start >= _LONGEST_TAIL:
            raise OutputError(
                f"{path} has no line end in its last {_LONGEST_TAIL} bytes: it holds no lines.",
                hint="Give the name of a new file.",
            )
        step = min(start, 65536)
        start -= step
        tail = os.pread(handle, step, start)
    return size - (start + tail.rfind(b"\n") + 1)


def cannot_read(path: Path, error: OSError | ValueError) -> OutputError:
    """The error that says why a file that was written before cannot be read."""
    return OutputError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}.")


def cannot_write(path: Path, error: OSError) -> OutputError:
    """The error that says why a file or folder cannot be written."""
    shown = str(path).encode("utf-8", "backslashreplace").decode()
    parent = path.parent
    if not parent.exists():
        return OutputError(
            f"{shown} cannot be written: there is no folder {parent}.", hint=f"mkdir -p {parent}"
        )
    return OutputError(
        f"{shown} cannot be written: {error.strerror or error}.",
        hint=f"df -h {parent}; ls -ld {parent}",
    )
