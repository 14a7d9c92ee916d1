"""The names under which networks are known: `backbone.…` and `head.…`.

Trainers wrap a network before they save it, and each wrapper leaves a prefix on every name; a
student that is saved on its own has numbers instead of names. Every rule here looks at all names
together and changes them alike, so that no two of them can become one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

WRAPPERS = ("module.", "_layers.", "model.")
"""Prefixes that data parallelism, Paddle's own and others', and trainers put before every name."""

DISTILLED = {"student": "Student.", "teacher": "Teacher."}
"""Prefixes of the two networks of a distillation, by the part that they are."""

_LAYERS = {"0.": "backbone.", "1.": "head."}
"""A student of PaddleVideo is a sequence of two layers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Renamed:
    """Canonical names.

    Attributes:
        names: One for each name given, in the same order; all different.
        bare: The names had neither `backbone.` nor numbers: `backbone.` was added.
        notes: What was changed, one sentence each.
    """

    names: tuple[str, ...]
    bare: bool
    notes: tuple[str, ...]


def unwrapped(names: Sequence[str]) -> tuple[str, ...]:
    """Cut off the wrappers that all names carry, however many and in whatever order."""
    rest = tuple(names)
    while rest:
        prefix = next((one for one in WRAPPERS if all(n.startswith(one) for n in rest)), None)
        if prefix is None:
            break
        rest = tuple(name.removeprefix(prefix) for name in rest)
    return rest


def distilled_parts(names: Iterable[str]) -> tuple[str, ...]:
    """Which networks of a distillation there are: "student", "teacher", both or none."""
    every = tuple(names)
    return tuple(
        part for part, prefix in DISTILLED.items() if any(name.startswith(prefix) for name in every)
    )


def canonical(names: Sequence[str]) -> Renamed:
    """Give the tensors of one network their canonical names.

    Args:
        names: Names of all its tensors, all different.
    """
    rest = unwrapped(names)
    notes = []
    if rest != tuple(names):
        prefix = names[0].removesuffix(rest[0])
        notes.append(f"the names of the tensors begin with '{prefix}', which was cut off")
    if rest and all(name.startswith(tuple(_LAYERS)) for name in rest):
        notes.append("the layers 0 and 1 are backbone and head, as in a student saved on its own")
        rest = tuple(_LAYERS[name[:2]] + name[2:] for name in rest)
    bare = not any(name.startswith("backbone.") for name in rest) and not all(
        name.startswith("head.") for name in rest
    )
    if bare:
        notes.append("the names of the tensors lack 'backbone.', which was added")
        rest = tuple(name if name.startswith("head.") else f"backbone.{name}" for name in rest)
    return Renamed(names=rest, bare=bare, notes=tuple(notes))
