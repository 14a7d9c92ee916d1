"""Checkpoints made by rule, and the golden networks."""

from __future__ import annotations

import json
import pickle
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Golden:
    """A network of the original implementation, and its logits for `golden_clip`."""

    frames: int
    keys: dict[str, tuple[int, ...]]
    logits: NDArray[np.float64]


def golden_networks() -> dict[str, Golden]:
    """The networks of `golden/networks.json`, by name."""
    path = Path(__file__).parent / "golden" / "networks.json"
    raw: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return {
        name: Golden(
            frames=value["frames"],
            keys={key: tuple(shape) for key, shape in value["keys"].items()},
            logits=np.array(value["logits"]),
        )
        for name, value in raw.items()
    }


def weights_by_rule(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Array]:
    """Deterministic weights that depend on nothing but names and shapes."""
    return {name: _by_rule(name, shape) for name, shape in shapes.items()}


def _by_rule(name: str, shape: tuple[int, ...]) -> Array:
    rng = np.random.Generator(np.random.PCG64(zlib.crc32(name.encode())))
    if name.endswith("_variance"):
        values = rng.uniform(0.5, 1.5, shape)
    elif name.endswith("_mean"):
        values = rng.normal(0, 0.1, shape)
    elif len(shape) == 4:
        values = rng.normal(0, 1, shape) * np.sqrt(2 / np.prod(shape[1:]))
    elif len(shape) == 2:
        values = rng.normal(0, 1, shape) * np.sqrt(1 / shape[0])
    elif name.endswith("weight"):
        values = rng.uniform(0.8, 1.2, shape)
    else:
        values = rng.normal(0, 0.02, shape)
    return values.astype(np.float32)


def golden_clip(frames: int) -> Array:
    """The input of the golden logits: float32 [1, T, 3, 224, 224]."""
    blocks = np.random.Generator(np.random.PCG64(12345)).normal(size=(1, frames, 3, 14, 14))
    pictures = blocks.repeat(16, axis=-2).repeat(16, axis=-1)
    contrast = np.linspace(0.25, 1.75, frames)[:, None, None, None]
    return (pictures * contrast).astype(np.float32)


def write_checkpoint(path: Path, weights: Mapping[str, Array]) -> Path:
    """Write a `.pdparams` as Paddle does: a pickled flat dict of arrays."""
    path.write_bytes(pickle.dumps(dict(weights), protocol=4))
    return path


def narrow_pptsmv2(
    *, classes: int = 5, frames: int | None = None, split: int = 16
) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a very narrow PP-TSMv2; with attention when `frames` is given."""
    shapes: dict[str, tuple[int, ...]] = {}

    def conv_bn(prefix: str, shape: tuple[int, ...]) -> None:
        shapes[f"{prefix}.conv.weight"] = shape
        for part in ("weight", "bias", "_mean", "_variance"):
            shapes[f"{prefix}.bn.{part}"] = (shape[0],)

    conv_bn("backbone.stem.0", (8, 3, 3, 3))
    conv_bn("backbone.stem.1.dw_conv", (8, 1, 3, 3))
    conv_bn("backbone.stem.1.pw_conv", (8, 8, 1, 1))
    inputs = 8
    for stage, (depth, kernel, outputs) in enumerate(
        ((1, 3, 8), (1, 3, 16), (2, 5, 16), (2, 5, 24))
    ):
        for block in range(depth):
            prefix = f"backbone.stages.{stage}.{block}"
            if stage < 2:
                conv_bn(f"{prefix}.dw_conv", (inputs, 1, kernel, kernel))
                conv_bn(f"{prefix}.pw_conv", (outputs, inputs, 1, 1))
            else:
                sizes = (5, 3) if block == 0 else (5, 3, 1)
                for index, size in enumerate(sizes):
                    conv_bn(f"{prefix}.dw_conv_list.{index}", (inputs, 1, size, size))
                shapes[f"{prefix}.dw_conv.weight"] = (inputs, 1, kernel, kernel)
                shapes[f"{prefix}.dw_conv.bias"] = (inputs,)
                if stage == 2:
                    for name, shape in (("conv1", (4, inputs)), ("conv2", (inputs, 4))):
                        shapes[f"{prefix}.se.{name}.weight"] = (*shape, 1, 1)
                        shapes[f"{prefix}.se.{name}.bias"] = shape[:1]
                    conv_bn(f"{prefix}.pw_conv_1", (split, inputs, 1, 1))
                    conv_bn(f"{prefix}.pw_conv_2", (outputs, split, 1, 1))
                else:
                    conv_bn(f"{prefix}.pw_conv", (outputs, inputs, 1, 1))
            inputs = outputs
    shapes["backbone.last_conv.weight"] = (32, inputs, 1, 1)
    shapes["backbone.fc.weight"] = (32, classes)
    shapes["backbone.fc.bias"] = (classes,)
    if frames is not None:
        shapes["backbone.global_attention.fc.weight"] = (frames, frames)
        shapes["backbone.global_attention.fc.bias"] = (frames,)
    return shapes


def narrow_pptsm(*, classes: int = 5) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a very narrow PP-TSM ResNet with one block per stage."""
    shapes: dict[str, tuple[int, ...]] = {}

    def conv_bn(prefix: str, shape: tuple[int, ...]) -> None:
        shapes[f"{prefix}._conv.weight"] = shape
        for part in ("weight", "bias", "_mean", "_variance"):
            shapes[f"{prefix}._batch_norm.{part}"] = (shape[0],)

    conv_bn("backbone.conv1_1", (8, 3, 3, 3))
    conv_bn("backbone.conv1_2", (8, 8, 3, 3))
    conv_bn("backbone.conv1_3", (8, 8, 3, 3))
    inputs = 8
    for stage in range(4):
        prefix, width, outputs = f"backbone.bb_{stage}_0", 8, 16 + 8 * stage
        conv_bn(f"{prefix}.conv0", (width, inputs, 1, 1))
        conv_bn(f"{prefix}.conv1", (width, width, 3, 3))
        conv_bn(f"{prefix}.conv2", (outputs, width, 1, 1))
        conv_bn(f"{prefix}.short", (outputs, inputs, 1, 1))
        inputs = outputs
    shapes["head.fc.weight"] = (inputs, classes)
    shapes["head.fc.bias"] = (classes,)
    return shapes


NARROW = {"pp-tsmv2": narrow_pptsmv2, "pp-tsm": narrow_pptsm}
"""A narrow member of every family, by family name; a new family adds its line here."""
