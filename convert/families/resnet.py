"""ResNets over frames: what PP-TSM, PP-TSN, TSM and TSN share.

All four are bottlenecks of 1 x 1, 3 x 3 and 1 x 1 convolutions, the stride on the 3 x 3 one, with
a convolution on the shortcut where the shape changes. A `Style` says in what they differ.
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
    ConvBN,
    mean_over_frames,
    shifted,
)
from convert.family import Architecture, Shapes, affine, conv_bn, count_from

DEPTHS = {(3, 4, 6, 3): 50, (3, 4, 23, 3): 101, (3, 8, 36, 3): 152}
"""Blocks per stage, and the depth that such a ResNet is called by."""

VD_MARKS = ("backbone.conv1_1._conv.weight", "backbone.bb_0_0.conv2._conv.weight")
PLAIN_MARKS = ("backbone.conv._conv.weight", "backbone.res2a.conv2._conv.weight")
"""Tensors of every vd-style and of every plain ResNet with bottlenecks."""

VD_KINDS = (
    *conv_bn("backbone.conv1_1", "backbone.bb_0_0.conv0", "backbone.bb_0_0.short"),
    *affine("head.fc"),
)
PLAIN_KINDS = (
    *conv_bn("backbone.conv", "backbone.res2a.conv0", "backbone.res2a.short"),
    *affine("head.fc"),
)
"""One tensor of each kind of theirs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """In what one family's ResNet differs from the others'.

    Attributes:
        title: Name of the family for people.
        vd: The stem is three 3 x 3 convolutions, and a strided shortcut is a 2 x 2 average
            pooling (ceil mode) and a 1 x 1 convolution. Else the stem is one 7 x 7 convolution
            and the 1 x 1 convolution of the shortcut has the stride.
        shift: The residual branch of every block starts with a temporal shift.
        activation: Used after every convolution but the last of a branch, and after the addition.
        classify_frames: The head classifies every frame and averages the logits. Else it averages
            the features and classifies once.
    """

    title: str
    vd: bool
    shift: bool
    activation: Activation
    classify_frames: bool


class Shortcut(ConvBN):
    """1 x 1 convolution on the shortcut, with average pooling in front if so asked."""

    def __init__(self, inputs: int, outputs: int, *, stride: int, pool: bool) -> None:
        super().__init__(inputs, outputs, 1, stride=1 if pool else stride)
        self.pool = pool

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        if self.pool:
            x = functional.avg_pool2d(x, 2, stride=2, ceil_mode=True)
        return super().forward(x)


class Bottleneck(nn.Layer):
    """1 x 1, 3 x 3 and 1 x 1 convolutions, plus a shortcut."""

    def __init__(
        self, inputs: int, stage: Mapping[str, Any], *, stride: int, style: Style, frames: int
    ) -> None:
        super().__init__()
        width, outputs = stage["width"], stage["outputs"]
        self.conv0 = ConvBN(inputs, width, 1)
        self.conv1 = ConvBN(width, width, 3, stride=stride)
        self.conv2 = ConvBN(width, outputs, 1)
        self.projects = inputs != outputs or stride != 1
        if self.projects:
            self.short = Shortcut(inputs, outputs, stride=stride, pool=style.vd and stride != 1)
        self.activation = style.activation
        self.shift = style.shift
        self.frames = frames

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        y = shifted(x, self.frames) if self.shift else x
        y = self.activation(self.conv0(y))
        y = self.activation(self.conv1(y))
        y = self.conv2(y) + (self.short(x) if self.projects else x)
        return self.activation(y)


