"""Cut an INT8 graph into stages, and let random walks of clips compare them with the whole graph.

The stages are parts of the INT8 graph itself, with its scales, so that they say what it says.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from calibration.clip_set import OnStep
from calibration.report import TargetReport
from calibration.stage_facts import StageCheck, StreamStages
from models.card import ModelCard
from models.stages import Stage
from runtime.backends import backend_named
from runtime.incremental import StagedModel
from runtime.incremental.trial import try_stages

WALK_STEPS = 24
"""Clips of the walk on each engine."""

_STEM = "stage"


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

    @property
    def backends(self) -> tuple[str, ...]:
        """Names of those that were checked."""
        return tuple(check.backend for check in self.facts.checks)


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
    from runtime.temporal.files import write_stages

    cut = cut_into_stages(onnx.load(str(whole)))
    if not cut.stages:
        return f"The INT8 graph has no stages: {cut.temporal.reason}."
    stages = write_stages(cut, scratch, _STEM)
    paths = tuple(scratch / stage.file for stage in stages)
    trials = try_stages(
        StagedModel(clip=card.clip, classes=card.classes, stages=stages, paths=paths),
        whole,
        card,
        backends=[backend_named(name) for name in backends],
        steps=WALK_STEPS,
        on_walk=lambda done, total: on_step("checking stages", done, total),
    )
    checks: list[StageCheck] = []
    for trial in trials:
        if trial.problem or trial.report is None:
            reason = trial.problem.splitlines()[0].replace(f"{scratch}{os.sep}", "")
            return f"The INT8 graph has no stages: {reason}."
        checks.append(
            StageCheck(
                backend=trial.backend,
                clips=trial.report.clips,
                max_rel_diff=trial.report.max_rel_diff,
                tolerance=trial.report.tolerance,
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
