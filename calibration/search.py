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

    A recipe is better if more clips have the same best class, and of equal ones if the logits
    have less noise.

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
        figures = judge.agreement(path, backend, clips)
        tried.append(Candidate(recipe=recipe, agreement=figures, chosen=False))
        return tried[-1]

    leader = attempt(best)
    for axis in axes:
        for recipe in tuple(neighbours(family, graph.layers, leader.recipe, axis)):
            if all(recipe != one.recipe for one in tried):
                leader = max(leader, attempt(recipe), key=_merit)
    path.unlink(missing_ok=True)
    judge.on_step(_TITLE, len(tried), len(tried))
    return tuple(one.model_copy(update={"chosen": one.recipe == leader.recipe}) for one in tried)


def chosen(candidates: tuple[Candidate, ...]) -> Recipe:
    """The recipe that won."""
    return next(one.recipe for one in candidates if one.chosen)


def _merit(candidate: Candidate) -> tuple[float, float]:
    snr_db = candidate.agreement.logit_snr_db
    return candidate.agreement.top1_agreement, float("inf") if snr_db is None else snr_db
