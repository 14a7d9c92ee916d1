"""PP-TSMv2 on PP-LCNetV2, in PyTorch.

Parameter names and shapes follow PaddleVideo's checkpoints (without the ``backbone.`` prefix), so
that weights carry over by name; :mod:`models.motion.checkpoint` does the conversion.
"""

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

STAGE_CHANNELS: Final = (64, 128, 256, 512)
STAGE_DEPTHS: Final = (2, 2, 6, 2)
STAGE_KERNELS: Final = (3, 3, 5, 5)
SHIFT_STAGE: Final = 2
"""Index of the stage whose input is shifted in time."""
DROPOUT: Final = 0.2


def round_channels(channels: float, divisor: int = 8) -> int:
    """Rounds a scaled channel count to a multiple of ``divisor``, not below 90 % of it."""
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded


class ConvNorm(nn.Module):
    """Convolution without bias, batch norm and an optional ReLU."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        stride: int = 1,
        groups: int = 1,
        relu: bool = True,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            in_channels,
            out_channels,
            kernel,
            stride,
            padding=kernel // 2,
            groups=groups,
            bias=False,
        )
        self.bn = nn.BatchNorm2d(out_channels, eps=1e-5)
        self.relu = relu
        nn.init.kaiming_normal_(self.conv.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Maps ``[B, C, H, W]`` to ``[B, C', H', W']``."""
        y: Tensor = self.bn(self.conv(x))
        return functional.relu(y) if self.relu else y


