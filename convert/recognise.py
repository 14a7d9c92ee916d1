"""Read family, architecture and frame count off the weights; refuse what does not fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from convert.family import Architecture, Family, ParameterNames, Shapes
from convert.known_networks import known_network, what_to_do
from convert.nearest import nearest
from convert.pdparams import Weights
from models.errors import FamilyError, WeightMismatch

IMAGENET_CLASSES = 1000

_SHOWN = 3
_NO_NAMES: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Recognised:
    """What a checkpoint is.

    Attributes:
        family: Its family.
        architecture: The member of that family.
        notes: How it was told where the tensors alone do not tell, and what speaks against it,
            one sentence each.
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
    called: str = "",
) -> Recognised:
    """Decide which family a checkpoint belongs to; never by guessing.

    Args:
        shapes: Shape of every tensor.
        families: Families to try.
        asked: Name that the user gave, or "auto".
        parameter_names: Name that Paddle gave a parameter, by the name of the tensor.
        renamed: The names had no `backbone.`; it was added.
        called: Name of the file, or of the model; decides between families with the same
            tensors where nothing else does.

    Raises:
        FamilyError: None or several families fit, or another one than asked, or the weights may
            be an image classifier's.
        WeightMismatch: The family is clear, but a tensor that defines its architecture is
            missing or has the wrong rank.
    """
    known = known_network(shapes)
    fitting = [family for family in families if all(mark in shapes for mark in family.marks)]
    if known is not None or not fitting:
        raise _foreign(shapes, families, asked=asked, known=known, renamed=renamed)
    if asked != "auto":
        family = _as_asked(shapes, families, fitting, asked)
        notes = _contradiction(family, fitting, parameter_names)
    else:
        family, notes = _told_apart(fitting, parameter_names, called)
    architecture = _read(family, shapes)
    if renamed and family.image_classifier:
        notes += _may_be_classifier(family, architecture, asked)
    caution = family.caution(parameter_names)
    if caution:
        notes += (caution,)
    return Recognised(family=family, architecture=architecture, notes=notes)


def _as_asked(
    shapes: Shapes, families: Sequence[Family], fitting: Sequence[Family], asked: str
) -> Family:
    for family in fitting:
        if family.name == asked:
            return family
    missing = [
        mark
        for family in families
        if family.name == asked
        for mark in family.marks
        if mark not in shapes
    ]
    raise FamilyError(
        f"The checkpoint is not {asked}: these weights are {_or(fitting)}; {asked} needs"
        f" {', '.join(missing)}.",
        hint="Leave --family away to have it recognised.",
    )


def _told_apart(
    fitting: Sequence[Family], parameter_names: ParameterNames, called: str
) -> tuple[Family, tuple[str, ...]]:
    """The only family that fits, or of several the one that the checkpoint's names speak of."""
    if len(fitting) == 1:
        return fitting[0], ()
    claiming = [family for family in fitting if family.claims(parameter_names)]
    if len(claiming) == 1:
        others = _or([family for family in fitting if family is not claiming[0]])
        return claiming[0], (
            f"{claiming[0].name} and {others} have the same tensors; the names that the training"
            f" gave to the parameters are {claiming[0].name}'s",
        )
    named = [family for family in fitting if _named_in(family, called)]
    if len(named) == 1:
        others = _or([family for family in fitting if family is not named[0]])
        return named[0], (
            f"{named[0].name} and {others} have the same tensors; {named[0].name} was taken,"
            f" because it is called {called} (--family for the other)",
        )
    names = ", ".join(family.name for family in fitting)
    described = ", ".join(f"{family.name} {_in_time(family)}" for family in fitting)
    raise FamilyError(
        f"The checkpoint fits several families: {names}. They have the very same tensors, but"
        f" {described}; nothing in this file tells which it was trained as.",
        hint=f"Say which, as MODEL in the training configuration does:"
        f" {' or '.join(f'--family {family.name}' for family in fitting)}",
    )


