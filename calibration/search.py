"""Tries recipes on some calibration clips and keeps the one that agrees best with fp32."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from calibration.histogram import Histogram
from calibration.judge import Judge
from calibration.qdq import Fp32Graph, write_qdq
from calibration.recipes import first_recipe, neighbours
from calibration.report import Activations, Candidate, Method, Recipe

AXES = ("skips", "granularity", "method")
"""What is varied, one after the other, each time from the best recipe so far."""

CHANCE_CLIPS = 1.5
"""Clips more or less with the same best class that say nothing of a recipe."""

_TITLE = "trying recipes"


def searched(
    graph: Fp32Graph,
    histograms: dict[str, Histogram],
    judge: Judge,
    *,
    method: Literal["auto"] | Method,
    activations: Activations,
    reduce_range: bool,
    scratch: Path,
    backend: str,
) -> tuple[Candidate, ...]:
    """Try recipes for the family of the model.

    A recipe is better if more clips have the same best class; if that differs by no more than
    chance would have it, if its probabilities are nearer.

    Args:
        graph: To quantize.
        histograms: Values of its activations.
        judge: Compares.
        method: The only one to try, or `auto`.
        activations: Their type.
        reduce_range: 7-bit weights.
        scratch: For the graphs.
        backend: Engine to run on.

    Returns:
        All that were tried, exactly one of them chosen.

    Raises:
        BackendError: The engine cannot run a graph.
    """
    family = judge.card.family
    start: Method = "minmax" if method == "auto" else method
    best = first_recipe(
        family, graph.layers, method=start, activations=activations, reduce_range=reduce_range
    )
    axes = AXES if method == "auto" else AXES[:-1]
    clips = judge.search_clips()
    path = scratch / "candidate.onnx"
    tried: list[Candidate] = []

    def attempt(recipe: Recipe) -> Candidate:
        judge.on_step(_TITLE, len(tried), 0)
        write_qdq(graph, histograms, recipe, path)
        figures = judge.agreement(judge.logits(path, backend, clips), backend, clips)
        tried.append(Candidate(recipe=recipe, agreement=figures, chosen=False))
        return tried[-1]

    leader = attempt(best)
    for axis in axes:
        for recipe in tuple(neighbours(family, graph.layers, leader.recipe, axis)):
            if all(recipe != one.recipe for one in tried):
                leader = _better(leader, attempt(recipe))
    path.unlink(missing_ok=True)
    judge.on_step(_TITLE, len(tried), len(tried))
    return tuple(one.model_copy(update={"chosen": one.recipe == leader.recipe}) for one in tried)


def chosen(candidates: tuple[Candidate, ...]) -> Recipe:
    """The recipe that won."""
    return next(one.recipe for one in candidates if one.chosen)


def _better(one: Candidate, other: Candidate) -> Candidate:
    """The better of two; the first of equal ones."""
    clips = one.agreement.clips
    gained = (one.agreement.top1_agreement - other.agreement.top1_agreement) * clips
    if abs(gained) > CHANCE_CLIPS:
        return one if gained > 0 else other
    differences = [each.agreement.mean_probability_diff for each in (one, other)]
    return one if differences[0] <= differences[1] else other
