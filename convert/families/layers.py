"""Layers that several families share; parameter names are those of published checkpoints."""

from __future__ import annotations

from collections.abc import Callable

import paddle
from paddle import nn
from paddle.nn import functional

Activation = Callable[[paddle.Tensor], paddle.Tensor]


class ClipNetwork(nn.Layer):
    """Clips [N, T, 3, H, W] to logits [N, classes], in eval mode.

    Backbones see single frames, so the clips are laid out as frames [N * T, 3, H, W] first. A
    family whose published checkpoints keep the classifier under `backbone` has no head.
    """

    def __init__(self, backbone: nn.Layer, head: nn.Layer | None = None) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = nn.Identity() if head is None else head
        self.eval()

    def forward(self, clips: paddle.Tensor) -> paddle.Tensor:
        _, _, channels, height, width = clips.shape
        return self.head(self.backbone(clips.reshape([-1, channels, height, width])))


class SqueezeExcitation(nn.Layer):
    """Scale each channel by a gate computed from the means of all channels."""

    def __init__(self, channels: int, squeezed: int, gate: Activation) -> None:
        super().__init__()
        self.conv1 = nn.Conv2D(channels, squeezed, 1)
        self.conv2 = nn.Conv2D(squeezed, channels, 1)
        self.gate = gate

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        y = functional.adaptive_avg_pool2d(x, 1)
        return x * self.gate(self.conv2(functional.relu(self.conv1(y))))


class ConvBN(nn.Layer):
    """Convolution without bias, then batch norm; named `_conv` and `_batch_norm`."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, *, stride: int = 1, groups: int = 1
    ) -> None:
        super().__init__()
        self._conv = convolution(inputs, outputs, kernel, stride=stride, groups=groups)
        self._batch_norm = nn.BatchNorm2D(outputs)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return self._batch_norm(self._conv(x))


def convolution(
    inputs: int, outputs: int, kernel: int, *, stride: int = 1, groups: int = 1
) -> nn.Conv2D:
    """Convolution without bias that keeps the picture's size, but for its stride."""
    padding = kernel // 2
    return nn.Conv2D(
        inputs, outputs, kernel, stride=stride, padding=padding, groups=groups, bias_attr=False
    )


def shifted(x: paddle.Tensor, frames: int) -> paddle.Tensor:
    """Temporal shift of frames [N * T, C, H, W]: 1 / T of the channels each way.

    The first fold takes its values from the frame before, the second from the frame after; zeros
    at the ends of a clip.
    """
    return functional.temporal_shift(x, frames, 1.0 / frames)


def mean_over_frames(x: paddle.Tensor, frames: int) -> paddle.Tensor:
    """Vectors of frames [N * T, C] (or [N * T, C, 1, 1]) to their means over clips [N, C]."""
    return x.reshape([-1, frames, x.shape[1]]).mean(axis=1)


def nothing_to_fold(network: nn.Layer) -> None:
    """`Family.fold` of families that train no parallel branches."""
    del network
