"""A short race between open graphs: turn by turn, so that a busy moment hits them all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from models.errors import EdgeclsError
from runtime.attempts import Attempts, Entrant

RACE_S = 2.0
"""Time for all timed runs of a race together, warm-up not counted; one round is always run."""

RACE_RUNS = 40
"""Timed runs of one entrant at most."""

Clock = Callable[[], float]
"""Monotonic seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """An entrant that finished.

    Attributes:
        entrant: It.
        time_ms: Median time of a run on noise, batch 1.
    """

    entrant: Entrant
    time_ms: float


def race(attempts: Attempts, entrants: Sequence[Entrant], clock: Clock) -> list[Timed]:
    """Time open graphs; those that fail are out.

    Args:
        attempts: Is told of those that fail.
        entrants: Open.
        clock: Measures.

    Returns:
        Those that finished, fastest first.
    """
    shape = attempts.bundle.card.clip.input_shape()
    clips = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)

    def runs(entrant: Entrant) -> bool:
        try:
            entrant.session.run(clips)
        except EdgeclsError as error:
            attempts.reject(entrant.backend, entrant.variant, error.message, error.hint)
            return False
        return True

    running = [(entrant, list[float]()) for entrant in entrants if runs(entrant)]
    used_s, rounds = 0.0, 0
    while running and rounds < RACE_RUNS and used_s < RACE_S:
        finished = []
        for entrant, times_s in running:
            start_s = clock()
            if runs(entrant):
                times_s.append(clock() - start_s)
                used_s += times_s[-1]
                finished.append((entrant, times_s))
        running, rounds = finished, rounds + 1
    timed = [Timed(entrant=one, time_ms=median(times_s) * 1e3) for one, times_s in running]
    return sorted(timed, key=lambda one: one.time_ms)
