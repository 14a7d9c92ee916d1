"""When results come too late: which step to take, and when to take it back.

Pure: no clock, no threads, no models; it is told of every result, and says what is to change.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from statistics import median
from typing import Literal, Protocol

Direction = Literal["down", "up", "stays"]
"""A step to less work, one back, or none although results are late."""

Why = Literal["queued", "slow", "room", "no_gain", "nothing_left"]
"""Results wait for those before them; a single one takes too long; there is room for more; a model
turned out no quicker; no step is left that would help."""

OnShelf = Literal["open", "opening", "failed"]

SETTLING = 2
"""Results of a source that a model needs until it knows what its windows share: at most one for
every grid on which they take turns, which are two with a model of half the frames."""


@dataclass(frozen=True, slots=True)
class Rung:
    """What is computed.

    Attributes:
        every: Of so many windows, one.
        model: By which model; 0 is the one that was asked for, each further one is cheaper.
    """

    every: int = 1
    model: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LadderSpec:
    """How far and how hastily it goes down and up.

    Attributes:
        limit_ms: Age of results above which it goes down.
        models: How many there are, at least 1.
        windows_per_s: Of all live sources together, when every window is computed.
        most_every: Largest `Rung.every`, a power of 2.
        settling: So many results of a model that is new are not looked at: it knows nothing yet of
            what overlapping windows share.
        results: So many results after a step are looked at before the next one.
        remembered: Newest results of which the median counts.
        up_after_s: Least time between a step and one back up.
        regret_s: A step up that is taken back within this time doubles the time until the next.
            That no step is left is told so often at most.
        longest_up_after_s: Up to so long.
        retry_after_s: A model that was no quicker is tried again after so long.
        room: Largest share of the limit, and of the time there is, that a step up may be
            expected to need.
    """

    limit_ms: float
    models: int
    windows_per_s: float
    most_every: int = 4
    settling: int = SETTLING
    results: int = 3
    remembered: int = 5
    up_after_s: float = 10.0
    regret_s: float = 60.0
    longest_up_after_s: float = 640.0
    retry_after_s: float = 3600.0
    room: float = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class Late:
    """A result of a live source.

    Attributes:
        at_s: When it came, monotonic.
        age_ms: Time since its newest frame arrived.
        cost_ms: Preparation and inference, of the whole batch.
        batch: Windows in that.
    """

    at_s: float
    age_ms: float
    cost_ms: float
    batch: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What is to change.

    Attributes:
        direction: Where to.
        before: Where it was.
        after: Where it is from now on.
        level: Steps that `after` is below the top.
        why: The reason.
        age_ms: Median age of the newest results.
        cost_ms: Their median cost.
    """

    direction: Direction
    before: Rung
    after: Rung
    level: int
    why: Why
    age_ms: float
    cost_ms: float


class Shelf(Protocol):
    """The models, opened when they are needed."""

    def ask(self, model: int) -> OnShelf:
        """Whether a model can be used now; one that is not open begins to open."""


@dataclass(slots=True)
class _Descent:
    """A step to a cheaper model, to be gone back one day.

    Attributes:
        above: The model before.
        cost_ms: What a result cost with it.
        ratio: How many times as much that is as with the cheaper one; None until it is measured.
    """

    above: int
    cost_ms: float
    ratio: float | None = None


_QUEUED = 0.25
"""Share of the age that is waiting, above which fewer windows help."""

_GAIN = 1.05
"""A model that is not at least so many times as quick is none to go down to."""


@dataclass(slots=True)
class _Seen:
    """The results since the last step."""

    ages_ms: deque[float]
    costs_ms: deque[float]
    each_ms: deque[float]
    count: int = 0

    @classmethod
    def nothing(cls, remembered: int) -> _Seen:
        """Before the first."""
        return cls(deque(maxlen=remembered), deque(maxlen=remembered), deque(maxlen=remembered))

    def add(self, result: Late) -> None:
        """Count a result."""
        self.ages_ms.append(result.age_ms)
        self.costs_ms.append(result.cost_ms)
        self.each_ms.append(result.cost_ms / result.batch)
        self.count += 1


