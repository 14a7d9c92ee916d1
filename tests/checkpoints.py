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

from tests.family_shapes import NARROW, TWIN_NAMES, grid, narrow_pptsm, narrow_pptsmv2

__all__ = [
    "NARROW",
    "TWIN_NAMES",
    "Golden",
    "golden_clip",
    "golden_networks",
    "grid",
    "narrow_pptsm",
    "narrow_pptsmv2",
    "weights_by_rule",
    "write_checkpoint",
]

Array = NDArray[np.float32]

GATE_SCALE = 0.1
"""Keeps the gates of MobileNetV3's squeeze-excitations out of saturation.

At scale 1 they are computed from activations of several hundred: nearly all are exactly 0 or 1,
and those between amplify rounding, so that Paddle in float32 is 1e-4 of the logit range away from
itself in float64. At 0.1 it is 5e-7, and the slope of the gates still moves the logits by 5 %.
"""


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
        if ".mid_se." in name:
            values *= GATE_SCALE
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


def write_checkpoint(
    path: Path,
    weights: Mapping[str, Array],
    parameter_names: Mapping[str, str] | None = None,
) -> Path:
    """Write a `.pdparams` as Paddle does: a pickled flat dict of arrays, and a table of names."""
    content: dict[str, object] = dict(weights)
    if parameter_names is not None:
        content["StructuredToParameterName@@"] = dict(parameter_names)
    path.write_bytes(pickle.dumps(content, protocol=4))
    return path
