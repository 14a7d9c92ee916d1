"""The best graph on the best of several engines: the only one, a remembered one, or a race."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from models.card import Variant
from models.extras import EXTRA_MODULES
from runtime.attempts import Attempts, Entrant
from runtime.choice_cache import Outcome
from runtime.cpu import usable_cpus
from runtime.graphs import competing
from runtime.machine import Machine
from runtime.race import Clock, Timed, race
from runtime.session import Backend

WORTH_IT = 1.05
"""Times as fast as fp32 from which `auto` takes INT8: it costs some accuracy."""

_ONLY = "the only one that runs here"

Graphs = Sequence[tuple[Backend, Variant]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Won:
    """What won, and how.

    Attributes:
        entrant: The winner, open.
        speedup: Speed of the fastest INT8 graph over that of fp32, on the winner's engine; None
            when they did not race.
        remembered: It was measured at an earlier start.
        why: Why this engine, one clause; empty when only one backend was considered.
        failed: Backend and file of the graphs that were to race and failed.
    """

    entrant: Entrant
    speedup: float | None = None
    remembered: bool = False
    why: str = ""
    failed: tuple[tuple[str, str], ...] = ()


def first_that_works(
    attempts: Attempts, backends: Sequence[Backend], *, precision: str
) -> Won | None:
    """Open the first graph that runs, without measuring anything.

    Args:
        attempts: Opens, and keeps refusals.
        backends: In order of preference.
        precision: Of the graph, not `auto`.

    Returns:
        None when nothing of it can be used.

    Raises:
        BundleError: The file of a graph is missing or altered.
    """
    for backend in backends:
        if attempts.works(backend):
            for variant in competing(attempts.bundle.card, precision, backend.name):
                entrant = attempts.start(backend, variant)
                if entrant is not None:
                    return Won(entrant=entrant)
    return None


def contest(attempts: Attempts, backends: Sequence[Backend], *, machine: Machine) -> Won | None:
    """Open the best graph on the best of these backends.

    Args:
        attempts: Opens, and keeps refusals.
        backends: Those that compete.
        machine: Has the clock and the memory.

    Returns:
        None when nothing of it can be used.

    Raises:
        BundleError: The file of a graph is missing or altered.
    """
    card, precision = attempts.bundle.card, attempts.asked.precision
    works = [backend for backend in backends if attempts.works(backend)]
    graphs = [(one, variant) for one in works for variant in competing(card, precision, one.name)]
    rivals = len(backends) > 1
    if len(graphs) < 2:
        opened = [attempts.start(backend, variant) for backend, variant in graphs]
        return next((Won(entrant=one, why=_ONLY if rivals else "") for one in opened if one), None)
    key = _key(attempts, machine, graphs)
    won = _remembered(attempts, graphs, machine.cache.get(key), rivals=rivals)
    if won is None:
        won = _raced(attempts, graphs, clock=machine.clock, rivals=rivals)
        if won is not None:
            outcome = Outcome(
                backend=won.entrant.backend.name,
                file=won.entrant.variant.file,
                speedup=won.speedup,
                failed=won.failed,
            )
            machine.cache.put(key, outcome)
    return won


def _remembered(
    attempts: Attempts, graphs: Graphs, known: Outcome | None, *, rivals: bool
) -> Won | None:
    """The winner of an earlier race, if all that failed then, such as for want of memory, still do.

    What fails is tried at every start, so that the user is told each time.
    """
    if known is None:
        return None
    for backend, variant in graphs:
        if (backend.name, variant.file) in known.failed:
            better = attempts.start(backend, variant)
            if better is not None:
                better.session.close()
                return None
    for backend, variant in graphs:
        if (known.backend, known.file) == (backend.name, variant.file):
            entrant = attempts.start(backend, variant)
            if entrant is not None:
                alone = len({one.name for one, _ in graphs}) == 1
                why = _ONLY if alone else "fastest in an earlier race on this machine"
                return Won(
                    entrant=entrant,
                    speedup=known.speedup,
                    remembered=True,
                    why=why if rivals else "",
                )
    return None


def _raced(attempts: Attempts, graphs: Graphs, *, clock: Clock, rivals: bool) -> Won | None:
    """Open all, keep the best, close the others."""
    with ExitStack() as unless_kept:
        entrants: list[Entrant] = []
        for backend, variant in graphs:
            entrant = attempts.start(backend, variant)
            if entrant is not None:
                unless_kept.callback(entrant.session.close)
                entrants.append(entrant)
        timed = race(attempts, entrants, clock)
        precision = attempts.asked.precision
        best = next((one for one in timed if precision != "auto" or _may_win(one, timed)), None)
        if best is None:
            return None
        unless_kept.pop_all()
    for entrant in entrants:
        if entrant is not best.entrant:
            entrant.session.close()
    finished = {(one.entrant.backend.name, one.entrant.variant.file) for one in timed}
    raced = [(backend.name, variant.file) for backend, variant in graphs]
    return Won(
        entrant=best.entrant,
        speedup=_speedup(timed, best.entrant.backend),
        why=_why(best, timed) if rivals else "",
        failed=tuple(one for one in raced if one not in finished),
    )


def _may_win(one: Timed, timed: Sequence[Timed]) -> bool:
    """fp32 may; another graph only if it is clearly faster than fp32 on the same engine."""
    if one.entrant.variant.precision == "fp32":
        return True
    fp32_ms = _fastest_ms(timed, one.entrant.backend, "fp32")
    return fp32_ms is not None and fp32_ms >= WORTH_IT * one.time_ms


def _speedup(timed: Sequence[Timed], backend: Backend) -> float | None:
    fp32_ms, int8_ms = (_fastest_ms(timed, backend, one) for one in ("fp32", "int8"))
    return fp32_ms / max(int8_ms, 1e-6) if fp32_ms and int8_ms is not None else None


def _fastest_ms(timed: Sequence[Timed], backend: Backend, precision: str) -> float | None:
    return min(
        (
            one.time_ms
            for one in timed
            if (one.entrant.backend.name, one.entrant.variant.precision)
            == (backend.name, precision)
        ),
        default=None,
    )


def _why(best: Timed, timed: Sequence[Timed]) -> str:
    """The best time of each engine, the winner first."""
    fastest: dict[str, float] = {best.entrant.backend.name: best.time_ms}
    for one in timed:
        fastest.setdefault(one.entrant.backend.name, one.time_ms)
    if len(fastest) == 1:
        return _ONLY
    times = ", ".join(f"{name} {time_ms:.1f} ms" for name, time_ms in fastest.items())
    return f"fastest of a race: {times}"


def _key(attempts: Attempts, machine: Machine, graphs: Graphs) -> str:
    """All that may change who wins. The probes load the engines, so their versions are known."""
    asked = attempts.asked
    engines: dict[str, list[str]] = {}
    for backend, variant in graphs:
        if backend.name not in engines:
            modules = EXTRA_MODULES.get(backend.extra, ())
            loaded = [sys.modules[name] for name in modules if name in sys.modules]
            engines[backend.name] = [
                f"{one.__name__} {getattr(one, '__version__', '')}" for one in loaded
            ]
        engines[backend.name] += [entry.sha256 for entry in variant.files]
    asked_for = {
        "precision": asked.precision,
        "device": asked.device,
        "threads": asked.threads or usable_cpus(),
        "parallel": asked.parallel,
        "settings": [attempts.bundle.card.settings, dict(asked.settings)],
        "cpu_share": asked.max_cpu_share if asked.strict else None,
    }
    shown = [f"{name} [{', '.join(facts)}]" for name, facts in engines.items()]
    here = [machine.cpu.model, machine.gpus, json.dumps(asked_for, sort_keys=True)]
    return " | ".join([*here, *shown])