@dataclass(slots=True)
class Ladder:
    """Less work while results are late, one step at a time, and back when there is room.

    Down: where results wait for one another, every second window is computed, then every fourth;
    where they do not, or that is not enough, the next model, if it proves quicker. Up: the model
    before, else twice the windows, if the costs measured so far leave room for it. A result whose
    newest frame came before the last step says nothing about that step and is not counted.

    Args:
        spec: How far and how hastily.
        shelf: The models; number 0 is in use.
    """

    spec: LadderSpec
    shelf: Shelf
    rung: Rung = field(default_factory=Rung, init=False)
    _path: list[_Descent] = field(default_factory=list, init=False)
    _not_before_s: dict[int, float] = field(default_factory=dict, init=False)
    _seen: _Seen = field(init=False)
    _since_s: float = field(default=float("-inf"), init=False)
    _settling: int = field(default=0, init=False)
    _went_up: bool = field(default=False, init=False)
    _up_after_s: float = field(init=False)
    _stayed_s: float | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._seen = _Seen.nothing(self.spec.remembered)
        self._up_after_s = self.spec.up_after_s
        self._settling = self.spec.settling

    @property
    def level(self) -> int:
        """Steps below the top."""
        return self.rung.every.bit_length() - 1 + len(self._path)

    def result(self, result: Late) -> Step | None:
        """Take a result; what is to change by it, if anything."""
        if result.at_s - result.age_ms / 1e3 < self._since_s:
            return None
        if self._settling > 0:
            self._settling -= 1
            return None
        self._seen.add(result)
        if self._seen.count < self.spec.results:
            return None
        if self._path and self._path[-1].ratio is None:
            back = self._measured(result.at_s)
            if back is not None:
                return back
        if median(self._seen.ages_ms) > self.spec.limit_ms:
            return self._down(result.at_s)
        return self._up(result.at_s)

    def _measured(self, at_s: float) -> Step | None:
        """Learn how much quicker the model in use is; back to that before if it is not."""
        descent = self._path[-1]
        descent.ratio = descent.cost_ms / max(median(self._seen.costs_ms), 1e-6)
        if descent.ratio >= _GAIN:
            return None
        self._not_before_s[self.rung.model] = at_s + self.spec.retry_after_s
        self._path.pop()
        return self._step("up", Rung(self.rung.every, descent.above), "no_gain", at_s)

    def _down(self, at_s: float) -> Step | None:
        age_ms, cost_ms = median(self._seen.ages_ms), median(self._seen.costs_ms)
        queued = age_ms - cost_ms > _QUEUED * age_ms
        if queued and self.rung.every < self.spec.most_every:
            return self._step("down", Rung(self.rung.every * 2, self.rung.model), "queued", at_s)
        model = self._cheaper(at_s)
        if isinstance(model, int):
            self._path.append(_Descent(self.rung.model, cost_ms))
            why: Why = "queued" if queued else "slow"
            return self._step("down", Rung(self.rung.every, model), why, at_s)
        if model == "opening" or self._stayed_s is not None:
            return None
        self._stayed_s = at_s
        return Step(
            direction="stays",
            before=self.rung,
            after=self.rung,
            level=self.level,
            why="nothing_left",
            age_ms=age_ms,
            cost_ms=cost_ms,
        )

    def _cheaper(self, at_s: float) -> int | Literal["opening"] | None:
        """The next model that may help, if it is open."""
        for model in range(self.rung.model + 1, self.spec.models):
            if self._not_before_s.get(model, at_s) > at_s:
                continue
            found = self.shelf.ask(model)
            if found == "open":
                return model
            if found == "opening":
                return "opening"
            self._not_before_s[model] = float("inf")
        return None

    def _up(self, at_s: float) -> Step | None:
        """One step back up, if it can be expected to last."""
        if self._stayed_s is not None and at_s - self._stayed_s >= self.spec.regret_s:
            self._stayed_s = None
        lasted_s = at_s - self._since_s
        if self._went_up and lasted_s >= self.spec.regret_s:
            self._up_after_s = self.spec.up_after_s
        if lasted_s < self._up_after_s or self._seen.count < self.spec.remembered:
            return None
        every, model = self.rung.every, self.rung.model
        if self._path:
            descent = self._path[-1]
            room = descent.ratio is not None and self._room(descent.ratio, every)
            if room and self.shelf.ask(descent.above) == "open":
                self._path.pop()
                return self._step("up", Rung(every, descent.above), "room", at_s)
        if every > 1 and self._room(1.0, every // 2):
            return self._step("up", Rung(every // 2, model), "room", at_s)
        return None

    def _room(self, ratio: float, every: int) -> bool:
        """Whether there is room for results that cost so many times as much, so often."""
        cost_ms = median(self._seen.costs_ms)
        age_ms = median(self._seen.ages_ms) + cost_ms * (ratio - 1.0)
        each_s = median(self._seen.each_ms) * ratio / 1e3
        busy = each_s * self.spec.windows_per_s / every
        return age_ms <= self.spec.room * self.spec.limit_ms and busy <= self.spec.room

    def _step(self, direction: Direction, after: Rung, why: Why, at_s: float) -> Step:
        seen, before, spec = self._seen, self.rung, self.spec
        if direction == "down" and self._went_up and at_s - self._since_s < spec.regret_s:
            self._up_after_s = min(2 * self._up_after_s, spec.longest_up_after_s)
        self._settling = spec.settling if after.model != before.model else 0
        self.rung, self._since_s = after, at_s
        self._went_up = direction == "up" and why == "room"
        self._seen = _Seen.nothing(spec.remembered)
        self._stayed_s = None
        return Step(
            direction=direction,
            before=before,
            after=after,
            level=self.level,
            why=why,
            age_ms=median(seen.ages_ms),
            cost_ms=median(seen.costs_ms),
        )
