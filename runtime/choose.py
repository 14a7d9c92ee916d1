"""Which engine runs a model here: asked for, known to be best, or found by a short race."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import numpy as np

from models.bundle import Bundle
from models.errors import BackendError, EdgeclsError
from models.extras import EXTRA_MODULES
from runtime.backends import BACKENDS, backend_named
from runtime.choice_cache import ChoiceCache
from runtime.cpu import CpuInfo, cpu_info, usable_cpus
from runtime.session import Backend, Session, SessionOptions, Tensor

logger = logging.getLogger(__name__)

RACE_S = 2.0
"""Time for all timed runs of a race together, warm-up not counted."""

RACE_RUNS = 10
"""Timed runs of one backend at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """A backend that was tried and does not run the model.

    Attributes:
        backend: Its name.
        reason: Why not, as the end of a sentence.
        hint: Command that would fix it; may be empty.
    """

    backend: str
    reason: str
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """An open session, and how it came to be this one.

    Attributes:
        session: The caller closes it.
        precision: Of the graph it runs.
        rejected: Backends tried before, in order.
        why: One clause.
    """

    session: Session
    precision: str
    rejected: tuple[Rejection, ...]
    why: str

    def line(self) -> str:
        """E.g. `backend: openvino 2026.4.1 CPU, fp32 (Intel CPU: OpenVINO first; ...)`."""
        reasons = [self.why, *(f"{no.backend}: {no.reason}" for no in self.rejected)]
        engine = self.session.engine
        name = self.session.backend
        shown = engine if engine.startswith(name) else f"{name}, {engine}"
        return f"backend: {shown}, {self.precision} ({'; '.join(reasons)})"


