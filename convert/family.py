"""What a network family is to the converter."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from models.spec import ClipSpec

if TYPE_CHECKING:
    from paddle import nn

Shapes = Mapping[str, tuple[int, ...]]
"""Shape of every tensor of a checkpoint, by name."""

ParameterNames = Mapping[str, str]
"""Name that Paddle gave each parameter, by the name of the tensor: `linear_1.w_0` by
`head.fc.weight`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """One member of a family, as read off the weights.

    Attributes:
        title: Name shown to people, e.g. "PP-TSMv2 (PP-LCNetV2, width 1.0)".
        classes: Number of classes.
        frames: Frames per clip where the weights tell it, else None.
        layout: What the family needs to build the network; opaque to everyone else.
    """

    title: str
    classes: int
    frames: int | None
    layout: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """A network family.

    Attributes:
        name: Name used by `--family`.
        marks: Tensor names that together tell this family from all others.
        kinds: One tensor of each kind that every member has, from which it is told how near a
            network is that is none of ours; see `convert.nearest.kind`.
        default_frames: Frame counts that published members use, the usual one first.
        any_frames: The network has no temporal operation but a mean, so that any number of
            frames will do and the usual one is taken without asking.
        claims: Tells this family from one with the very same tensors by the names that Paddle
            gave the parameters when the network was built (tensor name to parameter name; empty
            where the checkpoint has lost them). True only when they decide.
        caution: A sentence where those names say that the checkpoint, although its tensors are
            this family's, was trained as something that this family is not; else empty.
        image_classifier: Image classifier of PaddleClas that has this family's tensors, but for
            `backbone.`; empty where there is none.
        read: Reads the architecture off the shapes of a checkpoint that bears the marks. It may
            raise `KeyError` for a tensor that it needs and that is not there, `IndexError` for
            one with too few axes, `WeightMismatch` where the shapes make no member.
        build: Makes the Paddle network for an architecture and a number of frames: eval mode,
            input float32 [N, T, 3, H, W], output logits [N, classes], parameter names as in
            published checkpoints.
        fold: Merges re-parameterised branches of a built network in place, once its weights
            are loaded.
        clip: Preprocessing that PaddleVideo uses for this family, for a number of frames.
    """

    name: str
    marks: tuple[str, ...]
    kinds: tuple[str, ...]
    default_frames: tuple[int, ...]
    read: Callable[[Shapes], Architecture]
    build: Callable[[Architecture, int], nn.Layer]
    fold: Callable[[nn.Layer], None]
    clip: Callable[[int], ClipSpec]
    any_frames: bool = False
    claims: Callable[[ParameterNames], bool] = lambda _: False
    caution: Callable[[ParameterNames], str] = lambda _: ""
    image_classifier: str = ""


def conv_bn(*layers: str, conv: str = "_conv", norm: str = "_batch_norm") -> tuple[str, ...]:
    """Tensors of convolutions without bias, each with its batch norm."""
    ends = (
        f"{conv}.weight",
        *(f"{norm}.{end}" for end in ("weight", "bias", "_mean", "_variance")),
    )
    return tuple(f"{layer}.{end}" for layer in layers for end in ends)


def affine(*layers: str) -> tuple[str, ...]:
    """Tensors of layers with weight and bias."""
    return tuple(f"{layer}.{end}" for layer in layers for end in ("weight", "bias"))


def count_from(shapes: Shapes, pattern: str) -> int:
    """Number of consecutive indices i from 0 for which `pattern.format(i)` starts a name.

    For names `stages.0.x`, `stages.1.x` and the pattern `stages.{}.` the answer is 2.
    """
    count = 0
    while any(name.startswith(pattern.format(count)) for name in shapes):
        count += 1
    return count
