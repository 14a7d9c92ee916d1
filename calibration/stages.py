"""Cut an INT8 graph into stages, and let random walks of clips compare them with the whole graph.

The stages are parts of the INT8 graph itself, with its scales, so that they say what it says.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from calibration.clip_set import OnStep
from calibration.report import TargetReport
from calibration.stage_facts import StageCheck, StreamStages
from models.card import BundleFile, ModelCard
from models.errors import BackendError
from models.stages import Stage
from runtime.backends import backend_named
from runtime.incremental import StagedModel, open_staged
from runtime.incremental.walk import WalkReport, walk
from runtime.session import SessionOptions

logger = logging.getLogger(__name__)

WALK_STEPS = 24
"""Clips of the walk on each engine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    """Stage graphs that compute what the whole graph computes.

    Attributes:
        stages: Their entries of the card, in order.
        paths: Their files.
        facts: What the report says of them.
    """

    stages: tuple[Stage, ...]
    paths: tuple[Path, ...]
    facts: StreamStages


def staged(
    whole: Path, card: ModelCard, *, backends: Sequence[str], scratch: Path, on_step: OnStep
) -> Staged | str:
    """Cut a graph and check the stages on every engine that runs the whole graph here.

    Args:
        whole: An ONNX graph, Q/DQ nodes or not.
        card: Of the model.
        backends: Engines to check on, by name; those that do not run the whole graph are left out.
        scratch: Folder for the stages.
        on_step: Told of the progress.

    Returns:
        The stages, or why there are none: a sentence.
    """
    import onnx

    from runtime.temporal.cut import cut_into_stages

    cut = cut_into_stages(onnx.load(str(whole)))
    if not cut.stages:
        return f"The INT8 graph is not cut into stages: {cut.temporal.reason}."
    paths = tuple(scratch / f"stage{place}.onnx" for place in range(len(cut.stages)))
    for one, path in zip(cut.stages, paths, strict=True):
        path.write_bytes(one.model.SerializeToString(deterministic=True))
    stages = tuple(
        Stage(
            kind=one.kind,
            offsets=one.offsets,
            inputs=one.inputs,
            outputs=one.outputs,
            macs=one.macs,
            **BundleFile.of(path).model_dump(),
        )
        for one, path in zip(cut.stages, paths, strict=True)
    )
    model = StagedModel(clip=card.clip, classes=card.classes, stages=stages, paths=paths)
    checks: list[StageCheck] = []
    for backend in backends:
        try:
            found = _walked(model, whole, card, backend=backend, on_step=on_step)
        except BackendError as error:
            return (
                f"The INT8 graph has no stages, as {backend} does not run them:"
                f" {error.message.splitlines()[0]}"
            )
        if found is None:
            continue
        if not found.passed:
            return (
                f"The INT8 graph has no stages: on {backend} they differ from the whole graph by"
                f" {found.max_rel_diff:.2g} of the range of the logits, {found.tolerance:.2g} is"
                " allowed."
            )
        checks.append(
            StageCheck(
                backend=backend,
                clips=found.clips,
                max_rel_diff=found.max_rel_diff,
                tolerance=found.tolerance,
            )
        )
    facts = StreamStages(
        size_bytes=sum(stage.size_bytes for stage in stages),
        macs_per_clip=cut.temporal.macs_per_clip,
        macs_per_step=cut.temporal.macs_per_step,
        checks=tuple(checks),
    )
    return Staged(stages=stages, paths=paths, facts=facts)


def with_stages(report: TargetReport, made: Staged | None) -> TargetReport:
    """The report of a graph with what there is to say of its stages."""
    if made is None or report.target != "onnx":
        return report
    return report.model_copy(update={"stages": made.facts})


def _walked(
    model: StagedModel, whole: Path, card: ModelCard, *, backend: str, on_step: OnStep
) -> WalkReport | None:
    """Walk on one engine; None where it is not installed, or does not run the whole graph.

    Raises:
        BackendError: It runs the whole graph, but not the stages.
    """
    engine, options = backend_named(backend), SessionOptions()
    if not engine.probe().ok:
        return None
    try:
        session = engine.open(whole, card, options)
    except BackendError as error:
        logger.info("no check of stages on %s: %s", backend, error.message)
        return None
    title = f"checking stages on {backend}"
    on_step(title, 0, WALK_STEPS)
    with session, open_staged(model, engine, options) as parts:
        return walk(
            parts,
            session,
            steps=WALK_STEPS,
            on_step=lambda done: on_step(title, done, WALK_STEPS),
        )
