"""A live source and a model as numbers only: what a ladder sees, without waiting for it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from runtime.degrade import Ladder, LadderSpec, Late, Step
from runtime.degrade.ladder import OnShelf

QUEUE = 8


@dataclass(slots=True)
class Shelf:
    """Models that open at once, or as a test says."""

    states: dict[int, OnShelf] = field(default_factory=dict)
    asked: list[int] = field(default_factory=list)

    def ask(self, model: int) -> OnShelf:
        """As the test says."""
        self.asked.append(model)
        return self.states.get(model, "open")


@dataclass(slots=True)
class Plant:
    """Windows come one by one, are queued with the oldest dropped, and computed one at a time.

    Attributes:
        ladder: Decides.
        stride_s: From one window to the next.
        cost_s: Of a window by a model at a time.
        now_s: Where it is.
        steps: Taken so far, with their times.
        ages_ms: Of all results, with their times.
        hidden_s: Time after each result of which nobody tells the ladder.
    """

    ladder: Ladder
    stride_s: float
    cost_s: Callable[[int, float], float]
    now_s: float = 0.0
    number: int = 0
    steps: list[tuple[float, Step]] = field(default_factory=list)
    ages_ms: list[tuple[float, float]] = field(default_factory=list)
    hidden_s: float = 0.0
    queue: deque[float] = field(default_factory=lambda: deque(maxlen=QUEUE))

    def run(self, until_s: float) -> None:
        """Go on until then."""
        while self.now_s < until_s:
            self._arrive()
            if not self.queue:
                self.now_s = self.number * self.stride_s
                continue
            arrived_s = self.queue.popleft()
            cost_s = self.cost_s(self.ladder.rung.model, self.now_s)
            self.now_s += cost_s
            age_ms = (self.now_s - arrived_s) * 1e3
            self.ages_ms.append((self.now_s, age_ms))
            step = self.ladder.result(Late(at_s=self.now_s, age_ms=age_ms, cost_ms=cost_s * 1e3))
            if step is not None:
                self.steps.append((self.now_s, step))
            self.now_s += self.hidden_s

    def _arrive(self) -> None:
        while self.number * self.stride_s <= self.now_s:
            if self.number % self.ladder.rung.every == 0:
                self.queue.append(self.number * self.stride_s)
            self.number += 1

    def latest_ms(self, since_s: float) -> list[float]:
        """Ages of the results since then."""
        return [age_ms for at_s, age_ms in self.ages_ms if at_s >= since_s]


def plant(
    *,
    cost_s: Callable[[int, float], float],
    limit_ms: float = 300.0,
    models: int = 1,
    stride_s: float = 0.3,
    shelf: Shelf | None = None,
) -> Plant:
    """One source and its ladder, at time 0."""
    spec = LadderSpec(limit_ms=limit_ms, models=models, windows_per_s=1.0 / stride_s)
    return Plant(Ladder(spec, shelf or Shelf()), stride_s, cost_s)
