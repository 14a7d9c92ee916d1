"""Streams that come in bursts, or faster than they are to be watched, one picture at its time."""

from __future__ import annotations

import time
from collections.abc import Callable

from runtime.sources.connection import Unwanted

LATE_S = 0.5
"""A picture that is later than this sets the pace anew, as the stream had to wait for it."""
AHEAD_S = 20.0
"""So does one that is not due for so long: its clock has leapt."""

_LOOK_S = 0.1


class DueTimes:
    """Holds pictures back until their time has come, counted from the first.

    Args:
        unwanted: Whether to stop waiting.
        clock: Monotonic seconds.
        sleep: Waits that many seconds.
    """

    def __init__(
        self,
        unwanted: Unwanted,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._unwanted = unwanted
        self._clock = clock
        self._sleep = sleep
        self._zero_s: float | None = None

    def wait_for(self, media_s: float) -> None:
        """Wait until it is time for the picture of that time of the stream's own clock."""
        now_s = self._clock()
        zero_s = now_s - media_s
        if self._zero_s is None or not -AHEAD_S <= zero_s - self._zero_s <= LATE_S:
            self._zero_s = zero_s
        while (left_s := self._zero_s + media_s - self._clock()) > 0 and not self._unwanted():
            self._sleep(min(left_s, _LOOK_S))
