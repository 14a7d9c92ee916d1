"""Hysteresis, minimum duration and cooldown over the results of one stream."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from models.errors import BackendError
from runtime.events.changes import Ending, Event, EventChange
from runtime.events.rules import EventRules

_TOLERANCE_S = 1e-6
"""Times are sums of strides; a duration is reached when it is so close."""


@dataclass(slots=True, kw_only=True)
class _Open:
    """A class that holds; an event once it has held for long enough."""

    event: Event
    announced: bool = False


class EventDetector:
    """Events of one stream; pure, without a clock.

    Each class is looked at by itself: it comes on when its probability reaches `on`, and goes off
    when it falls below `off`. It becomes an event, beginning where it came on, when it has held
    for the minimum duration. For the cooldown after an event the class does not come on; if it is
    high when the cooldown is over, it comes on then. A time before that of the last result is a
    new beginning, as after `reset`.

    Args:
        labels: Names of the classes.
        rules: One per class.
        stream: Number of the stream.
        source: Its name.
    """

    def __init__(
        self, labels: Sequence[str], rules: EventRules, *, stream: int = 0, source: str = ""
    ) -> None:
        self._labels = tuple(labels)
        # A class without a rule never reaches 2.
        self._on = np.array([2.0 if rule is None else rule.on for rule in rules])
        self._off = np.array([2.0 if rule is None else rule.off for rule in rules])
        self._least_s = [0.0 if rule is None else rule.least_s for rule in rules]
        self._cooldown_s = [0.0 if rule is None else rule.cooldown_s for rule in rules]
        if len(self._on) != len(self._labels):
            raise ValueError(f"{len(self._on)} rules for {len(self._labels)} classes")
        self._stream = stream
        self._source = source
        self._open: dict[int, _Open] = {}
        self._quiet_until_s: dict[int, float] = {}
        self._last_s: float | None = None
        self._count = 0

    @property
    def active(self) -> tuple[Event, ...]:
        """Events that were announced and last."""
        return tuple(one.event for one in self._open.values() if one.announced)

    def push(self, time_s: float, probabilities: NDArray[np.float64]) -> list[EventChange]:
        """Take a result.

        Args:
            time_s: End of its window.
            probabilities: [classes], finite.

        Returns:
            What began and ended, ends first; else by class.

        Raises:
            BackendError: There are more or fewer probabilities than classes.
        """
        if probabilities.shape != self._on.shape:
            raise BackendError(
                f"A result has probabilities of shape {list(probabilities.shape)}, the model"
                f" {len(self._labels)} classes."
            )
        changes = []
        if self._last_s is not None and time_s < self._last_s - _TOLERANCE_S:
            changes += self.reset()
        self._last_s = time_s
        for number in [one for one in self._open if probabilities[one] < self._off[one]]:
            changes += self._ended(number, "below", time_s)
        for number in map(int, np.flatnonzero(probabilities >= self._on)):
            if number not in self._open and self._may_begin(number, time_s):
                self._open[number] = _Open(event=self._begun(number, time_s))
        for number, state in sorted(self._open.items()):
            lasts = time_s - state.event.start_s >= self._least_s[number] - _TOLERANCE_S
            changes += self._held(state, time_s, float(probabilities[number]), announce=lasts)
        return changes

    def reset(self) -> list[EventChange]:
        """The stream has a gap: what lasts, ends with its last result; cooldowns are forgotten."""
        return self._all_ended("reset")

    def finish(self) -> list[EventChange]:
        """The stream is over."""
        return self._all_ended("end")

    def _may_begin(self, number: int, time_s: float) -> bool:
        return time_s >= self._quiet_until_s.get(number, time_s) - _TOLERANCE_S

    def _begun(self, number: int, time_s: float) -> Event:
        return Event(
            id="",
            label=self._labels[number],
            start_s=time_s,
            peak=0.0,
            peak_s=time_s,
            stream=self._stream,
            source=self._source,
        )

    def _held(
        self, state: _Open, time_s: float, probability: float, *, announce: bool
    ) -> list[EventChange]:
        if probability > state.event.peak:
            state.event = replace(state.event, peak=probability, peak_s=time_s)
        if state.announced or not announce:
            return []
        self._count += 1
        state.announced = True
        state.event = replace(state.event, id=f"{self._stream}-{self._count}")
        return [EventChange(kind="start", event=state.event, time_s=time_s)]

    def _ended(self, number: int, why: Ending, time_s: float) -> list[EventChange]:
        state = self._open.pop(number)
        if not state.announced:
            return []
        if why == "below" and self._cooldown_s[number] > 0:
            self._quiet_until_s[number] = time_s + self._cooldown_s[number]
        event = replace(state.event, end_s=time_s, ended=why)
        return [EventChange(kind="end", event=event, time_s=time_s)]

    def _all_ended(self, why: Ending) -> list[EventChange]:
        last_s = 0.0 if self._last_s is None else self._last_s
        changes = [change for one in sorted(self._open) for change in self._ended(one, why, last_s)]
        self._quiet_until_s.clear()
        self._last_s = None
        return changes
