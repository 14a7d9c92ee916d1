"""A file under an encoder: every write is whole, and what failed is remembered."""

from __future__ import annotations

import contextlib
import io
import os
from pathlib import Path
from typing import Any


class RawFile(io.RawIOBase):
    """Unbuffered, so that what was written is in the file also after `kill -9`.

    FFmpeg does not tell whether a write failed; `check` does. After a failure nothing is written
    any more: the file ends in what was whole.

    Args:
        path: Made anew; any name that the system takes.

    Raises:
        OSError: It cannot be made.
    """

    def __init__(self, path: Path) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        self._handle = -1
        self._handle = os.open(path, flags, 0o644)
        self._failure: OSError | None = None

    def writable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """Containers complete their headers."""
        return True

    def write(self, data: Any) -> int:
        """Write all of it, or remember why not."""
        left = memoryview(data)
        size = len(left)
        if self._failure is None:
            try:
                while left:
                    left = left[os.write(self._handle, left) :]
            except OSError as error:
                self._failure = error
        return size

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a position."""
        return os.lseek(self._handle, offset, whence)

    def tell(self) -> int:
        """The position."""
        return os.lseek(self._handle, 0, os.SEEK_CUR)

    def check(self) -> None:
        """Raise what a write met.

        Raises:
            OSError: With errno and words of the system.
        """
        if self._failure is not None:
            raise OSError(self._failure.errno, self._failure.strerror)

    def sync(self) -> None:
        """Bring it onto the disk as far as that goes."""
        with contextlib.suppress(OSError):
            os.fsync(self._handle)

    def close(self) -> None:
        """Close it; idempotent."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1
        super().close()
