"""PP-TSMv2: PP-LCNetV2 with a single temporal shift before its third stage.

Facts (layer order, names, constants) follow PaddleVideo, `pptsm_v2.py` at commit ed245e9c:

* the stem and stages 1-2 see single frames; then an optional attention over the T frames, then
  one temporal shift with ratio 1 / T; stages 3-4 and the last convolution see single, already
  shifted frames; the head averages T feature vectors;
* depth-wise kernels 3, 3, 5, 5; stages 3 and 4 train parallel depth-wise branches of kernel
  k, k - 2, .., 1 (no 1 x 1 branch where the stride is 2) that fold into one convolution;
* stage 3 has squeeze-excitation and a point-wise convolution split in two, stage 4 a shortcut;
* dropout 0.2 in mode `downscale_in_infer` multiplies the features by 0.8 at inference.

Widths, depths and kernel sizes are read off the weights, so narrow members need no option.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import paddle
from paddle import nn
from paddle.nn import functional

from convert.families.layers import (
    ClipNetwork,
    SqueezeExcitation,
    convolution,
    mean_over_frames,
    shifted,
)
from convert.family import Architecture, Family, Shapes, affine, conv_bn, count_from
from models.spec import ClipSpec

DROPOUT = 0.2
WIDEST = 1024
"""Output channels of the last stage at width 1.0."""


class ConvBN(nn.Layer):
    """Convolution without bias, batch norm, and ReLU unless told otherwise."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, *, stride: int = 1, groups: int = 1
    ) -> None:
        super().__init__()
        self.conv = convolution(inputs, outputs, kernel, stride=stride, groups=groups)
        self.bn = nn.BatchNorm2D(outputs)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return functional.relu(self.linear(x))

    def linear(self, x: paddle.Tensor) -> paddle.Tensor:
        """The layer without its activation."""
        return self.bn(self.conv(x))

    def fused(self) -> tuple[paddle.Tensor, paddle.Tensor]:
        """Kernel and bias of the one convolution that equals convolution and batch norm."""
        scale = self.bn.weight / paddle.sqrt(self.bn._variance + self.bn._epsilon)
        return (
            self.conv.weight * scale.reshape([-1, 1, 1, 1]),
            self.bn.bias - self.bn._mean * scale,
        )


class DepthwiseSeparable(nn.Layer):
    """Depth-wise convolution, then point-wise: the block of the stem and of stages 1 and 2."""

    def __init__(self, inputs: int, outputs: int, kernel: int, *, stride: int) -> None:
        super().__init__()
        self.dw_conv = ConvBN(inputs, inputs, kernel, stride=stride, groups=inputs)
        self.pw_conv = ConvBN(inputs, outputs, 1)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return self.pw_conv(self.dw_conv(x))


