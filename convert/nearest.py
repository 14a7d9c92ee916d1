"""Which family a network that is none of ours comes nearest to, and what differs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_NUMBER = re.compile(r"\d+([a-z]\d*)?(?=[._]|$)|\d+")
"""Numbers, and the `2a` and `4b12` by which ResNets call their blocks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Nearest:
    """The families that share most kinds of tensors with a network.

    Attributes:
        families: Names; several where their tensors are the same.
        share: How many of the family's kinds of tensors the network has, 0 to 1.
        lacking: Tensors of the family whose kind the network lacks.
        extra: Tensors of the network whose kind the family lacks, the first of each kind.
    """

    families: tuple[str, ...]
    share: float
    lacking: tuple[str, ...]
    extra: tuple[str, ...]


def kind(name: str) -> str:
    """What remains of a tensor's name when its numbers are forgotten.

    `backbone.bb_3_2.conv0._conv.weight` is of the kind `backbone.bb_#_#.conv#._conv.weight`, and
    `backbone.res4b12.short._conv.weight` of the kind `backbone.res#.short._conv.weight`.
    """
    return _NUMBER.sub("#", name)


def nearest(names: Iterable[str], tensors: Mapping[str, tuple[str, ...]]) -> Nearest | None:
    """Find the nearest families.

    Args:
        names: Tensors of the network.
        tensors: By family name, one tensor of each kind that every member has.

    Returns:
        The families with the largest share; of equal shares, the one whose network has the
        fewest kinds besides. None where none has any kind in common with the network.
    """
    first: dict[str, str] = {}
    for name in names:
        first.setdefault(kind(name), name)
    twins: dict[tuple[str, ...], list[str]] = {}
    for family, needed in tensors.items():
        twins.setdefault(needed, []).append(family)
    compared = [_compared(first, needed, families) for needed, families in twins.items()]
    best = max(compared, key=lambda one: (one.share, -len(one.extra)), default=None)
    return best if best is not None and best.share > 0 else None


def _compared(first: Mapping[str, str], needed: Iterable[str], families: Iterable[str]) -> Nearest:
    kinds = {kind(name): name for name in needed}
    lacking = tuple(name for one, name in kinds.items() if one not in first)
    return Nearest(
        families=tuple(families),
        share=1 - len(lacking) / len(kinds),
        lacking=lacking,
        extra=tuple(name for one, name in first.items() if one not in kinds),
    )