def _named_in(family: Family, called: str) -> bool:
    """Whether a model is called after a family: `ppTSM_k400_uniform.pdparams` after pp-tsm."""
    plain = "".join(letter for letter in called.lower() if letter.isalnum())
    return family.name.replace("-", "").removeprefix("pp") in plain


def _in_time(family: Family) -> str:
    """What a family does with the frames of a clip, in words: in this, twins differ."""
    return (
        "only averages over the frames"
        if family.any_frames
        else "shifts channels between neighbouring frames"
    )


def _contradiction(
    family: Family, fitting: Sequence[Family], parameter_names: ParameterNames
) -> tuple[str, ...]:
    return tuple(
        f"the names that the training gave to the parameters are {twin.name}'s, but {family.name}"
        " was asked for; compare its predictions with those of the training"
        for twin in fitting
        if twin is not family and twin.claims(parameter_names)
    )


def _may_be_classifier(family: Family, architecture: Architecture, asked: str) -> tuple[str, ...]:
    classifier = family.image_classifier
    if architecture.classes == IMAGENET_CLASSES and asked == "auto":
        raise FamilyError(
            f"These are weights of the image classifier {classifier} ({IMAGENET_CLASSES} ImageNet"
            f" classes), which {family.name} starts its training from: their names have no"
            " 'backbone.'.",
            hint=f"If it is a video network all the same: --family {family.name}",
        )
    return (
        f"the image classifier {classifier} has the same tensors under the same names, without"
        f" 'backbone.'; that this is {family.name} cannot be known from the file",
    )


def _read(family: Family, shapes: Shapes) -> Architecture:
    try:
        return family.read(shapes)
    except KeyError as error:
        raise WeightMismatch(
            f"The checkpoint is a {family.name}, but its tensor {error.args[0]} is missing."
        ) from error
    except IndexError as error:
        raise WeightMismatch(
            f"The checkpoint is a {family.name}, but a tensor that defines its widths has too few"
            " axes."
        ) from error
    except ZeroDivisionError as error:
        raise WeightMismatch(
            f"The checkpoint is a {family.name}, but a tensor that defines its widths is empty."
        ) from error


def _foreign(
    shapes: Shapes, families: Sequence[Family], *, asked: str, known: str | None, renamed: bool
) -> FamilyError:
    """The error for a network that is none of ours: what it is, what is near, what differs."""
    added = "backbone." if renamed else ""
    compared = [family for family in families if asked in ("auto", family.name)]
    if asked == "auto":
        who = f"matches none of the families {', '.join(family.name for family in families)}"
    else:
        who = f"is not {asked}"
    own = _list([name.removeprefix(added) for name in shapes])
    why = f"it holds weights of {known}" if known else f"it has the tensors {own}"
    close = nearest(shapes, {family.name: family.kinds for family in compared})
    differs = ""
    if close is not None:
        marks = [mark for one in compared if one.name in close.families for mark in one.marks]
        lacking = [mark for mark in marks if mark not in shapes] + list(close.lacking)
        differs = (
            f" It has {close.share:.0%} of the kinds of tensors of {' or '.join(close.families)}"
            f"{_clause('lacks', lacking, added)}{_clause('has besides', close.extra, added)}."
        )
    return FamilyError(f"The checkpoint {who}: {why}.{differs}", hint=what_to_do(known))


def _clause(text: str, names: Sequence[str], added: str) -> str:
    own = [name.removeprefix(added) for name in dict.fromkeys(names)]
    return f", {text} {_list(own)}" if own else ""


def _or(families: Sequence[Family]) -> str:
    return " or ".join(family.name for family in families)


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
        usual = defaults[0]
        fewer = next((count for count in defaults if count < usual), max(usual // 2, 1))
        return usual, (
            f"any number of frames per clip works; {usual}, the usual number, was taken, and fewer"
            f" are faster: --frames {fewer}",
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
