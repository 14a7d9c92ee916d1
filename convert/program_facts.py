"""What a saved Paddle program says of itself, read from its file rather than from the exporter."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.errors import CheckpointError


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramFacts:
    """Facts of one program.

    Attributes:
        input_shapes: Shape of each input; -1 for a free axis.
        outputs: Number of outputs.
        leaky_slopes: Slope of every `leaky_relu`, in program order.
    """

    input_shapes: tuple[tuple[int, ...], ...]
    outputs: int
    leaky_slopes: tuple[float, ...]


def read_program(model: Path) -> ProgramFacts:
    """Read a `.json` (Paddle 3) or `.pdmodel` (Paddle 2) program.

    Raises:
        CheckpointError: The file is not such a program.
    """
    old = model.suffix == ".pdmodel"
    try:
        return _read_pdmodel(model) if old else _read_pir(model)
    except Exception as error:  # a damaged program can break its parser in any way
        raise CheckpointError(
            f"{model} is damaged or not a Paddle {2 if old else 3} program:"
            f" {type(error).__name__}: {str(error).strip().splitlines()[0] if str(error) else ''}.",
            hint="Export the model again: paddle.jit.save, or tools/export_model.py",
        ) from error


def _read_pir(model: Path) -> ProgramFacts:
    operators = _operators(json.loads(model.read_text(encoding="utf-8"))["program"])
    named = [(operator["#"].rpartition(".")[2], operator) for operator in operators]
    return ProgramFacts(
        input_shapes=tuple(
            tuple(int(side) for side in operator["O"][0]["TT"]["D"][1])
            for name, operator in named
            if name in {"data", "feed"}
        ),
        outputs=sum(name == "fetch" for name, _ in named),
        leaky_slopes=tuple(
            float(attribute["AT"]["D"])
            for name, operator in named
            if name == "leaky_relu"
            for attribute in operator["A"]
            if attribute["N"] == "negative_slope"
        ),
    )


def _operators(program: Any) -> Iterator[Any]:
    """All operators in order, those of nested regions behind the one that holds them."""
    for region in program["regions"]:
        for block in region["blocks"]:
            for operator in block["ops"]:
                yield operator
                if operator.get("regions"):
                    yield from _operators(operator)


def _read_pdmodel(model: Path) -> ProgramFacts:
    import paddle

    paddle.enable_static()
    try:
        with paddle.pir_utils.OldIrGuard():
            program = paddle.static.io.deserialize_program(model.read_bytes())
            block = program.global_block()
            return ProgramFacts(
                input_shapes=tuple(
                    tuple(block.var(name).shape)
                    for operator in block.ops
                    if operator.type == "feed"
                    for name in operator.output_arg_names
                ),
                outputs=sum(operator.type == "fetch" for operator in block.ops),
                # Stored as float32: 0.01 reads 0.00999999977648.
                leaky_slopes=tuple(
                    float(f"{operator.attr('alpha'):.7g}")
                    for operator in block.ops
                    if operator.type == "leaky_relu"
                ),
            )
    finally:
        paddle.disable_static()
