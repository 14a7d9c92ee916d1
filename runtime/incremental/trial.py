"""Let the engines that are here try stages before anything relies on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from models.card import ModelCard
from models.errors import EdgeclsError
from runtime.incremental.clips import StagedModel
from runtime.incremental.opening import open_staged
from runtime.incremental.walk import EVERY_KIND, WalkReport, walk
from runtime.session import Backend, SessionOptions

OnWalk = Callable[[int, int], None]
"""Told how many steps were made, and of how many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What came of a walk on one engine.

    Attributes:
        backend: Its name.
        report: None where the engine runs the whole graph but not the stages.
        problem: Why the stages cannot be relied on, without a full stop; empty when they can.
    """

    backend: str
    report: WalkReport | None
    problem: str


def try_stages(
    model: StagedModel,
    whole: Path,
    card: ModelCard,
    *,
    backends: Sequence[Backend],
    steps: int = EVERY_KIND,
    on_walk: OnWalk | None = None,
) -> Iterator[Trial]:
    """Walk on every engine that runs the whole graph here.

    Args:
        model: The stages.
        whole: The graph that they were cut from.
        card: Of the model.
        backends: Engines to try; those that are absent or do not run the whole graph are left out.
        steps: Of each walk.
        on_walk: Told of the progress; starts anew with every engine.

    Yields:
        One trial per engine that ran the whole graph.
    """
    options = SessionOptions()
    for backend in backends:
        if backend.open_stage is None or not backend.probe().ok:
            continue
        try:
            session = backend.open(whole, card, options)
        except EdgeclsError:
            continue
        with session:
            try:
                with open_staged(model, backend, options) as staged:
                    report = walk(staged, session, steps=steps, on_step=_counted(on_walk, steps))
            except EdgeclsError as error:
                problem = f"{backend.name} does not run them: {error.message.rstrip('.')}"
                yield Trial(backend=backend.name, report=None, problem=problem)
            else:
                yield Trial(backend=backend.name, report=report, problem=_problem(backend, report))


def _counted(on_walk: OnWalk | None, steps: int) -> Callable[[int], None] | None:
    return None if on_walk is None else lambda done: on_walk(done, steps)


def _problem(backend: Backend, report: WalkReport) -> str:
    if report.passed:
        return ""
    return (
        f"on {backend.name} they differ from the whole graph by {report.max_rel_diff:.2g} of the"
        f" range of the logits, {report.tolerance:.2g} is allowed"
    )
