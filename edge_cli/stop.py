"""Stopping on request: Ctrl-C and SIGTERM end a run between two frames, not within one."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

from typing_extensions import Self


class StopRequest:
    """Context manager that turns SIGINT and SIGTERM into a flag; `ask` raises it without a signal.

    The first signal raises the flag and puts the former handlers back, so that a second Ctrl-C
    ends the process at once, wherever it is.

    Attributes:
        received: Somebody asked to stop.
        then: Called when somebody does, maybe within a signal handler: may only set flags.
    """

    def __init__(self) -> None:
        self.received = False
        self.then: Callable[[], None] = lambda: None
        self._former: dict[signal.Signals, Any] = {}

    def ask(self) -> None:
        """Stop, as if a signal had come; from any thread."""
        self.received = True
        self.then()

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self._restore()
        self.ask()

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
