"""Which family a network that is none of ours comes nearest to, and what differs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_NUMBER = re.compile(r"\d+([a-z]\d*)?(?=[._]|$)|\d+")
"""Numbers, and the `2a` and `4b12` by which ResNets call their blocks."""


def _conv_bn(*layers: str, conv: str = "_conv", norm: str = "_batch_norm") -> tuple[str, ...]:
    """Tensors of convolutions without bias, each with its batch norm."""
    ends = (
        f"{conv}.weight",
        *(f"{norm}.{end}" for end in ("weight", "bias", "_mean", "_variance")),
    )
    return tuple(f"{layer}.{end}" for layer in layers for end in ends)


def _affine(*layers: str) -> tuple[str, ...]:
    return tuple(f"{layer}.{end}" for layer in layers for end in ("weight", "bias"))


def _bottleneck(prefix: str) -> tuple[str, ...]:
    return _conv_bn(*(f"{prefix}.{layer}" for layer in ("conv0", "conv1", "conv2", "short")))


_VD = (
    *_conv_bn("backbone.conv1_1"),
    *_bottleneck("backbone.bb_0_0"),
    *_affine("head.fc"),
)
_PLAIN = (
    *_conv_bn("backbone.conv"),
    *_bottleneck("backbone.res2a"),
    *_affine("head.fc"),
)
_MOBILENET_V2 = (
    *_conv_bn("backbone.conv1", "backbone.conv9"),
    *_conv_bn(
        *(
            f"backbone.conv3.{block}.{layer}"
            for block in ("_first_block", "conv3_2")
            for layer in ("_expand_conv", "_bottleneck_conv", "_linear_conv")
        )
    ),
    *_affine("backbone.out"),
)
_MOBILENET_V3 = (
    *_conv_bn(
        "backbone.conv",
        *(f"backbone.blocks.0.{n}_conv" for n in ("expand", "bottleneck", "linear")),
        "backbone.last_second_conv",
        conv="conv",
        norm="bn",
    ),
    *_affine("backbone.blocks.0.mid_se.conv1"),
    "backbone.last_conv.weight",
    *_affine("backbone.fc"),
)
_LCNET_V2 = (
    *_conv_bn(
        "backbone.stem.0",
        "backbone.stem.1.dw_conv",
        "backbone.stem.1.pw_conv",
        "backbone.stages.0.0.dw_conv",
        "backbone.stages.0.0.pw_conv",
        "backbone.stages.2.0.dw_conv_list.0",
        "backbone.stages.2.0.pw_conv_1",
        conv="conv",
        norm="bn",
    ),
    *_affine("backbone.stages.2.0.dw_conv", "backbone.stages.2.0.se.conv1"),
    "backbone.last_conv.weight",
    *_affine("backbone.fc"),
)

TENSORS: Mapping[str, tuple[str, ...]] = {
    "pp-tsmv2": _LCNET_V2,
    "pp-tsm": _VD,
    "pp-tsn": _VD,
    "pp-tsm-mv2": _MOBILENET_V2,
    "pp-tsm-mv3": _MOBILENET_V3,
    "tsm": _PLAIN,
    "tsn": _PLAIN,
}
"""One tensor of each kind that every member of a family has, by family name.

A kind is what remains of a name when its numbers are forgotten; see `kind`.
"""


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


def nearest(
    names: Iterable[str], tensors: Mapping[str, tuple[str, ...]] = TENSORS
) -> Nearest | None:
    """Find the nearest families.

    Args:
        names: Tensors of the network.
        tensors: Tensors of each family, one of each kind.

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
