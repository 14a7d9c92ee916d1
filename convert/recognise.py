"""Read family, architecture and frame count off the weights; refuse what does not fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from convert.family import Architecture, Family, ParameterNames, Shapes
from convert.pdparams import Weights
from models.errors import FamilyError, WeightMismatch

_SHOWN = 3
_NO_NAMES: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Recognised:
    """What a checkpoint is.

    Attributes:
        family: Its family.
        architecture: The member of that family.
        notes: How it was told where the tensors alone do not tell, one sentence each.
    """

    family: Family
    architecture: Architecture
    notes: tuple[str, ...] = ()


def recognise(
    shapes: Shapes,
    families: Sequence[Family],
    *,
    asked: str = "auto",
    parameter_names: ParameterNames = _NO_NAMES,
    renamed: bool = False,
) -> Recognised:
    """Decide which family a checkpoint belongs to.

    Args:
        shapes: Shape of every tensor.
        families: Families to try.
        asked: Name that the user gave, or "auto".
        parameter_names: Name that Paddle gave a parameter, by the name of the tensor.
        renamed: The names had no `backbone.`; it was added.

    Raises:
        FamilyError: None or several families fit, or another one than asked.
        WeightMismatch: The family is clear, but a tensor that defines its architecture is
            missing or has the wrong rank.
    """
    fitting = [family for family in families if all(mark in shapes for mark in family.marks)]
    names = [family.name for family in fitting]
    if asked != "auto" and asked not in names:
        found = f"these weights are {' or '.join(names)}" if names else "it matches no known family"
        missing = [
            mark
            for family in families
            if family.name == asked
            for mark in family.marks
            if mark not in shapes
        ]
        raise FamilyError(
            f"The checkpoint is not {asked}: {found}; {asked} needs {', '.join(missing)}.",
            hint="Leave --family away to have it recognised." if names else "",
        )
    if asked != "auto":
        fitting = [family for family in fitting if family.name == asked]
    if not fitting:
        example = ", ".join(list(shapes)[:_SHOWN])
        raise FamilyError(
            f"The checkpoint ({len(shapes)} tensors: {example}, …) matches none of the families"
            f" {', '.join(family.name for family in families)}.",
            hint="Export it with Paddle and convert the exported model: SRC may be a folder with"
            " inference.json and inference.pdiparams.",
        )
    claimed = [family for family in fitting if family.claims(parameter_names)]
    notes: tuple[str, ...] = ()
    if len(fitting) > 1 and len(claimed) == 1:
        fitting = claimed
        notes = (f"{claimed[0].name} was told from its twin by the names of the parameters",)
    if renamed:
        notes = (*notes, "the names of the tensors had no 'backbone.'")
    if len(fitting) > 1:
        raise FamilyError(
            f"The checkpoint fits several families: {', '.join(names)}.",
            hint=f"Say which: --family {names[0]}",
        )
    family = fitting[0]
    try:
        return Recognised(family=family, architecture=family.read(shapes), notes=notes)
    except KeyError as error:
        raise WeightMismatch(
            f"The checkpoint is a {family.name}, but its tensor {error.args[0]} is missing."
        ) from error
    except IndexError as error:
        raise WeightMismatch(
            f"The checkpoint is a {family.name}, but a tensor that defines its widths has too few"
            " axes."
        ) from error


def resolve_frames(
    *,
    asked: int | None,
    config: int | None,
    weights: int | None,
    defaults: Sequence[int],
    any_frames: bool = False,
) -> tuple[int, tuple[str, ...]]:
    """Settle the number of frames per clip.

    Args:
        asked: From `--frames`.
        config: From `inference.yml`.
        weights: From the weights or the exported program.
        defaults: Counts that published members use, the usual one first.
        any_frames: Any number will do, so that the usual one is taken without asking.

    Returns:
        Frames per clip, and what was assumed, one sentence each.

    Raises:
        FamilyError: Nothing tells T, or two sources disagree.
    """
    if weights is not None:
        for origin, value in (("--frames", asked), ("inference.yml", config)):
            if value is not None and value != weights:
                raise FamilyError(
                    f"{origin} says {value} frames, but the model is built for {weights}.",
                    hint=f"--frames {weights}",
                )
        return weights, ()
    if asked is not None:
        return asked, ()
    if config is not None:
        return config, ()
    if any_frames:
        return defaults[0], (
            f"any number of frames works; {defaults[0]}, which the family was tested with, was"
            " taken; fewer is faster: --frames 8",
        )
    choices = " or ".join(map(str, defaults))
    raise FamilyError(
        "How many frames does a clip have? A temporal shift has no weights, so the checkpoint"
        f" does not tell; published members of this family use {choices}.",
        hint=f"Answer with --frames {defaults[0]} (num_seg in the training configuration).",
    )


def check_weights(weights: Weights, expected: Shapes, family: str) -> None:
    """Compare a checkpoint with the network it is to fill, tensor by tensor.

    Raises:
        WeightMismatch: A tensor is missing, extra, misshapen or not finite; named.
    """
    missing = [name for name in expected if name not in weights]
    if missing:
        raise WeightMismatch(f"The {family} checkpoint lacks {_list(missing)}.")
    extra = [name for name in weights if name not in expected]
    if extra:
        raise WeightMismatch(
            f"The checkpoint has tensors that {family} does not have: {_list(extra)}."
        )
    wrong = [
        f"{name} is {list(weights[name].shape)}, expected {list(shape)}"
        for name, shape in expected.items()
        if tuple(weights[name].shape) != tuple(shape)
    ]
    if wrong:
        raise WeightMismatch(f"Tensors have the wrong shape: {_list(wrong)}.")
    for name, array in weights.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            bad = int(array.size - np.isfinite(array).sum())
            raise WeightMismatch(
                f"{name} holds {bad} value(s) that are NaN or infinite, of {array.size}.",
                hint="The training diverged or the file is damaged; use an earlier checkpoint.",
            )


def _list(items: Sequence[str]) -> str:
    more = f" and {len(items) - _SHOWN} more" if len(items) > _SHOWN else ""
    return ", ".join(items[:_SHOWN]) + more
