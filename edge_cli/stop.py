"""Stopping on request: Ctrl-C and SIGTERM end a run between two frames, not within one."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

from typing_extensions import Self


class StopRequest:
    """Context manager that turns SIGINT and SIGTERM into a flag.

    The first signal raises the flag and puts the former handlers back, so that a second Ctrl-C
    ends the process at once, wherever it is.

    Attributes:
        received: A signal came.
        then: Called when one comes, within the signal handler: may only set flags.
    """

    def __init__(self) -> None:
        self.received = False
        self.then: Callable[[], None] = lambda: None
        self._former: dict[signal.Signals, Any] = {}

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self.received = True
        self._restore()
        self.then()

    def _restore(self) -> None:
        while self._former:
            number, handler = self._former.popitem()
            signal.signal(number, handler)

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._former[number] = signal.signal(number, self._receive)
        if sys.platform != "win32":
            # Interrupted reads of a device are taken up again; the flag is looked at afterwards.
            for number in self._former:
                signal.siginterrupt(number, False)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._restore()