def _default_cache() -> ChoiceCache:
    from platformdirs import user_cache_path

    return ChoiceCache(user_cache_path("edgecls", appauthor=False) / "backend-choices.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What the choice depends on besides the model; replaced in tests.

    Attributes:
        backends: Engines in order of preference.
        cpu: The processor.
        clock: Monotonic seconds.
        cache: Remembers races.
    """

    backends: tuple[Backend, ...] = BACKENDS
    cpu: CpuInfo = field(default_factory=cpu_info)
    clock: Callable[[], float] = time.perf_counter
    cache: ChoiceCache = field(default_factory=_default_cache)


def choose_session(
    bundle: Bundle,
    *,
    backend: str | None,
    options: SessionOptions,
    precision: str = "fp32",
    machine: Machine | None = None,
) -> Choice:
    """Open a bundle on the engine asked for, or on the best one.

    A named backend is used or the call fails: it never falls back. Without a name, on an Intel
    CPU the first backend of the list that opens wins; elsewhere those that open race for at most
    `RACE_S` seconds and the winner is remembered for this machine, model and these engines.
    Every backend is tried once, and every refusal is kept.

    Args:
        bundle: The model.
        backend: Name of a backend; None to choose.
        options: Passed on to the engine.
        precision: Variant of the graph.
        machine: None for this one.

    Raises:
        UsageError: No backend has that name.
        BackendError: The backend named, or every backend, cannot run the model.
        BundleError: The graph's file is missing or altered, or there is no such variant.
    """
    machine = machine or Machine()
    named = None if backend is None else backend_named(backend, backends=machine.backends)
    attempt = _Attempt(bundle, bundle.model_path(precision), options)
    if named is not None:
        return _strict(attempt, named, precision)
    if machine.cpu.vendor == "intel":
        session, why = _first(attempt, machine)
    else:
        session, why = _remembered_or_raced(attempt, machine, precision)
    return Choice(session=session, precision=precision, rejected=tuple(attempt.rejected), why=why)


class _Attempt:
    """Opens a model on one backend after another and keeps the refusals."""

    def __init__(self, bundle: Bundle, path: Path, options: SessionOptions) -> None:
        self.bundle = bundle
        self.options = options
        self.rejected: list[Rejection] = []
        self._path = path

    def open(self, backend: Backend) -> Session | None:
        """The session, or None and one more entry in `rejected`."""
        probe = backend.probe()
        if not probe.ok:
            self.reject(backend, probe.reason, probe.hint)
            return None
        try:
            return backend.open(self._path, self.bundle.card, self.options)
        except EdgeclsError as error:
            self.reject(backend, error.message, error.hint)
            return None

    def reject(self, backend: Backend, reason: str, hint: str = "") -> None:
        """Record a refusal."""
        logger.info("backend %s rejected: %s", backend.name, reason)
        self.rejected.append(Rejection(backend=backend.name, reason=reason.rstrip("."), hint=hint))

    def nothing_left(self) -> BackendError:
        """The error when every backend refused."""
        reasons = "; ".join(f"{no.backend}: {no.reason}" for no in self.rejected)
        hint = next((no.hint for no in self.rejected if no.hint), "pip install 'edgecls[cpu]'")
        return BackendError(f"No backend runs {self.bundle.card.name} here ({reasons}).", hint=hint)


def _strict(attempt: _Attempt, backend: Backend, precision: str) -> Choice:
    session = attempt.open(backend)
    if session is None:
        (refusal,) = attempt.rejected
        raise BackendError(
            f"Backend {backend.name} was asked for and cannot be used: {refusal.reason}.",
            hint=refusal.hint or f"pip install 'edgecls[{backend.extra}]'",
        )
    return Choice(session=session, precision=precision, rejected=(), why="asked for")


def _first(attempt: _Attempt, machine: Machine) -> tuple[Session, str]:
    for position, backend in enumerate(machine.backends):
        session = attempt.open(backend)
        if session is not None:
            untried = [later.name for later in machine.backends[position + 1 :]]
            rule = "Intel CPU: OpenVINO first"
            return session, f"{rule}; {', '.join(untried)} not tried" if untried else rule
    raise attempt.nothing_left()


def _remembered_or_raced(
    attempt: _Attempt, machine: Machine, precision: str
) -> tuple[Session, str]:
    key = _key(attempt, machine, precision)
    remembered = machine.cache.get(key)
    if remembered is not None:
        for backend in machine.backends:
            if backend.name == remembered and (session := attempt.open(backend)) is not None:
                return session, "fastest in an earlier race on this machine"
    session, why = _race(attempt, machine)
    machine.cache.put(key, session.backend)
    return session, why


def _race(attempt: _Attempt, machine: Machine) -> tuple[Session, str]:
    """The fastest of all backends that open; the others are closed."""
    refused = {no.backend for no in attempt.rejected}
    with ExitStack() as unless_kept:
        entrants: list[tuple[Backend, Session]] = []
        for backend in machine.backends:
            session = None if backend.name in refused else attempt.open(backend)
            if session is not None:
                unless_kept.callback(session.close)
                entrants.append((backend, session))
        if len(entrants) == 1:
            unless_kept.pop_all()
            return entrants[0][1], "the only one that runs here"
        ranking = _ranking(attempt, entrants, machine.clock)
        if not ranking:
            raise attempt.nothing_left()
        unless_kept.pop_all()
    winner = ranking[0][1]
    for _, session in entrants:
        if session is not winner:
            session.close()
    times = ", ".join(f"{session.backend} {time_ms:.1f} ms" for time_ms, session in ranking)
    return winner, f"fastest of a race: {times}"


def _ranking(
    attempt: _Attempt, entrants: list[tuple[Backend, Session]], clock: Callable[[], float]
) -> list[tuple[float, Session]]:
    """Median milliseconds and session of those that finish, fastest first."""
    times: list[tuple[float, Session]] = []
    clips = _random_clip(attempt.bundle)
    for backend, session in entrants:
        try:
            times.append((_median_ms(session, clips, RACE_S / len(entrants), clock), session))
        except EdgeclsError as error:
            attempt.reject(backend, error.message, error.hint)
    return sorted(times, key=lambda entry: entry[0])


def _random_clip(bundle: Bundle) -> Tensor:
    shape = bundle.card.clip.input_shape()
    return np.random.default_rng(0).standard_normal(shape, dtype=np.float32)


def _median_ms(
    session: Session,
    clips: Tensor,
    budget_s: float,
    clock: Callable[[], float],
) -> float:
    """Median time of a run in milliseconds; one warm-up, then as many as fit, at least one."""
    session.run(clips)
    times_s: list[float] = []
    while len(times_s) < RACE_RUNS and sum(times_s) < budget_s:
        start_s = clock()
        session.run(clips)
        times_s.append(clock() - start_s)
    return median(times_s) * 1e3


def _key(attempt: _Attempt, machine: Machine, precision: str) -> str:
    """All that may change who wins. The probes load the engines, so their versions are known."""
    engines = []
    for backend in machine.backends:
        if backend.probe().ok:
            modules = EXTRA_MODULES.get(backend.extra, ())
            loaded = [sys.modules[name] for name in modules if name in sys.modules]
            versions = [f"{one.__name__} {getattr(one, '__version__', '')}" for one in loaded]
            engines.append(f"{backend.name} [{', '.join(versions)}]")
    threads = attempt.options.threads or usable_cpus()
    model = attempt.bundle.card.variant(precision).sha256
    return " | ".join([machine.cpu.model, f"{threads} threads", model, *engines])
