"""Smoothing and events of all streams of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runtime.events.changes import Event, EventChange
from runtime.events.detector import EventDetector
from runtime.events.rules import EventRules
from runtime.events.smoothing import Smoothing, smoother


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Watched:
    """What became of a result.

    Attributes:
        probabilities: [classes], smoothed if that was asked for.
        changes: Events that began or ended by it, in the order in which they are to be told.
    """

    probabilities: NDArray[np.float64]
    changes: tuple[EventChange, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedStream:
    """What is to be made of the results of a stream.

    Attributes:
        source: Its name.
        rules: When events begin and end; None when no events are wanted.
        smoothing: None for none.
    """

    source: str
    rules: EventRules | None = None
    smoothing: Smoothing | None = None


class EventWatch:
    """Keeps the streams of a run apart; pure, without a clock.

    Args:
        labels: Classes of the model.
        streams: In the order of their numbers.
    """

    def __init__(self, labels: Sequence[str], streams: Sequence[WatchedStream]) -> None:
        self._smoothers = [
            None if one.smoothing is None else smoother(one.smoothing) for one in streams
        ]
        self._detectors = [
            None
            if one.rules is None
            else EventDetector(labels, one.rules, stream=number, source=one.source)
            for number, one in enumerate(streams)
        ]
        self._resets = [0 for _ in streams]
        self._last_s = [-np.inf for _ in streams]

    @property
    def active(self) -> tuple[Event, ...]:
        """Events that last, by stream."""
        return tuple(event for one in self._detectors if one is not None for event in one.active)

    def push(
        self, stream: int, time_s: float, probabilities: NDArray[np.floating], *, resets: int = 0
    ) -> Watched:
        """Take a result.

        A stream starts anew, its events ended, when `resets` has grown or its time has gone back.

        Args:
            stream: Number of the stream.
            time_s: End of the result's window.
            probabilities: [classes]; not modified.
            resets: How often the stream has been interrupted so far.

        Raises:
            BackendError: There are more or fewer probabilities than classes.
        """
        changes: list[EventChange] = []
        if resets > self._resets[stream] or time_s < self._last_s[stream]:
            changes += self.reset(stream)
        self._resets[stream] = resets
        self._last_s[stream] = time_s
        smooth, detector = self._smoothers[stream], self._detectors[stream]
        values = np.array(probabilities, np.float64)
        if smooth is not None:
            values = smooth.push(time_s, values)
        if detector is not None:
            changes += detector.push(time_s, values)
        return Watched(probabilities=values, changes=tuple(changes))

    def reset(self, stream: int) -> list[EventChange]:
        """A stream has a gap, which may be told before its next result comes."""
        smooth, detector = self._smoothers[stream], self._detectors[stream]
        if smooth is not None:
            smooth.reset()
        return [] if detector is None else detector.reset()

    def finish(self) -> list[EventChange]:
        """All streams are over."""
        return [change for one in self._detectors if one is not None for change in one.finish()]
