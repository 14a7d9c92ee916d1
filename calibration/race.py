"""fp32 and INT8 timed turn by turn on one engine, so that a busy moment hits them all."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from calibration.report import Race
from models.card import ModelCard
from runtime.backends import backend_named
from runtime.session import SessionOptions

RACE_S = 12.0
"""Time for the timed runs of a race."""

MOST_RUNS, LEAST_RUNS = 40, 5

_WARM_UP = 2

WORTH_IT = 1.05
"""Times as fast as fp32 from which INT8 is called faster."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """What a race measured.

    Attributes:
        engine: Engine, version and device.
        runs: Timed runs of each graph.
        median_ms: Median time of a run, by graph.
    """

    engine: str
    runs: int
    median_ms: dict[str, float]


def race(
    graphs: Mapping[str, Path],
    card: ModelCard,
    *,
    backend: str,
    clock: Callable[[], float] = time.perf_counter,
) -> Times:
    """Time graphs on one engine, batch 1, noise as input.

    Args:
        graphs: By name, at least one.
        card: Of the model.
        backend: Name of the engine.
        clock: Monotonic seconds.

    Raises:
        BackendError: The engine cannot load or run one of them.
    """
    clip = np.random.default_rng(0).standard_normal(card.clip.input_shape(), dtype=np.float32)
    with ExitStack() as stack:
        sessions = {
            name: stack.enter_context(backend_named(backend).open(path, card, SessionOptions()))
            for name, path in graphs.items()
        }
        for session in sessions.values():
            for _ in range(_WARM_UP):
                session.run(clip)
        times_s: dict[str, list[float]] = {name: [] for name in sessions}
        start_s, runs = clock(), 0
        while runs < LEAST_RUNS or (runs < MOST_RUNS and clock() - start_s < RACE_S):
            for name, session in sessions.items():
                before_s = clock()
                session.run(clip)
                times_s[name].append(clock() - before_s)
            runs += 1
        engine = next(iter(sessions.values())).engine
    return Times(
        engine=engine,
        runs=runs,
        median_ms={name: float(np.median(taken)) * 1e3 for name, taken in times_s.items()},
    )


def advice(races: Sequence[Race]) -> str:
    """What to make of the speed, one sentence."""
    if not races:
        return "The speed was not measured."
    faster = [one for one in races if one.ratio >= WORTH_IT]
    slower = [one for one in races if one.ratio < WORTH_IT]

    def figures(those: Sequence[Race]) -> str:
        return ", ".join(f"{one.backend} {one.ratio:.2f}" for one in those)

    if not faster:
        return f"Keep fp32 on this machine: INT8 is not faster ({figures(slower)} times as fast)."
    gain = f"INT8 is faster on this machine ({figures(faster)} times as fast as fp32)"
    return f"{gain}, but keep fp32 on {figures(slower)}." if slower else f"{gain}."


def as_race(backend: str, times: Times, path: Path) -> Race:
    """The entry of a graph in the report, against the graph named `fp32`.

    Args:
        backend: That ran them.
        times: Of the race.
        path: The graph; it is named by its file.
    """
    fp32_ms, int8_ms = times.median_ms["fp32"], times.median_ms[path.name]
    return Race(
        backend=backend,
        engine=times.engine,
        file=path.name,
        runs=times.runs,
        fp32_ms=fp32_ms,
        int8_ms=int8_ms,
        ratio=fp32_ms / max(int8_ms, 1e-9),
    )
