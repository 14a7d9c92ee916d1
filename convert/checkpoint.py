"""From the file of a checkpoint to the weights of one network, under canonical names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from convert.pdparams import Weights, read_pdparams
from models.errors import CheckpointError


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """The weights of one network.

    Attributes:
        weights: Arrays by canonical name (`backbone.…`, `head.…`), in the file's order.
        parameter_names: Name that Paddle gave a parameter, by the name of the tensor; empty
            where the file has lost them.
        renamed: The names had no `backbone.`; it was added.
        notes: What was chosen, left out or renamed on the way, one sentence each.
    """

    weights: Weights
    parameter_names: Mapping[str, str]
    renamed: bool
    notes: tuple[str, ...]


def read_checkpoint(path: Path, *, part: str = "auto") -> Checkpoint:
    """Read the weights of one network.

    Args:
        path: A `.pdparams` file.
        part: Which network of the file: one of `convert.request.PARTS`.

    Raises:
        CheckpointError: The file holds no such part, or cannot be read.
    """
    if part not in {"auto", "model"}:
        raise CheckpointError(f"{path} holds no part '{part}'; it holds: model.")
    return Checkpoint(weights=read_pdparams(path), parameter_names={}, renamed=False, notes=())
