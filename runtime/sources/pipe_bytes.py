"""Bytes from a pipe, in a read that can be cut short."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Callable

_LOOK_S = 0.1
"""How often a read that waits looks whether it is still wanted."""


class PipeBytes:
    """What comes through a pipe. For one thread at a time; `interrupt` is for any.

    Args:
        descriptor: Of the pipe, or of a file; not closed.
        stopping: Whether to give up; looked at while waiting.
    """

    def __init__(self, descriptor: int, *, stopping: Callable[[], bool]) -> None:
        self._descriptor = descriptor
        self._stopping = stopping
        self._interrupted = False
        self._head = b""

    def head(self, count: int) -> bytes:
        """The first bytes, fewer only at the end; `read` gives them once more."""
        while len(self._head) < count:
            more = self._next(count - len(self._head))
            if not more:
                break
            self._head += more
        return self._head

    def read(self, count: int) -> bytes:
        """Some of the next bytes, at most as many; none at the end, and once interrupted.

        Raises:
            OSError: The pipe is broken.
        """
        if self._head:
            some, self._head = self._head[:count], self._head[count:]
            return some
        return self._next(count)

    def read_all(self, count: int) -> bytes:
        """The next bytes, exactly as many; fewer only at the end."""
        parts, missing = [], count
        while missing and (some := self.read(missing)):
            parts.append(some)
            missing -= len(some)
        return b"".join(parts)

    def interrupt(self) -> None:
        """Let everything that is read end here; only sets a flag."""
        self._interrupted = True

    def _next(self, count: int) -> bytes:
        while not self.over:
            if _ready(self._descriptor):
                return os.read(self._descriptor, count)
        return b""

    @property
    def over(self) -> bool:
        """Whether nobody wants to read any more."""
        return self._interrupted or self._stopping()


def _ready(descriptor: int) -> bool:
    """Whether a read would not wait; looks for a moment."""
    if sys.platform == "win32":
        # Nothing there tells: a read that waits is only cut short by the writer.
        return True
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(_LOOK_S * 1000.0))