class ReparameterisedBlock(nn.Layer):
    """Parallel depth-wise branches, then point-wise: the block of stages 3 and 4.

    With `split` and `squeezed` it is stage 3's; with neither it is stage 4's, which adds its
    input where the shapes allow it.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        *,
        stride: int,
        split: int | None = None,
        squeezed: int | None = None,
    ) -> None:
        super().__init__()
        smallest = 1 if stride == 1 else 3
        self.dw_conv_list = nn.LayerList(
            [
                ConvBN(inputs, inputs, size, stride=stride, groups=inputs)
                for size in range(kernel, smallest - 1, -2)
            ]
        )
        self.dw_conv = nn.Conv2D(
            inputs, inputs, kernel, stride=stride, padding=kernel // 2, groups=inputs
        )
        self.folded = False
        self.split = split is not None
        self.shortcut = split is None and stride == 1 and inputs == outputs
        if squeezed is not None:
            self.se = SqueezeExcitation(inputs, squeezed, functional.sigmoid)
        if split is not None:
            self.pw_conv_1 = ConvBN(inputs, split, 1)
            self.pw_conv_2 = ConvBN(split, outputs, 1)
        else:
            self.pw_conv = ConvBN(inputs, outputs, 1)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        if self.folded:
            y = self.dw_conv(x)
        else:
            y = self.dw_conv_list[0].linear(x)
            for branch in self.dw_conv_list[1:]:
                y = y + branch.linear(x)
        y = functional.relu(y)
        if self.split:
            return self.pw_conv_2(self.pw_conv_1(self.se(y)))
        y = self.pw_conv(y)
        return x + y if self.shortcut else y

    def fold(self) -> None:
        """Sum the branches into `dw_conv`; smaller kernels are centred in the largest."""
        size = self.dw_conv.weight.shape[-1]
        kernel = paddle.zeros_like(self.dw_conv.weight)
        bias = paddle.zeros_like(self.dw_conv.bias)
        for branch in self.dw_conv_list:
            branch_kernel, branch_bias = branch.fused()
            margin = (size - branch_kernel.shape[-1]) // 2
            kernel = kernel + functional.pad(branch_kernel, [margin] * 4)
            bias = bias + branch_bias
        self.dw_conv.weight.set_value(kernel)
        self.dw_conv.bias.set_value(bias)
        self.folded = True


class FrameAttention(nn.Layer):
    """Weigh the T frames of a clip by gates computed from their mean activations."""

    def __init__(self, frames: int) -> None:
        super().__init__()
        self.fc = nn.Linear(frames, frames)
        self.frames = frames

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        _, channels, height, width = x.shape
        clips = x.reshape([-1, self.frames, channels * height * width])
        gates = functional.sigmoid(self.fc(clips.mean(axis=2))).unsqueeze(2)
        return (clips * gates).reshape([-1, channels, height, width])


class Backbone(nn.Layer):
    """The whole network; published checkpoints keep even the classifier under this name."""

    def __init__(self, architecture: Architecture, frames: int) -> None:
        super().__init__()
        layout = architecture.layout
        stem: Sequence[int] = layout["stem"]
        self.frames = frames
        self.stem = nn.Sequential(
            ConvBN(3, stem[0], 3, stride=2), DepthwiseSeparable(stem[0], stem[1], 3, stride=1)
        )
        self.stages = nn.LayerList()
        inputs = stem[1]
        for number, stage in enumerate(layout["stages"]):
            blocks = []
            for index in range(stage["depth"]):
                stride = 2 if index == 0 else 1
                outputs, kernel = stage["outputs"], stage["kernel"]
                if number < 2:
                    blocks.append(DepthwiseSeparable(inputs, outputs, kernel, stride=stride))
                else:
                    blocks.append(
                        ReparameterisedBlock(
                            inputs,
                            outputs,
                            kernel,
                            stride=stride,
                            split=stage["split"],
                            squeezed=stage["squeezed"][index] if stage["split"] else None,
                        )
                    )
                inputs = outputs
            self.stages.append(nn.Sequential(*blocks))
        self.last_conv = convolution(inputs, layout["features"], 1)
        self.fc = nn.Linear(layout["features"], architecture.classes)
        if layout["attention"]:
            self.global_attention = FrameAttention(frames)
        self.attention = bool(layout["attention"])

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        x = self.stages[1](self.stages[0](self.stem(x)))
        if self.attention:
            x = self.global_attention(x)
        x = shifted(x, self.frames)
        x = self.stages[3](self.stages[2](x))
        x = functional.relu(self.last_conv(functional.adaptive_avg_pool2d(x, 1)))
        x = x * (1.0 - DROPOUT)
        return self.fc(mean_over_frames(x, self.frames))


def read(shapes: Shapes) -> Architecture:
    """Read widths, depths, kernels, classes and, with attention, T off the shapes."""
    stem = (
        shapes["backbone.stem.0.conv.weight"][0],
        shapes["backbone.stem.1.pw_conv.conv.weight"][0],
    )
    stages = tuple(_read_stage(shapes, number) for number in range(4))
    features = shapes["backbone.last_conv.weight"][0]
    attention = shapes.get("backbone.global_attention.fc.weight")
    title = f"PP-TSMv2 (PP-LCNetV2, width {stages[3]['outputs'] / WIDEST:g}"
    return Architecture(
        title=title + (", temporal attention)" if attention else ")"),
        classes=shapes["backbone.fc.weight"][1],
        frames=attention[0] if attention else None,
        layout={
            "stem": stem,
            "stages": stages,
            "features": features,
            "attention": attention is not None,
        },
    )


def _read_stage(shapes: Shapes, number: int) -> dict[str, Any]:
    prefix = f"backbone.stages.{number}"
    depth = count_from(shapes, prefix + ".{}.")
    depthwise = "dw_conv" if number < 2 else "dw_conv_list.0"
    pointwise = "pw_conv_2" if number == 2 else "pw_conv"
    stage: dict[str, Any] = {
        "depth": depth,
        "kernel": shapes[f"{prefix}.0.{depthwise}.conv.weight"][-1],
        "outputs": shapes[f"{prefix}.0.{pointwise}.conv.weight"][0],
        "split": None,
    }
    if number == 2:
        stage["split"] = shapes[f"{prefix}.0.pw_conv_1.conv.weight"][0]
        stage["squeezed"] = tuple(
            shapes[f"{prefix}.{index}.se.conv1.weight"][0] for index in range(depth)
        )
    return stage


def build(architecture: Architecture, frames: int) -> nn.Layer:
    """Make the network in eval mode."""
    return ClipNetwork(Backbone(architecture, frames))


def fold(network: nn.Layer) -> None:
    """Fold every block of stages 3 and 4."""
    for layer in network.sublayers():
        if isinstance(layer, ReparameterisedBlock):
            layer.fold()


FAMILY = Family(
    name="pp-tsmv2",
    marks=("backbone.stem.0.conv.weight", "backbone.stages.2.0.pw_conv_1.conv.weight"),
    kinds=(
        *conv_bn(
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
        *affine("backbone.stages.2.0.dw_conv", "backbone.stages.2.0.se.conv1"),
        "backbone.last_conv.weight",
        *affine("backbone.fc"),
    ),
    image_classifier="PP-LCNetV2",
    default_frames=(8, 16),
    read=read,
    build=build,
    fold=fold,
    clip=lambda frames: ClipSpec(frames=frames),
)
