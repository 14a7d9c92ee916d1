"""PP-TSM on ResNet-vd ("tweaks"): a temporal shift in front of every bottleneck.

Facts (layer order, names, constants) follow PaddleVideo, `resnet_tweaks_tsm.py` and
`pptsm_head.py` at commit ed245e9c:

* a stem of three 3 x 3 convolutions, max pooling 3 x 3 stride 2;
* bottlenecks whose residual branch starts with a temporal shift of ratio 1 / T; the stride is on
  the 3 x 3 convolution; where the shape changes, the shortcut is a 2 x 2 average pooling
  (ceil mode) and a 1 x 1 convolution, without pooling in the very first block;
* every activation is a leaky ReLU of slope 0.01, also after the addition;
* the head pools, averages T feature vectors and applies `fc`; its dropout scales at training
  time, so that it does nothing at inference.
"""

from __future__ import annotations

import paddle
from paddle import nn
from paddle.nn import functional

from convert.family import Architecture, Family, Shapes, count_from
from models.spec import ClipSpec

SLOPE = 0.01
"""Negative slope of every leaky ReLU (Paddle's default, which the originals use)."""

DEPTHS = {(3, 4, 6, 3): 50, (3, 4, 23, 3): 101, (3, 8, 36, 3): 152}
"""Blocks per stage, and the depth that such a ResNet is called by."""


class ConvBN(nn.Layer):
    """Convolution without bias, then batch norm; optional average pooling in front."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, *, stride: int = 1, pool: bool = False
    ) -> None:
        super().__init__()
        self._conv = nn.Conv2D(
            inputs, outputs, kernel, stride=stride, padding=kernel // 2, bias_attr=False
        )
        self._batch_norm = nn.BatchNorm2D(outputs)
        self.pool = pool

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        if self.pool:
            x = functional.avg_pool2d(x, 2, stride=2, ceil_mode=True)
        return self._batch_norm(self._conv(x))


class Bottleneck(nn.Layer):
    """1 x 1, 3 x 3 and 1 x 1 convolutions over shifted frames, plus a shortcut."""

    def __init__(
        self, inputs: int, width: int, outputs: int, *, stride: int, pool: bool, frames: int
    ) -> None:
        super().__init__()
        self.frames = frames
        self.conv0 = ConvBN(inputs, width, 1)
        self.conv1 = ConvBN(width, width, 3, stride=stride)
        self.conv2 = ConvBN(width, outputs, 1)
        self.projects = inputs != outputs or stride != 1
        if self.projects:
            self.short = ConvBN(inputs, outputs, 1, pool=pool)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        y = functional.temporal_shift(x, self.frames, 1.0 / self.frames)
        y = functional.leaky_relu(self.conv0(y), SLOPE)
        y = functional.leaky_relu(self.conv1(y), SLOPE)
        y = self.conv2(y) + (self.short(x) if self.projects else x)
        return functional.leaky_relu(y, SLOPE)


class Backbone(nn.Layer):
    """Frames [N * T, 3, H, W] to features [N * T, C, h, w]."""

    def __init__(self, architecture: Architecture, frames: int) -> None:
        super().__init__()
        stem = architecture.layout["stem"]
        self.conv1_1 = ConvBN(3, stem[0], 3, stride=2)
        self.conv1_2 = ConvBN(stem[0], stem[1], 3)
        self.conv1_3 = ConvBN(stem[1], stem[2], 3)
        self.blocks = []
        inputs = stem[2]
        for number, stage in enumerate(architecture.layout["stages"]):
            for index in range(stage["depth"]):
                first = index == 0
                block = Bottleneck(
                    inputs,
                    stage["width"],
                    stage["outputs"],
                    stride=2 if first and number > 0 else 1,
                    pool=number > 0,
                    frames=frames,
                )
                inputs = stage["outputs"]
                self.add_sublayer(f"bb_{number}_{index}", block)
                self.blocks.append(block)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        for layer in (self.conv1_1, self.conv1_2, self.conv1_3):
            x = functional.leaky_relu(layer(x), SLOPE)
        x = functional.max_pool2d(x, 3, stride=2, padding=1)
        for block in self.blocks:
            x = block(x)
        return x


class Head(nn.Layer):
    """Features [N * T, C, h, w] to logits [N, classes]."""

    def __init__(self, features: int, classes: int, frames: int) -> None:
        super().__init__()
        self.fc = nn.Linear(features, classes)
        self.frames = frames

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        x = functional.adaptive_avg_pool2d(x, 1)
        x = x.reshape([-1, self.frames, x.shape[1]]).mean(axis=1)
        return self.fc(x)


class Network(nn.Layer):
    """Clips in, logits out."""

    def __init__(self, architecture: Architecture, frames: int) -> None:
        super().__init__()
        self.backbone = Backbone(architecture, frames)
        features = architecture.layout["stages"][-1]["outputs"]
        self.head = Head(features, architecture.classes, frames)

    def forward(self, clips: paddle.Tensor) -> paddle.Tensor:
        _, _, channels, height, width = clips.shape
        return self.head(self.backbone(clips.reshape([-1, channels, height, width])))


def read(shapes: Shapes) -> Architecture:
    """Read depth, widths and classes off the shapes; T leaves no trace in the weights."""
    stages = tuple(
        {
            "depth": count_from(shapes, f"backbone.bb_{number}_" + "{}."),
            "width": shapes[f"backbone.bb_{number}_0.conv0._conv.weight"][0],
            "outputs": shapes[f"backbone.bb_{number}_0.conv2._conv.weight"][0],
        }
        for number in range(4)
    )
    depths = tuple(stage["depth"] for stage in stages)
    name = f"ResNet{DEPTHS[depths]}" if depths in DEPTHS else f"ResNet {depths}"
    return Architecture(
        title=f"PP-TSM ({name}-vd)",
        classes=shapes["head.fc.weight"][1],
        frames=None,
        layout={
            "stem": tuple(shapes[f"backbone.conv1_{index}._conv.weight"][0] for index in (1, 2, 3)),
            "stages": stages,
        },
    )


def build(architecture: Architecture, frames: int) -> nn.Layer:
    """Make the network in eval mode."""
    network = Network(architecture, frames)
    network.eval()
    return network


def fold(network: nn.Layer) -> None:
    """Nothing to merge: this family trains no parallel branches."""
    del network


FAMILY = Family(
    name="pp-tsm",
    marks=("backbone.conv1_1._conv.weight", "backbone.bb_0_0.conv0._conv.weight"),
    default_frames=(8,),
    read=read,
    build=build,
    fold=fold,
    clip=lambda frames: ClipSpec(frames=frames),
)
