"""What befalls a live source, told as events in their places among its pictures.

Pure: times and chance are given. Not for two threads at once.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from runtime.records import Picture, SourceEvent, SourceEventKind
from runtime.sources.outage import Outage
from runtime.sources.stream_clock import StreamClock

logger = logging.getLogger(__name__)

GAP_S = 1.0
"""A pause between two pictures that is told, if it is also several times the usual."""

_GAP_PICTURES = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """Time and chance, as a live source sees them.

    Attributes:
        clock: Monotonic seconds; the arrival times of the frames come from it.
        now_s: Seconds since 1970.
        pause: Waits that many seconds.
        chance: Gives numbers from 0 to 1.
    """

    clock: Callable[[], float] = time.monotonic
    now_s: Callable[[], float] = time.time
    pause: Callable[[float], None] = time.sleep
    chance: Callable[[], float] = random.Random().random


class Story:
    """Tells of losses, returns, gaps, leaps of the clock and changes of size.

    Args:
        name: Of the source, for the log.
        retries: Attempts after a loss before it is given up; None: for ever.
        around: Time and chance.
        tell: Takes the events.

    Attributes:
        epoch: Of the pictures that come; higher after every event that breaks windows.
    """

    def __init__(
        self,
        name: str,
        *,
        retries: int | None,
        around: Surroundings,
        tell: Callable[[SourceEvent], None],
    ) -> None:
        self._name = name
        self._around = around
        self._take = tell
        self._clock = StreamClock(around.clock())
        self._outage = Outage(retries, around.chance)
        self._usual_s = 0.0
        self._size: tuple[int, ...] | None = None
        self._arrived_s: float | None = None
        self.epoch = 0

    def opened(self, fps: float | None) -> None:
        """It is open, anew or for the first time; whether pictures come is not known yet."""
        self._usual_s = 0.0 if fps is None else 1.0 / fps
        self._arrived_s = None
        self._clock.restart()

    def picture(self, arrived_s: float, media_s: float | None) -> float:
        """A picture came.

        Args:
            arrived_s: When, on the clock of the surroundings.
            media_s: Its time on the clock of the stream; None where that says nothing.

        Returns:
            When it was taken, in seconds since the source was opened.
        """
        moment = self._clock.picture(arrived_s, media_s)
        before_s, self._arrived_s = self._arrived_s, arrived_s
        away_s = self._outage.over(moment.time_s)
        if away_s is not None:
            self._tell("back", f"back after {away_s:.1f} s", delivers=True, lasted_s=away_s)
        elif moment.leap_s is not None:
            leap = f"the clock of the stream leapt by {moment.leap_s:+.1f} s"
            self._tell("clock", leap, delivers=True, breaks=True)
        elif before_s is not None:
            pause_s = arrived_s - before_s
            if pause_s > max(GAP_S, _GAP_PICTURES * self._usual_s):
                paused = f"no picture for {pause_s:.1f} s"
                self._tell("gap", paused, delivers=True, lasted_s=pause_s)
        return moment.time_s

    def converted(self, picture: Picture) -> None:
        """A picture is there, RGB uint8 [H, W, 3]: it may be of another size than before."""
        size, self._size = self._size, picture.shape
        if size is not None and size != picture.shape:
            sizes = f"{picture.shape[1]}x{picture.shape[0]} instead of {size[1]}x{size[0]}"
            self._tell("resolution", sizes, delivers=True, breaks=True)

    def lost(self, reason: str, *, silent: bool = False) -> float | None:
        """It is lost, or could not be opened. Only the first of several attempts is told.

        Args:
            reason: As `Unreachable.reason`.
            silent: As `Unreachable.silent`.

        Returns:
            Seconds until it is to be tried again; None when it is given up.
        """
        known = self._outage.lasting
        wait_s = self._outage.failed(self._clock.now(self._around.clock()))
        if wait_s is None:
            return None
        text = f"{reason}; trying again in {wait_s:.1f} s"
        if known:
            logger.info("%s: %s", self._name, text)
        else:
            self._tell("silent" if silent else "lost", text, delivers=False, breaks=True)
        return wait_s

    def _tell(
        self,
        kind: SourceEventKind,
        text: str,
        *,
        delivers: bool,
        breaks: bool = False,
        lasted_s: float | None = None,
    ) -> None:
        self.epoch += breaks
        self._take(
            SourceEvent(
                kind=kind,
                text=text,
                time_s=self._clock.now(self._around.clock()),
                at_s=self._around.now_s(),
                delivers=delivers,
                breaks=breaks,
                lasted_s=lasted_s,
            )
        )
