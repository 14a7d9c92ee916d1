"""What is said of events: that one began, and that it is over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Ending = Literal["below", "reset", "end"]
"""Why an event ended: its class fell below `off`, the stream had a gap, or the run ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A span of time in which one class held.

    Times are those of the results, i.e. of the end of their windows: what a window shows has
    happened up to one window length before.

    Attributes:
        id: `STREAM-NUMBER`, the number counting from 1 in each stream of a run.
        label: Name of the class.
        start_s: Time of the first result at or above the class's `on`.
        peak: Highest probability so far, 0 to 1; after smoothing, if there is any.
        peak_s: Time of that result.
        end_s: Time of the result that ended it, or of the last one before a gap; None while
            it lasts.
        ended: Why it ended; None while it lasts.
        stream: Number of the stream, from 0.
        source: The stream's name.
    """

    id: str
    label: str
    start_s: float
    peak: float
    peak_s: float
    end_s: float | None = None
    ended: Ending | None = None
    stream: int = 0
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventChange:
    """An event began or ended.

    Attributes:
        kind: "start" or "end".
        event: As it is now. The peak of a "start" is that of the results up to now.
        time_s: Time of the result at which this became known.
    """

    kind: Literal["start", "end"]
    event: Event
    time_s: float
