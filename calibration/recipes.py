"""Which layers of a family stay fp32, and which ways of quantizing are tried."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from calibration.layers import Layers
from calibration.report import Activations, Granularity, Method, Recipe

Skip = Callable[[Layers], tuple[str, ...]]


def _first(layers: Layers) -> tuple[str, ...]:
    return (layers.first,)


def _last(layers: Layers) -> tuple[str, ...]:
    return (layers.last,)


SKIPS: dict[str, Skip] = {
    "first layer": _first,
    "last layer": _last,
    "squeeze-excitation": lambda layers: layers.gates,
    "hard-swish": lambda layers: layers.hard_swish,
}
"""Rules that keep nodes in fp32, by the name that reports show."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FamilyRecipe:
    """Where the search for a family starts.

    Attributes:
        granularities: Tried in this order.
        skips: Sets of rules, tried in this order.
    """

    granularities: tuple[Granularity, ...] = ("per_channel", "per_tensor")
    skips: tuple[tuple[str, ...], ...] = ((),)


_GATED = (("squeeze-excitation",), ())

FAMILIES: dict[str, FamilyRecipe] = {
    "pp-tsmv2": FamilyRecipe(skips=_GATED),
    "pp-tsm-mv3": FamilyRecipe(
        granularities=("per_tensor", "per_channel"),
        skips=(("squeeze-excitation", "hard-swish"), ("hard-swish",), ()),
    ),
}
"""Families with blocks of their own; all others are quantized whole."""

METHODS: tuple[Method, ...] = ("minmax", "percentile", "entropy")


def first_recipe(
    family: str, layers: Layers, *, method: Method, activations: Activations, reduce_range: bool
) -> Recipe:
    """What the search for a family starts from."""
    known = FAMILIES.get(family, FamilyRecipe())
    return _recipe(
        layers,
        known.skips[0],
        method=method,
        granularity=known.granularities[0],
        activations=activations,
        reduce_range=reduce_range,
    )


def neighbours(family: str, layers: Layers, recipe: Recipe, axis: str) -> Iterator[Recipe]:
    """Recipes that differ from one in a single respect.

    Args:
        family: Gives what is worth trying.
        layers: Of the graph.
        recipe: To differ from.
        axis: `method`, `granularity` or `skips`.
    """
    known = FAMILIES.get(family, FamilyRecipe())
    if axis == "method":
        for method in METHODS:
            if method != recipe.method:
                yield recipe.model_copy(update={"method": method})
    elif axis == "granularity":
        for granularity in known.granularities:
            if granularity != recipe.granularity:
                yield recipe.model_copy(update={"granularity": granularity})
    else:
        for skip in known.skips:
            if skip != recipe.skipped:
                yield _recipe(
                    layers,
                    skip,
                    method=recipe.method,
                    granularity=recipe.granularity,
                    activations=recipe.activations,
                    reduce_range=recipe.reduce_range,
                )


def _recipe(
    layers: Layers,
    skips: tuple[str, ...],
    *,
    method: Method,
    granularity: Granularity,
    activations: Activations,
    reduce_range: bool,
) -> Recipe:
    kept = {name for skip in skips for name in SKIPS[skip](layers)}
    effective = tuple(skip for skip in skips if SKIPS[skip](layers))
    return Recipe(
        method=method,
        granularity=granularity,
        activations=activations,
        reduce_range=reduce_range,
        skipped=effective,
        fp32_layers=tuple(name for name in layers.operators if name in kept),
    )
