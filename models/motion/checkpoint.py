"""Between the PyTorch state of the network and Paddle's ``.pdparams`` checkpoint."""

import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from models.motion.network import MotionNet

Weights = dict[str, NDArray[np.float32]]

PREFIX: Final = "backbone."
NORM_EPSILON: Final = 1e-5
_NORM_NAMES: Final = {"running_mean": "_mean", "running_var": "_variance"}
_SAFE_GLOBALS: Final = {
    ("numpy", "dtype"),
    ("numpy", "ndarray"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.numeric", "_frombuffer"),
    ("numpy.core.numeric", "_frombuffer"),
}


def fold_branches(weights: Weights, block: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Folds the parallel depth-wise branches of a block into one convolution.

    Args:
        weights: Paddle-named weights.
        block: name of the block, such as ``backbone.stages.2.0``.

    Returns:
        Kernel ``[C, 1, K, K]`` and bias ``[C]``, float32, of the convolution that equals the sum
        of the branches with their batch norms at inference.
    """
    kernel: NDArray[np.float64] | None = None
    bias = np.zeros(1)
    index = 0
    while (branch := f"{block}.dw_conv_list.{index}") + ".conv.weight" in weights:
        conv = weights[f"{branch}.conv.weight"].astype(np.float64)
        mean, variance, gamma, beta = (
            weights[f"{branch}.bn.{name}"].astype(np.float64)
            for name in ("_mean", "_variance", "weight", "bias")
        )
        scale = gamma / np.sqrt(variance + NORM_EPSILON)
        conv = conv * scale[:, None, None, None]
        bias = bias + beta - mean * scale
        if kernel is None:
            kernel = conv
        else:
            pad = (kernel.shape[-1] - conv.shape[-1]) // 2
            kernel = kernel + np.pad(conv, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
        index += 1
    if kernel is None:
        raise KeyError(f"{block} has no depth-wise branches")
    return kernel.astype(np.float32), bias.astype(np.float32)


def export_weights(network: "MotionNet") -> Weights:
    """Names and lays out the network's weights as PaddleVideo does.

    Args:
        network: the PyTorch network.

    Returns:
        Parameter name to float32 array. The linear layer is ``[in, out]``; the folded depth-wise
        convolutions, which PaddleVideo's checkpoints carry as well, are filled in.
    """
    weights: Weights = {}
    for name, tensor in network.state_dict().items():
        stem, _, leaf = name.rpartition(".")
        if leaf == "num_batches_tracked":
            continue
        array = tensor.detach().cpu().numpy().astype(np.float32)
        key = f"{PREFIX}{stem}.{_NORM_NAMES.get(leaf, leaf)}"
        weights[key] = np.ascontiguousarray(array.T if name == "fc.weight" else array)
    blocks = {key.split(".dw_conv_list")[0] for key in weights if ".dw_conv_list." in key}
    for block in sorted(blocks):
        kernel, bias = fold_branches(weights, block)
        weights[f"{block}.dw_conv.weight"], weights[f"{block}.dw_conv.bias"] = kernel, bias
    return weights


def load_network(weights: Mapping[str, NDArray[np.float32]]) -> "MotionNet":
    """Builds the network that fits Paddle-named weights, with these weights, in eval mode.

    Args:
        weights: Parameter name to array, as from :func:`export_weights`.

    Returns:
        The network for eight frames; the width and the last convolution follow from the shapes.
    """
    import torch

    from models.motion.network import MotionNet

    top = weights[f"{PREFIX}last_conv.weight"].shape
    classes = weights[f"{PREFIX}fc.bias"].shape[0]
    network = MotionNet(classes, width=top[1] / 1024, class_expand=top[0])
    state: dict[str, torch.Tensor] = {}
    for name, tensor in network.state_dict().items():
        stem, _, leaf = name.rpartition(".")
        if leaf == "num_batches_tracked":
            state[name] = tensor
            continue
        array = np.array(weights[f"{PREFIX}{stem}.{_NORM_NAMES.get(leaf, leaf)}"], np.float32)
        state[name] = torch.from_numpy(array.T.copy() if name == "fc.weight" else array)
    network.load_state_dict(state)
    network.eval()
    return network


def save_checkpoint(weights: Weights, path: Path) -> None:
    """Writes a ``.pdparams`` file: a protocol 4 pickle of a flat dict of float32 arrays.

    The file appears under its name only when it is complete.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            pickle.dump(weights, file, protocol=4)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


class _ArrayUnpickler(pickle.Unpickler):
    """Unpickles NumPy arrays and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _SAFE_GLOBALS:
            raise pickle.UnpicklingError(f"{module}.{name} is not allowed in a checkpoint")
        return super().find_class(module, name)


def read_checkpoint(path: Path) -> Weights:
    """Reads a file written by :func:`save_checkpoint`; refuses any object but arrays."""
    with path.open("rb") as file:
        weights: Weights = _ArrayUnpickler(file).load()
    return weights
