"""Which engine runs a model here, and at which precision: asked for, known, or raced for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from models.bundle import Bundle
from models.card import ModelCard, Variant
from models.errors import BackendError, BundleError, UsageError
from runtime.attempts import Attempts, Entrant, Rejection, told
from runtime.backends import backend_named
from runtime.contest import WORTH_IT, contest, first_that_works
from runtime.engine_request import EngineRequest
from runtime.graphs import check_asked, competing, distrust, record_in_words
from runtime.machine import Machine
from runtime.placement import Placement
from runtime.session import Backend, Session
from runtime.settings import resolved

__all__ = ["WORTH_IT", "Choice", "EngineRequest", "Machine", "Rejection", "choose_session"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """An open session, and how it came to be this one.

    Attributes:
        session: The caller closes it. It has run once, so that it is as fast as it will be.
        variant: The graph it runs.
        placement: Where its nodes ran.
        asked: Precision asked for.
        speedup: Speed of the fastest INT8 graph over that of fp32, on this engine and machine;
            None when they did not race.
        remembered: It was measured at an earlier start.
        rejected: Backends and graphs tried before, in order.
        why: Why this engine, one clause.
        left_out: Why INT8 graphs did not race; empty when they did or there are none.
    """

    session: Session
    variant: Variant
    placement: Placement
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
    def device(self) -> str:
        """What runs it, e.g. "CPU": the end of `Session.engine`."""
        return self.session.engine.split(maxsplit=2)[-1]

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
        """E.g. `backend: cuda, onnxruntime 1.23.2 CUDA, fp32: CUDA 96 % of 51 nodes, ... (...)`.

        Args:
            reuse: What is to be said of work that overlapping windows share.
        """
        surprising = told([no for no in self.rejected if no.expected])
        reasons = [self.why_precision, self.why, *surprising, reuse]
        engine = self.session.engine
        name = self.session.backend
        shown = engine if engine.startswith(name) else f"{name}, {engine}"
        why = "; ".join(filter(None, reasons))
        return f"backend: {shown}, {self.precision}: {self.placement.line()} ({why})"


def choose_session(
    bundle: Bundle, asked: EngineRequest, *, machine: Machine | None = None
) -> Choice:
    """Open a bundle on the engine asked for, or on the best one, at a precision.

    A named backend is used or the call fails: it never falls back. Without a name all backends
    that work compete. Each graph of each is opened, run once, and refused where none of its nodes
    ran on the GPU that the backend is for (`strict`: or where too many ran on the CPU). Then they
    race for about `RACE_S` seconds, and the outcome is remembered for this machine, these graphs,
    these engines and what was asked of them. With `race` off, the first of the list that works is
    taken.

    A precision is strict as well. `auto` is fp32, or an INT8 graph if it was calibrated on video
    and, measured here, is at least `WORTH_IT` times as fast as fp32 on the same engine.

    Args:
        bundle: The model.
        asked: What is asked of the engine.
        machine: None for this one.

    Raises:
        UsageError: No backend has that name, no graph that precision, or a backend not that
            setting.
        BackendError: The backend named, or every backend, cannot run the model.
        BundleError: The graph's file is missing or altered, or the card has wrong settings.
    """
    machine = machine or Machine()
    named = (
        None if asked.backend is None else backend_named(asked.backend, backends=machine.backends)
    )
    considered = (named,) if named else machine.backends
    check_asked(bundle.card, asked.precision, backend=asked.backend)
    _check_settings(bundle.card, asked, considered, machine)
    attempts = Attempts(bundle, asked)
    if asked.race:
        won = contest(attempts, considered, machine=machine)
    else:
        precision = "fp32" if asked.precision == "auto" else asked.precision
        won = first_that_works(attempts, considered, precision=precision)
    if won is not None:
        return Choice(
            session=won.entrant.session,
            variant=won.entrant.variant,
            placement=won.entrant.placement,
            asked=asked.precision,
            speedup=won.speedup,
            remembered=won.remembered,
            rejected=tuple(attempts.rejected),
            why=won.why or _rule(won.entrant, considered, named=named is not None),
            left_out=_left_out(bundle, asked, won.entrant.backend),
        )
    if named is not None:
        refusal = attempts.rejected[0]
        raise BackendError(
            f"Backend {named.name} was asked for and cannot be used: {refusal.reason}.",
            hint=refusal.hint or f"edgecls doctor --backend {named.name} tells what is missing.",
        )
    raise attempts.nothing_left()


def _check_settings(
    card: ModelCard, asked: EngineRequest, considered: Sequence[Backend], machine: Machine
) -> None:
    """Refuse settings that no backend has, rather than to race without them."""
    for name in asked.settings:
        backend_named(name, backends=machine.backends)
    for name in card.settings:
        if name not in (backend.name for backend in machine.backends):
            raise BundleError(
                f"The settings in card.json are for a backend {name!r} that there is not.",
                hint=f"Backends: {', '.join(one.name for one in machine.backends)}.",
            )
    for backend in considered:
        try:
            resolved(backend.name, backend.settings, card.settings.get(backend.name, {}))
        except UsageError as error:
            raise BundleError(
                f"The settings in card.json cannot be used: {error.message}", hint=error.hint
            ) from error
        resolved(backend.name, backend.settings, asked.settings.get(backend.name, {}))


def _rule(entrant: Entrant, considered: Sequence[Backend], *, named: bool) -> str:
    """Why an engine was taken that was not measured."""
    if named:
        return f"{entrant.backend.name} asked for"
    names = [backend.name for backend in considered]
    untried = names[names.index(entrant.backend.name) + 1 :]
    rule = "the first of the list that runs here"
    return f"{rule}; {', '.join(untried)} not tried" if untried else rule


def _left_out(bundle: Bundle, asked: EngineRequest, backend: Backend) -> str:
    """Why no INT8 graph of the bundle competed, if there are any."""
    if asked.precision != "auto":
        return ""
    name = backend.name
    reasons = [distrust(one, name) for one in competing(bundle.card, "int8", name)]
    if reasons and not all(reasons):
        return "" if asked.race else "int8 left out: nothing is measured without a race"
    return f"int8 left out: {reasons[0]}" if reasons else ""
