"""What becomes of a source that is lost: how long to wait before it is tried again, and how often.

Pure: times and chance are given.
"""

from __future__ import annotations

from collections.abc import Callable

FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 6.0
"""Waits between attempts double from the first to the longest, which lets a camera be seen again
within ten seconds of its return, connecting included; each is cut by up to a half at random, so
that a hundred boxes do not come back to a server at the same moment."""


class Outage:
    """Counts the attempts in a row that failed, and tells when a source is back.

    An attempt has succeeded when a picture came: a server that accepts and then closes is waited
    for ever longer, like one that refuses.

    Args:
        retries: Attempts after the first failure before it is given up; None: for ever.
        chance: Gives numbers from 0 to 1.
    """

    def __init__(self, retries: int | None, chance: Callable[[], float]) -> None:
        self._retries = retries
        self._chance = chance
        self._failed = 0
        self._since_s: float | None = None

    @property
    def lasting(self) -> bool:
        """Whether the source is lost."""
        return self._since_s is not None

    def failed(self, time_s: float) -> float | None:
        """An attempt failed, or a connection is lost.

        Args:
            time_s: When.

        Returns:
            Seconds until the next attempt; None when it is given up.
        """
        if self._since_s is None:
            self._since_s = time_s
        if self._retries is not None and self._failed >= self._retries:
            return None
        # Ten times doubled it is longer than the longest by far.
        wait_s = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(self._failed, 10))
        self._failed += 1
        return wait_s * (1 - self._chance() / 2)

    def over(self, time_s: float) -> float | None:
        """A picture came.

        Returns:
            Seconds that the source was lost; None if it was not.
        """
        since_s, self._since_s = self._since_s, None
        self._failed = 0
        return None if since_s is None else max(0.0, time_s - since_s)
