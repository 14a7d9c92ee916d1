"""A file that tells whether anybody opened it."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_IN_OPEN = 0x20


@contextmanager
def watched(path: Path) -> Iterator[None]:
    """Assert that nobody opens a file meanwhile; only Linux can tell."""
    if sys.platform != "linux":
        yield
        return
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = libc.inotify_init1(os.O_NONBLOCK)
    try:
        assert libc.inotify_add_watch(descriptor, bytes(path), _IN_OPEN) >= 0
        yield
        try:
            told = os.read(descriptor, 4096)
        except BlockingIOError:
            told = b""
        assert not told, f"{path} was opened"
    finally:
        os.close(descriptor)
