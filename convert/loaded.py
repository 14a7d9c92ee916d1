"""A model that is ready to be converted, whatever it came from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from convert.ends import Ends
from convert.parity import Reference, Witness

if TYPE_CHECKING:
    from onnx import ModelProto


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """A model as a graph, its ends still its own.

    Attributes:
        graph: One input in the model's own layout, one output in its own form.
        repairs: Exporter defects mended, one sentence each.
    """

    graph: ModelProto
    repairs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedModel:
    """A model with everything known about it.

    Attributes:
        family: Family name, "exported" for a Paddle program that nothing names, or "onnx".
        title: Name shown to people.
        ends: How it is fed and read.
        fixed_rows: Length of the first axis of its input, where it is fixed.
        reference: What it computes for clips float32 [N, T, 3, H, W].
        witness: What computes it.
        opset: Of the graph to make.
        export: Makes the graph; told the opset and a scratch folder.
        libraries: Distributions that take part in the conversion.
        notes: What was chosen or assumed on the way, one sentence each.
    """

    family: str
    title: str
    ends: Ends
    fixed_rows: int | None
    reference: Reference
    witness: Witness
    opset: int
    export: Callable[[int, Path], Exported]
    libraries: tuple[str, ...]
    notes: tuple[str, ...] = ()