class Backbone(nn.Layer):
    """Frames [N * T, 3, H, W] to features [N * T, C, h, w]."""

    def __init__(self, layout: Mapping[str, Any], style: Style, frames: int) -> None:
        super().__init__()
        self.stem = []
        inputs = 3
        for index, (name, outputs, kernel) in enumerate(layout["stem"]):
            layer = ConvBN(inputs, outputs, kernel, stride=2 if index == 0 else 1)
            self.stem.append(self.add_sublayer(name, layer))
            inputs = outputs
        self.blocks = []
        for number, stage in enumerate(layout["stages"]):
            for name in stage["names"]:
                first = name == stage["names"][0]
                stride = 2 if first and number > 0 else 1
                block = Bottleneck(inputs, stage, stride=stride, style=style, frames=frames)
                self.blocks.append(self.add_sublayer(name, block))
                inputs = stage["outputs"]
        self.activation = style.activation

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        for layer in self.stem:
            x = self.activation(layer(x))
        x = functional.max_pool2d(x, 3, stride=2, padding=1)
        for block in self.blocks:
            x = block(x)
        return x


class Head(nn.Layer):
    """Features [N * T, C, h, w] to logits [N, classes].

    Its dropout scales at training time, so that it does nothing at inference.
    """

    def __init__(self, features: int, classes: int, *, frames: int, classify_frames: bool) -> None:
        super().__init__()
        self.fc = nn.Linear(features, classes)
        self.frames = frames
        self.classify_frames = classify_frames

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        x = functional.adaptive_avg_pool2d(x, 1)
        if self.classify_frames:
            return mean_over_frames(self.fc(x.flatten(1)), self.frames)
        return self.fc(mean_over_frames(x, self.frames))


def read(style: Style, shapes: Shapes) -> Architecture:
    """Read depth, widths and classes off the shapes; T leaves no trace in the weights."""
    stages = tuple(_read_stage(shapes, names) for names in _block_names(style, shapes))
    depths = tuple(len(stage["names"]) for stage in stages)
    name = f"ResNet{DEPTHS[depths]}" if depths in DEPTHS else f"ResNet {depths}"
    stem = ("conv1_1", "conv1_2", "conv1_3") if style.vd else ("conv",)
    kernels = {name: shapes[f"backbone.{name}._conv.weight"] for name in stem}
    return Architecture(
        title=f"{style.title} ({name}-vd)" if style.vd else f"{style.title} ({name})",
        classes=shapes["head.fc.weight"][1],
        frames=None,
        layout={
            "stem": tuple((name, shape[0], shape[3]) for name, shape in kernels.items()),
            "stages": stages,
        },
    )


def _block_names(style: Style, shapes: Shapes) -> tuple[tuple[str, ...], ...]:
    """Names of the blocks of each stage.

    vd-style: `bb_0_0`, `bb_0_1`, …; plain: `res2a`, `res2b`, …, but `res4a`, `res4b1`, `res4b2`, …
    where a stage has too many blocks for letters (stage 3 of depths 101 and 152).
    """
    if style.vd:
        return tuple(_vd_names(f"bb_{stage}_", shapes) for stage in range(4))
    return tuple(_plain_names(f"res{stage + 2}", shapes) for stage in range(4))


def _vd_names(prefix: str, shapes: Shapes) -> tuple[str, ...]:
    depth = count_from(shapes, f"backbone.{prefix}{{}}.")
    return tuple(f"{prefix}{index}" for index in range(max(depth, 1)))


def _plain_names(prefix: str, shapes: Shapes) -> tuple[str, ...]:
    blocks = {name.split(".")[1] for name in shapes if name.startswith(f"backbone.{prefix}")}
    numbered = f"{prefix}b1" in blocks
    names = [f"{prefix}a"]
    while len(names) < len(blocks):
        index = len(names)
        names.append(f"{prefix}b{index}" if numbered else f"{prefix}{chr(ord('a') + index)}")
    return tuple(names)


def _read_stage(shapes: Shapes, names: tuple[str, ...]) -> dict[str, Any]:
    return {
        "names": names,
        "width": shapes[f"backbone.{names[0]}.conv0._conv.weight"][0],
        "outputs": shapes[f"backbone.{names[0]}.conv2._conv.weight"][0],
    }


def build(style: Style, architecture: Architecture, frames: int) -> nn.Layer:
    """Make the network in eval mode."""
    backbone = Backbone(architecture.layout, style, frames)
    features = architecture.layout["stages"][-1]["outputs"]
    head = Head(
        features, architecture.classes, frames=frames, classify_frames=style.classify_frames
    )
    return ClipNetwork(backbone, head)