class SqueezeExcite(nn.Module):
    """Scales every channel by a gate computed from the channel means."""

    def __init__(self, channels: int, reduction: int = 4) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels // reduction, 1)
        self.conv2 = nn.Conv2d(channels // reduction, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Maps ``[B, C, H, W]`` to the same shape."""
        gate = functional.relu(self.conv1(x.mean((2, 3), keepdim=True)))
        return x * torch.sigmoid(self.conv2(gate))


class SeparableBlock(nn.Module):
    """Depth-wise then point-wise convolution: the stem and the first two stages."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.dw_conv = ConvNorm(in_channels, in_channels, kernel, stride, groups=in_channels)
        self.pw_conv = ConvNorm(in_channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Maps ``[B, C, H, W]`` to ``[B, C', H / stride, W / stride]``."""
        y: Tensor = self.pw_conv(self.dw_conv(x))
        return y


class RepBlock(nn.Module):
    """Block of the last two stages: parallel depth-wise kernels, summed, then point-wise.

    ``split`` makes it the third stage's block (squeeze-excite and two point-wise convolutions);
    without it, the fourth stage's (one point-wise convolution and a shortcut where shapes allow).
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int, stride: int, split: bool
    ) -> None:
        super().__init__()
        kernels = [k for k in range(kernel, 0, -2) if k > 1 or stride == 1]
        self.dw_conv_list = nn.ModuleList(
            ConvNorm(in_channels, in_channels, k, stride, groups=in_channels, relu=False)
            for k in kernels
        )
        self.split = split
        self.shortcut = not split and stride == 1 and in_channels == out_channels
        if split:
            self.se = SqueezeExcite(in_channels)
            self.pw_conv_1 = ConvNorm(in_channels, int(out_channels * 0.5), 1)
            self.pw_conv_2 = ConvNorm(int(out_channels * 0.5), out_channels, 1)
        else:
            self.pw_conv = ConvNorm(in_channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Maps ``[B, C, H, W]`` to ``[B, C', H / stride, W / stride]``."""
        y: Tensor = self.dw_conv_list[0](x)
        for branch in self.dw_conv_list[1:]:
            y = y + branch(x)
        y = functional.relu(y)
        y = self.pw_conv_2(self.pw_conv_1(self.se(y))) if self.split else self.pw_conv(y)
        return x + y if self.shortcut else y


def shift_frames(x: Tensor, frames: int, segments: int) -> Tensor:
    """Moves a ``1 / segments`` share of the channels one frame on and another one frame back.

    Args:
        x: features ``[B * frames, C, H, W]``.
        frames: frames per clip in ``x``.
        segments: the network's number of frames; sets how many channels move.

    Returns:
        Features of the same shape: the first ``int(C / segments)`` channels come from the frame
        before, the next ones up to ``int(2 * C / segments)`` from the frame after, zeros beyond
        the ends of the clip.
    """
    past, future = int(x.shape[1] / segments), int(2 * x.shape[1] / segments)
    clips = x.unflatten(0, (-1, frames))
    before = functional.pad(clips[:, :-1, :past], (0, 0, 0, 0, 0, 0, 1, 0))
    after = functional.pad(clips[:, 1:, past:future], (0, 0, 0, 0, 0, 0, 0, 1))
    return torch.cat((before, after, clips[:, :, future:]), 2).flatten(0, 1)


def join_triples(x: Tensor, segments: int) -> Tensor:
    """What :func:`shift_frames` gives for the middle frame of clips of three.

    Args:
        x: features ``[B, 3, C, H, W]``.
        segments: as for :func:`shift_frames`.

    Returns:
        Features ``[B, C, H, W]``.
    """
    past, future = int(x.shape[2] / segments), int(2 * x.shape[2] / segments)
    return torch.cat((x[:, 0, :past], x[:, 2, past:future], x[:, 1, future:]), 1)


class MotionNet(nn.Module):
    """PP-TSMv2 classifier.

    Args:
        classes: number of logits.
        width: channel multiplier of PP-LCNetV2.
        class_expand: channels of the last convolution.
        frames: frames per clip; sets the share of channels that the temporal shift moves.
    """

    def __init__(
        self, classes: int, width: float = 1.0, class_expand: int = 1280, frames: int = 8
    ) -> None:
        super().__init__()
        self.frames = frames
        stem = round_channels(32 * width)
        self.stem = nn.Sequential(
            ConvNorm(3, stem, 3, 2),
            SeparableBlock(stem, round_channels(64 * width), 3, 1),
        )
        self.stages = nn.ModuleList()
        for stage, (base, depth) in enumerate(zip(STAGE_CHANNELS, STAGE_DEPTHS, strict=True)):
            blocks: list[nn.Module] = []
            for index in range(depth):
                in_channels = round_channels(width * base * (1 if index == 0 else 2))
                out_channels = round_channels(width * base * 2)
                stride = 2 if index == 0 else 1
                if stage < SHIFT_STAGE:
                    kernel = STAGE_KERNELS[stage]
                    blocks.append(SeparableBlock(in_channels, out_channels, kernel, stride))
                else:
                    kernel, split = STAGE_KERNELS[stage], stage == SHIFT_STAGE
                    blocks.append(RepBlock(in_channels, out_channels, kernel, stride, split))
            self.stages.append(nn.Sequential(*blocks))
        top = round_channels(width * STAGE_CHANNELS[-1] * 2)
        self.last_conv = nn.Conv2d(top, class_expand, 1, bias=False)
        self.fc = nn.Linear(class_expand, classes)
        nn.init.normal_(self.fc.weight, std=0.01)
        nn.init.zeros_(self.fc.bias)

    def encode_frames(self, x: Tensor) -> Tensor:
        """Maps normalised frames ``[B, 3, S, S]`` to features ``[B, C, S / 8, S / 8]``.

        Everything before the temporal shift: each frame on its own.
        """
        y: Tensor = self.stages[1](self.stages[0](self.stem(x)))
        return y

    def embed_features(self, x: Tensor) -> Tensor:
        """Maps shifted features ``[B, C, S / 8, S / 8]`` to embeddings ``[B, class_expand]``."""
        return self.embed_late(self.stages[SHIFT_STAGE](x))

    def embed_late(self, x: Tensor) -> Tensor:
        """Maps the shifted stage's output ``[B, C, G, G]`` to embeddings ``[B, class_expand]``."""
        for stage in self.stages[SHIFT_STAGE + 1 :]:
            x = stage(x)
        x = functional.relu(self.last_conv(x.mean((2, 3), keepdim=True))).flatten(1)
        # Paddle's "downscale_in_infer": drop without rescaling, and scale at inference instead.
        if self.training:
            return x * (torch.rand_like(x) >= DROPOUT)
        return x * (1 - DROPOUT)

    def forward(self, x: Tensor) -> Tensor:
        """Maps clips ``[N, T, 3, S, S]`` (float32, normalised) to logits ``[N, classes]``."""
        count = x.shape[1]
        features = shift_frames(self.encode_frames(x.flatten(0, 1)), count, self.frames)
        logits: Tensor = self.fc(self.embed_features(features).unflatten(0, (-1, count)).mean(1))
        return logits
