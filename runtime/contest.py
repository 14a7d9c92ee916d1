"""The best graph on the best of several engines: the only one, a remembered one, or a race."""

from __future__ import annotations

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
    """

    entrant: Entrant
    speedup: float | None = None
    remembered: bool = False
    why: str = ""


def contest(
    attempts: Attempts, backends: Sequence[Backend], *, precision: str, machine: Machine
) -> Won | None:
    """Open the best graph on the best of these backends.

    Args:
        attempts: Opens, and keeps refusals.
        backends: Those that compete.
        precision: Asked for.
        machine: Has the clock and the memory.

    Returns:
        None when nothing of it can be used.

    Raises:
        BundleError: The file of a graph is missing or altered.
    """
    card = attempts.bundle.card
    works = [backend for backend in backends if attempts.works(backend)]
    graphs = [(one, variant) for one in works for variant in competing(card, precision, one.name)]
    rivals = len(backends) > 1
    if len(graphs) < 2:
        opened = [attempts.open(backend, variant) for backend, variant in graphs]
        return next((Won(entrant=one, why=_ONLY if rivals else "") for one in opened if one), None)
    key = _key(attempts, machine, graphs)
    won = _remembered(attempts, graphs, machine.cache.get(key), rivals=rivals)
    if won is None:
        won = _raced(attempts, graphs, precision, clock=machine.clock, rivals=rivals)
        if won is not None:
            file, backend = won.entrant.variant.file, won.entrant.backend.name
            machine.cache.put(key, Outcome(backend=backend, file=file, speedup=won.speedup))
    return won


def _remembered(
    attempts: Attempts, graphs: Graphs, known: Outcome | None, *, rivals: bool
) -> Won | None:
    for backend, variant in graphs:
        if known is not None and (known.backend, known.file) == (backend.name, variant.file):
            entrant = attempts.open(backend, variant)
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


def _raced(
    attempts: Attempts, graphs: Graphs, precision: str, *, clock: Clock, rivals: bool
) -> Won | None:
    """Open all, keep the best, close the others."""
    with ExitStack() as unless_kept:
        entrants: list[Entrant] = []
        for backend, variant in graphs:
            entrant = attempts.open(backend, variant)
            if entrant is not None:
                unless_kept.callback(entrant.session.close)
                entrants.append(entrant)
        timed = race(attempts, entrants, clock)
        best = next((one for one in timed if precision != "auto" or _may_win(one, timed)), None)
        if best is None:
            return None
        unless_kept.pop_all()
    for entrant in entrants:
        if entrant is not best.entrant:
            entrant.session.close()
    return Won(
        entrant=best.entrant,
        speedup=_speedup(timed, best.entrant.backend),
        why=_why(best, timed) if rivals else "",
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
    engines: dict[str, list[str]] = {}
    for backend, variant in graphs:
        if backend.name not in engines:
            modules = EXTRA_MODULES.get(backend.extra, ())
            loaded = [sys.modules[name] for name in modules if name in sys.modules]
            engines[backend.name] = [
                f"{one.__name__} {getattr(one, '__version__', '')}" for one in loaded
            ]
        engines[backend.name] += [entry.sha256 for entry in variant.files]
    threads = attempts.options.threads or usable_cpus()
    shown = [f"{name} [{', '.join(facts)}]" for name, facts in engines.items()]
    return " | ".join([machine.cpu.model, f"{threads} threads", *shown])
