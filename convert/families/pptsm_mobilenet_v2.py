"""PP-TSM on MobileNetV2: a temporal shift in every block that has a shortcut.

Facts (layer order, names, constants) follow PaddleVideo, `pptsm_mv2.py` at commit ed245e9c:

* seven stages `conv2` to `conv8` of inverted residuals: 1 x 1 expansion, 3 x 3 depth-wise, 1 x 1
  projection, with ReLU6 after the first two; the first stage expands too, by a factor of 1;
* the first block of a stage has neither shift nor shortcut, even where the shapes would allow one;
  every other block has both, the shift (ratio 1 / T) only in its residual branch;
* a 1 x 1 convolution, pooling, the mean of T feature vectors, `out`; no dropout.

Widths, depths and expansions are read off the weights; the strides are the same at every width.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import paddle
from paddle import nn
from paddle.nn import functional

from convert.families.layers import (
    ClipNetwork,
    ConvBN,
    mean_over_frames,
    nothing_to_fold,
    shifted,
)
from convert.family import Architecture, Family, Shapes, affine, conv_bn
from models.spec import ClipSpec

STRIDES = {"conv2": 1, "conv3": 2, "conv4": 2, "conv5": 2, "conv6": 1, "conv7": 2, "conv8": 1}
"""Stages, and the stride of the first block of each."""

STEM = 32
"""Output channels of the first convolution at width 1.0."""


class Block(nn.Layer):
    """Inverted residual; with a shortcut it also shifts."""

    def __init__(
        self, inputs: int, stage: Mapping[str, Any], *, stride: int, shortcut: bool, frames: int
    ) -> None:
        super().__init__()
        expanded = inputs * stage["expansion"]
        self._expand_conv = ConvBN(inputs, expanded, 1)
        self._bottleneck_conv = ConvBN(expanded, expanded, 3, stride=stride, groups=expanded)
        self._linear_conv = ConvBN(expanded, stage["outputs"], 1)
        self.shortcut = shortcut
        self.frames = frames

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        y = shifted(x, self.frames) if self.shortcut else x
        y = functional.relu6(self._expand_conv(y))
        y = functional.relu6(self._bottleneck_conv(y))
        y = self._linear_conv(y)
        return x + y if self.shortcut else y


class Stage(nn.Layer):
    """`_first_block`, then the blocks with shortcuts, which are named after the stage."""

    def __init__(self, inputs: int, stage: Mapping[str, Any], *, name: str, frames: int) -> None:
        super().__init__()
        self._first_block = Block(
            inputs, stage, stride=STRIDES[name], shortcut=False, frames=frames
        )
        self.blocks = [
            self.add_sublayer(
                f"{name}_{number}",
                Block(stage["outputs"], stage, stride=1, shortcut=True, frames=frames),
            )
            for number in range(2, stage["depth"] + 1)
        ]

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        x = self._first_block(x)
        for block in self.blocks:
            x = block(x)
        return x


class Backbone(nn.Layer):
    """The whole network; published checkpoints keep even the classifier under this name."""

    def __init__(self, architecture: Architecture, frames: int) -> None:
        super().__init__()
        layout = architecture.layout
        inputs = layout["stem"]
        self.conv1 = ConvBN(3, inputs, 3, stride=2)
        self.stages = []
        for name, stage in layout["stages"].items():
            layer = Stage(inputs, stage, name=name, frames=frames)
            self.stages.append(self.add_sublayer(name, layer))
            inputs = stage["outputs"]
        self.conv9 = ConvBN(inputs, layout["features"], 1)
        self.out = nn.Linear(layout["features"], architecture.classes)
        self.frames = frames

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        x = functional.relu6(self.conv1(x))
        for stage in self.stages:
            x = stage(x)
        x = functional.adaptive_avg_pool2d(functional.relu6(self.conv9(x)), 1)
        return self.out(mean_over_frames(x, self.frames))


def read(shapes: Shapes) -> Architecture:
    """Read widths, depths, expansions and classes off the shapes; T leaves no trace in them."""
    stem = shapes["backbone.conv1._conv.weight"][0]
    return Architecture(
        title=f"PP-TSM (MobileNetV2, width {stem / STEM:g})",
        classes=shapes["backbone.out.weight"][1],
        frames=None,
        layout={
            "stem": stem,
            "stages": {name: _read_stage(shapes, name) for name in STRIDES},
            "features": shapes["backbone.conv9._conv.weight"][0],
        },
    )


def _read_stage(shapes: Shapes, name: str) -> dict[str, int]:
    prefix = f"backbone.{name}."
    expand = shapes[f"{prefix}_first_block._expand_conv._conv.weight"]
    return {
        "depth": len({key.split(".")[2] for key in shapes if key.startswith(prefix)}),
        "expansion": expand[0] // expand[1],
        "outputs": shapes[f"{prefix}_first_block._linear_conv._conv.weight"][0],
    }


def build(architecture: Architecture, frames: int) -> nn.Layer:
    """Make the network in eval mode."""
    return ClipNetwork(Backbone(architecture, frames))


FAMILY = Family(
    name="pp-tsm-mv2",
    marks=(
        "backbone.conv1._conv.weight",
        "backbone.conv2._first_block._expand_conv._conv.weight",
    ),
    kinds=(
        *conv_bn("backbone.conv1"),
        *conv_bn(
            *(
                f"backbone.conv3.{block}.{layer}"
                for block in ("_first_block", "conv3_2")
                for layer in ("_expand_conv", "_bottleneck_conv", "_linear_conv")
            )
        ),
        *affine("backbone.out"),
    ),
    image_classifier="MobileNetV2",
    default_frames=(8,),
    read=read,
    build=build,
    fold=nothing_to_fold,
    clip=lambda frames: ClipSpec(frames=frames),
)
