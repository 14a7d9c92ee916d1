"""When the pictures of a live source were taken: one clock for the whole run, without jumps.

Pure: the times of arrival are given.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

AHEAD_S = 1.0
"""A picture that seems to come from so far ahead: its clock has leapt."""
BACK_S = 0.5
"""So far back from the picture before it: the same."""
LATE_S = 5.0
"""So much later than its clock says: the same."""
DRIFT_S = 30.0
"""Time in which most of a lasting lateness is taken for the drift of a clock."""

_STEP_S = 1e-6
"""Between pictures whose times would be the same."""


@dataclass(frozen=True, slots=True)
class Moment:
    """When a picture was taken.

    Attributes:
        time_s: Seconds since the source was opened.
        leap_s: By how much the clock of the stream has leapt before it; None where it has not.
    """

    time_s: float
    leap_s: float | None = None


class StreamClock:
    """Place pictures on the clock of the run.

    A picture without a time of its own was taken when it arrived. Where the stream has a clock
    (RTP, a container), that gives the distances between pictures, free of the jitter of the
    network; the arrivals say where they lie. The picture that came soonest counts as not
    delayed, and others are as late as their clock says. A lateness that lasts is drift, and is
    followed over `DRIFT_S`. A leap of the stream's clock makes a new start at the arrival.

    Times always increase, and never lie behind the arrival (but for a microsecond per picture
    where several arrive at once).

    Args:
        opened_s: Zero of the run, on the clock of the arrivals.
    """

    def __init__(self, opened_s: float) -> None:
        self._opened_s = opened_s
        self._newest_s = -math.inf
        self._offset_s: float | None = None
        self._media_s = 0.0
        self._arrived_s = opened_s

    def restart(self) -> None:
        """Forget the clock of the stream: another one follows."""
        self._offset_s = None

    def now(self, clock_s: float) -> float:
        """Time of something that happens now; not before the newest picture."""
        return max(clock_s - self._opened_s, self._newest_s)

    def picture(self, arrived_s: float, media_s: float | None) -> Moment:
        """Place the next picture.

        Args:
            arrived_s: When it arrived; never before the one before it.
            media_s: Its time on the stream's clock; None or NaN where that says nothing.
        """
        time_s, leap_s = arrived_s, None
        if media_s is not None and math.isfinite(media_s):
            leap_s = self._follow(arrived_s, media_s)
            time_s = media_s + (self._offset_s or 0.0)
        self._arrived_s = arrived_s
        self._newest_s = max(time_s - self._opened_s, self._newest_s + _STEP_S)
        return Moment(self._newest_s, leap_s)

    def _follow(self, arrived_s: float, media_s: float) -> float | None:
        """Move the offset; by how much the stream's clock has leapt."""
        since_s = arrived_s - media_s
        offset_s, step_s = self._offset_s, media_s - self._media_s
        self._media_s = media_s
        if offset_s is None:
            self._offset_s = since_s
            return None
        late_s = since_s - offset_s
        if step_s < -BACK_S or not -AHEAD_S <= late_s <= LATE_S:
            self._offset_s = since_s
            return -late_s
        if late_s < 0 or step_s <= 0:
            self._offset_s = since_s
        else:
            passed_s = arrived_s - self._arrived_s
            self._offset_s = offset_s + late_s * -math.expm1(-passed_s / DRIFT_S)
        return None
