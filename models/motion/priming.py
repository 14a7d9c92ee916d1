"""Initial weights from which the network learns motion at once.

From a random start the loss rests at chance for a long time: the features before the temporal
shift are too fine to be compared between frames, and comparing them is a product that the network
has to discover. Here the layers before the shift begin as blurs, and the first layers after it as
opponent pairs, rectified (difference in time +- difference in space), whose contrast tells the
direction of motion. Everything is trained further.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from models.motion.network import MotionNet


def _draw_bell(size: int, sigma: float) -> Tensor:
    import torch

    places = torch.arange(size) - size // 2
    bell = torch.exp(-((places.float() / sigma) ** 2) / 2)
    return bell / bell.sum()


def _blur_early_layers(weights: dict[str, Tensor], sigma: float, noise: float) -> None:
    import torch

    kernel = _draw_bell(3, sigma)[:, None] * _draw_bell(3, sigma)
    for name, weight in weights.items():
        if name == "stem.0.conv.weight":
            weight.copy_(torch.randn(weight.shape[0], 3, 1, 1) * 0.7 * kernel + noise * weight)
        elif name.endswith(".dw_conv.conv.weight"):
            weight.copy_(kernel + noise * weight)


def _oppose_shifted_features(
    weights: dict[str, Tensor], frames: int, noise: float, bias: float, sigma: float
) -> None:
    import torch

    copied = weights["stages.1.1.pw_conv.conv.weight"]
    moved = int(copied.shape[0] / frames)
    # The same features from the frame before, from the frame after, and twice from this frame.
    for copy in range(1, 4):
        copied[copy * moved : (copy + 1) * moved] = copied[:moved]
    for branch in ("stages.2.0.dw_conv_list.0", "stages.2.0.dw_conv_list.1"):
        weight = weights[f"{branch}.conv.weight"]
        size = weight.shape[-1]
        bell = _draw_bell(size, 0.6 if size == 3 else sigma)
        slope = (torch.arange(size) - size // 2) * bell
        across = bell[:, None] * slope / slope.abs().sum()
        blur = bell[:, None] * bell
        for copy, kernel in enumerate((blur, blur, across, across.T)):
            weight[copy * moved : (copy + 1) * moved, 0] = kernel
        weights[f"{branch}.bn.bias"][: 4 * moved] = bias
    mix = weights["stages.2.0.pw_conv_1.conv.weight"]
    mix.mul_(noise)
    row = 0
    for space in (2 * moved, 3 * moved):
        for in_time in (0.5, -0.5):
            for in_space in (0.5, -0.5):
                for feature in range(min(moved, mix.shape[0] - row)):
                    mix[row, feature] -= in_time
                    mix[row, moved + feature] += in_time
                    mix[row, space + feature] += in_space
                    row += 1


def prime_network(network: MotionNet) -> None:
    """Gives a freshly made network its initial weights, in place."""
    import torch

    with torch.no_grad():
        weights = dict(network.named_parameters())
        _blur_early_layers(weights, sigma=0.8, noise=0.2)
        _oppose_shifted_features(weights, network.frames, noise=0.05, bias=0.75, sigma=0.7)
