"""How far `edgecls classify` is: a bar on a terminal, else a line now and then."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from edge_cli.progress import counting
from edge_cli.run_output import say

if TYPE_CHECKING:
    from runtime.archive.result import FileResult

EVERY_S = 10.0
"""From line to line where nobody looks."""


class Tally:
    """Counts files, and tells when they will all be done.

    Args:
        total: All files.
        before: Those that were done before.
        clock: Tells seconds.
    """

    def __init__(
        self, *, total: int, before: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.total = total
        self.done = self._before = before
        self.failed = 0
        self._clock = clock
        self._first_s = 0.0

    def add(self, *, failed: bool) -> None:
        """Count a file that is done."""
        if self.done == self._before:
            self._first_s = self._clock()
        self.done += 1
        self.failed += failed

    @property
    def rate(self) -> float:
        """Files per second since the first one of this run; 0 while that is not known."""
        after_first = self.done - self._before - 1
        elapsed_s = self._clock() - self._first_s
        return after_first / elapsed_s if after_first > 0 and elapsed_s > 0 else 0.0

    def line(self) -> str:
        """E.g. `120 of 500 files, 3 failed, 12.3 files/s, 31 s left`."""
        words = [f"{self.done} of {self.total} files"]
        if self.failed:
            words.append(f"{self.failed} failed")
        if self.rate:
            words.append(f"{self.rate:.1f} files/s")
        if self.rate and self.done < self.total:
            words.append(f"{duration((self.total - self.done) / self.rate)} left")
        return ", ".join(words)


def duration(seconds: float) -> str:
    """E.g. `31 s`, `4 min`, `2 h 10 min`, `3 d 4 h`."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    if minutes < 90:
        return f"{minutes} min"
    hours = minutes // 60
    return f"{hours} h {minutes % 60} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"


@contextmanager
def progress_of(tally: Tally) -> Iterator[Callable[[FileResult], None]]:
    """Show how far it is while the block runs.

    Args:
        tally: Counts.

    Yields:
        To be called with every result.
    """
    from rich.console import Console

    shown = Console(stderr=True).is_terminal
    with counting("classifying", tally.total, begun=tally.done) as count:
        said_s = time.monotonic()

        def told(result: FileResult) -> None:
            nonlocal said_s
            tally.add(failed=result.error is not None)
            rate = f"{tally.rate:.1f} files/s" if tally.rate else ""
            count(f"{rate} {tally.failed} failed" if tally.failed else rate)
            if not shown and time.monotonic() - said_s >= EVERY_S:
                said_s = time.monotonic()
                say(tally.line())

        yield told
