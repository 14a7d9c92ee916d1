"""Which engine runs a model here, and at which precision: asked for, known, or raced for."""

from __future__ import annotations

from dataclasses import dataclass

from models.bundle import Bundle
from models.card import Variant
from models.errors import BackendError
from runtime.attempts import Attempts, Entrant, Rejection
from runtime.backends import backend_named
from runtime.contest import WORTH_IT, contest
from runtime.graphs import check_asked, competing, distrust, record_in_words
from runtime.machine import Machine
from runtime.session import Backend, Session, SessionOptions

__all__ = ["WORTH_IT", "Choice", "Machine", "Rejection", "choose_session"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """An open session, and how it came to be this one.

    Attributes:
        session: The caller closes it.
        variant: The graph it runs.
        asked: str asked for.
        speedup: Speed of the fastest INT8 graph over that of fp32, on this engine and machine;
            None when they did not race.
        remembered: It was measured at an earlier start.
        rejected: Backends and graphs tried before, in order.
        why: Why this engine, one clause.
        left_out: Why INT8 graphs did not race; empty when they did or there are none.
    """

    session: Session
    variant: Variant
    asked: str
    speedup: float | None
    remembered: bool
    rejected: tuple[Rejection, ...]
    why: str
    left_out: str = ""

    @property
    def precision(self) -> str:
        """Of the graph it runs."""
        return self.variant.precision

    @property
    def why_precision(self) -> str:
        """Why this graph, and how far to trust it; empty when there was nothing to choose."""
        if self.asked != "auto" or self.speedup is None:
            return record_in_words(self.variant, self.session.backend) or self.left_out
        where = "in an earlier race here" if self.remembered else "here"
        if self.precision == "int8":
            trust = record_in_words(self.variant, self.session.backend).replace(
                "with fp32", "with it", 1
            )
            return f"{self.speedup:.1f}x as fast as fp32 {where}; {trust}"
        return f"int8 is not worth it: {self.speedup:.2f}x as fast {where}"

    def line(self, *, reuse: str = "") -> str:
        """E.g. `backend: openvino 2026.4.1 CPU, fp32 (Intel CPU: OpenVINO first; ...)`.

        Args:
            reuse: What is to be said of work that overlapping windows share.
        """
        reasons = [self.why_precision, self.why, *(no.told for no in self.rejected), reuse]
        engine = self.session.engine
        name = self.session.backend
        shown = engine if engine.startswith(name) else f"{name}, {engine}"
        return f"backend: {shown}, {self.precision} ({'; '.join(filter(None, reasons))})"


def choose_session(
    bundle: Bundle,
    *,
    backend: str | None,
    options: SessionOptions,
    precision: str = "fp32",
    machine: Machine | None = None,
) -> Choice:
    """Open a bundle on the engine asked for, or on the best one, at a precision.

    A named backend is used or the call fails: it never falls back. Without a name, on an Intel
    CPU the first backend of the list that works wins; elsewhere all that work compete. Where
    several graphs or backends compete, they race for about `RACE_S` seconds, and the outcome is
    remembered for this machine, these graphs and these engines.

    A precision is strict as well. `auto` is fp32, or an INT8 graph if it was calibrated on video
    and, measured here, is at least `WORTH_IT` times as fast as fp32 on the same engine.

    Args:
        bundle: The model.
        backend: Name of a backend; None to choose.
        options: Passed on to the engine.
        precision: Of the graph.
        machine: None for this one.

    Raises:
        UsageError: No backend has that name, or no graph that precision.
        BackendError: The backend named, or every backend, cannot run the model.
        BundleError: The graph's file is missing or altered.
    """
    machine = machine or Machine()
    named = None if backend is None else backend_named(backend, backends=machine.backends)
    check_asked(bundle.card, precision, backend=backend)
    attempts = Attempts(bundle, options)
    for group in _groups(named, machine):
        won = contest(attempts, group, precision=precision, machine=machine)
        if won is not None:
            return Choice(
                session=won.entrant.session,
                variant=won.entrant.variant,
                asked=precision,
                speedup=won.speedup,
                remembered=won.remembered,
                rejected=tuple(attempts.rejected),
                why=won.why or _rule(won.entrant, named, machine),
                left_out=_left_out(bundle, precision, won.entrant.backend),
            )
    if named is not None:
        refusal = attempts.rejected[0]
        raise BackendError(
            f"Backend {named.name} was asked for and cannot be used: {refusal.reason}.",
            hint=refusal.hint or f"pip install 'edgecls[{named.extra}]'",
        )
    raise attempts.nothing_left()


def _groups(named: Backend | None, machine: Machine) -> tuple[tuple[Backend, ...], ...]:
    """Backends that compete with one another; a later group is for when an earlier one fails."""
    if named is not None:
        return ((named,),)
    if machine.cpu.vendor == "intel":
        return tuple((backend,) for backend in machine.backends)
    return (machine.backends,)


def _rule(entrant: Entrant, named: Backend | None, machine: Machine) -> str:
    """Why an engine was taken that no other competed with."""
    if named is not None:
        return f"{named.name} asked for"
    rule = "Intel CPU: OpenVINO first"
    names = [backend.name for backend in machine.backends]
    untried = names[names.index(entrant.backend.name) + 1 :]
    return f"{rule}; {', '.join(untried)} not tried" if untried else rule


def _left_out(bundle: Bundle, precision: str, backend: Backend) -> str:
    """Why no INT8 graph of the bundle competed, if there are any."""
    if precision != "auto":
        return ""
    name = backend.name
    reasons = [distrust(one, name) for one in competing(bundle.card, "int8", name)]
    return f"int8 left out: {reasons[0]}" if reasons and all(reasons) else ""
