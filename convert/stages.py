"""Cut the fp32 graph into stages, and keep them only if they compute what it computes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from models.card import ModelCard
from runtime.backends import BACKENDS
from runtime.incremental import StagedModel
from runtime.incremental.trial import try_stages
from runtime.temporal.cut import cut_into_stages
from runtime.temporal.files import write_stages

if TYPE_CHECKING:
    from onnx import ModelProto

STEM = "stream"
"""What the names of the files of stages begin with."""


def with_stages(
    card: ModelCard,
    graph: ModelProto,
    folder: Path,
    *,
    wanted: bool,
    on_step: Callable[[int, int], None],
) -> tuple[ModelCard, tuple[str, ...]]:
    """Add to a card where the model mixes frames, and to its folder the stages.

    Args:
        card: Of the model, without stages.
        graph: Its fp32 graph, the file of which is in `folder`.
        folder: Of the bundle.
        wanted: Whether stages are to be made.
        on_step: Told how much of it is done, and of how much.

    Returns:
        The card, and a note where stages were made but cannot be relied on. Their files are
        removed then.
    """
    on_step(0, 1)
    cut = cut_into_stages(graph)
    card = card.model_copy(update={"temporal": cut.temporal})
    if not cut.stages:
        return card, ()
    if not wanted:
        return _without_stages(card, "the stage graphs were left out with --no-stages"), ()
    stages = write_stages(cut, folder, STEM)
    paths = tuple(folder / stage.file for stage in stages)
    model = StagedModel(clip=card.clip, classes=card.classes, stages=stages, paths=paths)
    first = card.variants[0]
    trials = try_stages(model, folder / first.file, card, backends=BACKENDS, on_walk=on_step)
    problems = [trial.problem for trial in trials if trial.problem]
    if problems:
        for path in paths:
            path.unlink()
        note = f"no stage graphs: {'; '.join(problems)}"
        return _without_stages(card, "the stage graphs did not pass their check"), (note,)
    staged = first.model_copy(update={"stages": stages})
    return card.model_copy(update={"variants": (staged, *card.variants[1:])}), ()


def _without_stages(card: ModelCard, why: str) -> ModelCard:
    """The card of a model whose work could be shared, if it had its stages."""
    temporal = card.temporal
    if temporal is None:
        return card
    whole = {
        "macs_per_step": temporal.macs_per_clip,
        "reason": f"{why}; with them {temporal.reason}",
    }
    return card.model_copy(update={"temporal": temporal.model_copy(update=whole)})
