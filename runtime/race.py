"""A short race between open graphs: turn by turn, so that a busy moment hits them all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from models.errors import EdgeclsError
from runtime.attempts import Attempts, Entrant

RACE_S = 2.0
"""Time for all timed runs of a race together; one round is always run."""

RACE_RUNS = 40
"""Timed runs of one entrant at most."""

OUT_AFTER = 3
"""Rounds after which those drop out that cannot win, so that the others have the time."""

OUT_AFTER_S = 0.5
"""Time after which they do: where runs are short, all get so many that a busy moment passes."""

OUT_AT = 2.0
"""Times as slow as the fastest, each by its best run, that cannot win."""

Clock = Callable[[], float]
"""Monotonic seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """An entrant that did not fail.

    Attributes:
        entrant: It.
        time_ms: Median time of a run on noise, batch 1.
    """

    entrant: Entrant
    time_ms: float


@dataclass(slots=True)
class _Runner:
    """An entrant and its times so far."""

    entrant: Entrant
    times_s: list[float]


def race(attempts: Attempts, entrants: Sequence[Entrant], clock: Clock) -> list[Timed]:
    """Time open graphs; those that fail are out.

    Args:
        attempts: Is told of those that fail.
        entrants: Open, each has run once.
        clock: Measures.

    Returns:
        Those that did not fail, fastest first.
    """

    def timed_run(runner: _Runner) -> bool:
        start_s = clock()
        try:
            runner.entrant.session.run(attempts.noise)
        except EdgeclsError as error:
            attempts.reject(runner.entrant.backend, runner.entrant.variant, error)
            return False
        runner.times_s.append(clock() - start_s)
        return True

    running = [_Runner(entrant, []) for entrant in entrants]
    too_slow: list[_Runner] = []
    used_s, rounds = 0.0, 0
    while running and rounds < RACE_RUNS and used_s < RACE_S:
        running = [runner for runner in running if timed_run(runner)]
        used_s += sum(runner.times_s[-1] for runner in running)
        rounds += 1
        if rounds >= OUT_AFTER and used_s >= OUT_AFTER_S and running:
            limit_s = OUT_AT * min(min(runner.times_s) for runner in running)
            too_slow += [runner for runner in running if min(runner.times_s) > limit_s]
            running = [runner for runner in running if min(runner.times_s) <= limit_s]
            if len(running) == 1:
                break
    timed = [
        Timed(entrant=runner.entrant, time_ms=median(runner.times_s) * 1e3)
        for runner in (*running, *too_slow)
    ]
    return sorted(timed, key=lambda one: one.time_ms)
