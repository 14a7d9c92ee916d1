"""PP-TSM on MobileNetV3, large and small: a temporal shift in every block that has a shortcut.

Facts (layer order, names, constants) follow PaddleVideo, `pptsm_mv3.py` at commit ed245e9c:

* blocks: 1 x 1 expansion, depth-wise convolution, optional squeeze-excitation, 1 x 1 projection;
  a block has shift (ratio 1 / T, in its residual branch) and shortcut exactly where its stride is
  1 and its widths are equal;
* the gate of the squeeze-excitation is a hard sigmoid of slope 0.2 and offset 0.5;
* a 1 x 1 convolution, pooling, a 1 x 1 convolution and hard swish; dropout 0.2 in mode
  `downscale_in_infer` multiplies the features by 0.8 at inference; the mean of T feature vectors;
  `fc`.

Large and small are told by their number of blocks, which settles strides and activations. Widths,
kernels and squeeze-excitations are read off the weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import paddle
from paddle import nn
from paddle.nn import functional

from convert.families.layers import (
    Activation,
    ClipNetwork,
    SqueezeExcitation,
    convolution,
    mean_over_frames,
    nothing_to_fold,
    shifted,
)
from convert.family import Architecture, Family, Shapes, affine, conv_bn, count_from
from models.errors import WeightMismatch
from models.spec import ClipSpec

DROPOUT = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """What the weights of a MobileNetV3 do not tell.

    Attributes:
        title: Name for people.
        strides: Stride of every block.
        relu_blocks: Number of leading blocks that use ReLU; the others use hard swish.
        widest: Output channels of `last_second_conv` at width 1.0.
    """

    title: str
    strides: tuple[int, ...]
    relu_blocks: int
    widest: int


VARIANTS = {
    len(variant.strides): variant
    for variant in (
        Variant(
            title="large",
            strides=(1, 2, 1, 2, 1, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1),
            relu_blocks=6,
            widest=960,
        ),
        Variant(
            title="small", strides=(2, 2, 1, 2, 1, 1, 1, 1, 2, 1, 1), relu_blocks=3, widest=576
        ),
    )
}
"""Large and small, by the number of their blocks."""


def hard_sigmoid(x: paddle.Tensor) -> paddle.Tensor:
    """The gate; these are neither Paddle's defaults nor the usual 1/6."""
    return functional.hardsigmoid(x, slope=0.2, offset=0.5)


