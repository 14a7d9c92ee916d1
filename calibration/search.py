"""Tries recipes on some calibration clips and keeps the one that agrees best with fp32."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal

from calibration.histogram import Histogram
from calibration.judge import Judge
from calibration.qdq import Fp32Graph, write_qdq
from calibration.recipes import first_recipe, neighbours
from calibration.report import Activations, Agreement, Candidate, Method, Recipe

AXES = ("skips", "granularity", "method")
"""What is varied, one after the other, each time from the best recipe so far."""

CHANCE_CLIPS = 1.5
"""Clips more or less with the same best class that say nothing of a recipe."""

CHANCE_PROBABILITY = 1e-4
"""Mean difference of probabilities that nobody sees: all classes but one are at 0 anyway."""

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
    chance would have it, if its probabilities are nearer; if they are as near, if the logits have
    less noise.

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
    mine, theirs = one.agreement, other.agreement
    gained = (mine.top1_agreement - theirs.top1_agreement) * mine.clips
    if abs(gained) > CHANCE_CLIPS:
        return one if gained > 0 else other
    nearer = theirs.mean_probability_diff - mine.mean_probability_diff
    if abs(nearer) > CHANCE_PROBABILITY:
        return one if nearer > 0 else other
    return one if _snr_db(mine) >= _snr_db(theirs) else other


def _snr_db(figures: Agreement) -> float:
    return math.inf if figures.logit_snr_db is None else figures.logit_snr_db