class ConvBN(nn.Layer):
    """Convolution without bias, then batch norm; named `conv` and `bn`."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, *, stride: int = 1, groups: int = 1
    ) -> None:
        super().__init__()
        self.conv = convolution(inputs, outputs, kernel, stride=stride, groups=groups)
        self.bn = nn.BatchNorm2D(outputs)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return self.bn(self.conv(x))


class Block(nn.Layer):
    """Inverted residual; with a shortcut it also shifts."""

    def __init__(
        self,
        inputs: int,
        block: Mapping[str, Any],
        *,
        stride: int,
        activation: Activation,
        frames: int,
    ) -> None:
        super().__init__()
        expanded, outputs = block["expanded"], block["outputs"]
        self.expand_conv = ConvBN(inputs, expanded, 1)
        self.bottleneck_conv = ConvBN(
            expanded, expanded, block["kernel"], stride=stride, groups=expanded
        )
        self.squeezes = block["squeezed"] is not None
        if self.squeezes:
            self.mid_se = SqueezeExcitation(expanded, block["squeezed"], hard_sigmoid)
        self.linear_conv = ConvBN(expanded, outputs, 1)
        self.shortcut = stride == 1 and inputs == outputs
        self.activation = activation
        self.frames = frames

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        y = shifted(x, self.frames) if self.shortcut else x
        y = self.activation(self.expand_conv(y))
        y = self.activation(self.bottleneck_conv(y))
        if self.squeezes:
            y = self.mid_se(y)
        y = self.linear_conv(y)
        return x + y if self.shortcut else y


class Backbone(nn.Layer):
    """The whole network; published checkpoints keep even the classifier under this name."""

    def __init__(self, architecture: Architecture, frames: int) -> None:
        super().__init__()
        layout = architecture.layout
        variant: Variant = layout["variant"]
        inputs = layout["stem"]
        self.conv = ConvBN(3, inputs, 3, stride=2)
        self.blocks = nn.Sequential()
        for index, block in enumerate(layout["blocks"]):
            activation = functional.relu if index < variant.relu_blocks else functional.hardswish
            layer = Block(
                inputs, block, stride=variant.strides[index], activation=activation, frames=frames
            )
            self.blocks.add_sublayer(str(index), layer)
            inputs = block["outputs"]
        self.last_second_conv = ConvBN(inputs, layout["penultimate"], 1)
        self.last_conv = convolution(layout["penultimate"], layout["features"], 1)
        self.fc = nn.Linear(layout["features"], architecture.classes)
        self.frames = frames

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        x = self.blocks(functional.hardswish(self.conv(x)))
        x = functional.adaptive_avg_pool2d(functional.hardswish(self.last_second_conv(x)), 1)
        x = functional.hardswish(self.last_conv(x)) * (1.0 - DROPOUT)
        return self.fc(mean_over_frames(x, self.frames))


def read(shapes: Shapes) -> Architecture:
    """Read variant, widths, kernels and classes off the shapes; T leaves no trace in them.

    Raises:
        WeightMismatch: There are neither as many blocks as in the large variant nor as in the
            small one, so that the strides are unknown.
    """
    depth = count_from(shapes, "backbone.blocks.{}.")
    if depth not in VARIANTS:
        known = " or ".join(f"{count} ({one.title})" for count, one in VARIANTS.items())
        raise WeightMismatch(
            f"The checkpoint is a pp-tsm-mv3 with {depth} consecutive blocks; expected {known}."
        )
    variant = VARIANTS[depth]
    penultimate = shapes["backbone.last_second_conv.conv.weight"][0]
    width = round(penultimate / variant.widest, 2)
    return Architecture(
        title=f"PP-TSM (MobileNetV3-{variant.title}, width {width:g})",
        classes=shapes["backbone.fc.weight"][1],
        frames=None,
        layout={
            "variant": variant,
            "stem": shapes["backbone.conv.conv.weight"][0],
            "blocks": tuple(_read_block(shapes, index) for index in range(depth)),
            "penultimate": penultimate,
            "features": shapes["backbone.last_conv.weight"][0],
        },
    )


def _read_block(shapes: Shapes, index: int) -> dict[str, int | None]:
    prefix = f"backbone.blocks.{index}"
    depthwise = shapes[f"{prefix}.bottleneck_conv.conv.weight"]
    squeeze = shapes.get(f"{prefix}.mid_se.conv1.weight")
    return {
        "expanded": depthwise[0],
        "kernel": depthwise[3],
        "squeezed": squeeze[0] if squeeze else None,
        "outputs": shapes[f"{prefix}.linear_conv.conv.weight"][0],
    }


def build(architecture: Architecture, frames: int) -> nn.Layer:
    """Make the network in eval mode."""
    return ClipNetwork(Backbone(architecture, frames))


FAMILY = Family(
    name="pp-tsm-mv3",
    marks=("backbone.conv.conv.weight", "backbone.blocks.0.expand_conv.conv.weight"),
    kinds=(
        *conv_bn(
            "backbone.conv",
            *(f"backbone.blocks.0.{part}_conv" for part in ("expand", "bottleneck", "linear")),
            "backbone.last_second_conv",
            conv="conv",
            norm="bn",
        ),
        *affine("backbone.blocks.0.mid_se.conv1"),
        "backbone.last_conv.weight",
        *affine("backbone.fc"),
    ),
    image_classifier="MobileNetV3",
    default_frames=(8,),
    read=read,
    build=build,
    fold=nothing_to_fold,
    clip=lambda frames: ClipSpec(frames=frames),
)
