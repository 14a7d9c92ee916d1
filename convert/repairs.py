"""Mend what the exporter is known to get silently wrong, from the Paddle program itself.

Paddle2ONNX 2.1.0 reads the slope of `leaky_relu` as a 32-bit float; programs of Paddle 3 store
it as a 64-bit one, and the node ends up with `alpha = 0`, a plain ReLU, without a word.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.errors import CheckpointError, ConversionError

if TYPE_CHECKING:
    from onnx import ModelProto

ONNX_DEFAULT_ALPHA = 0.01
"""`alpha` of an ONNX LeakyRelu that carries no attribute (operator specification)."""


def leaky_slopes(model: Path) -> list[float]:
    """Slopes of all `leaky_relu` operators of a program, in program order.

    Args:
        model: `.json` (Paddle 3) or `.pdmodel` (Paddle 2) file.

    Raises:
        CheckpointError: The program cannot be read.
    """
    if model.suffix == ".pdmodel":
        return _slopes_of_pdmodel(model)
    try:
        program = json.loads(model.read_text(encoding="utf-8"))["program"]
        return [
            float(attribute["AT"]["D"])
            for operator in _operators(program)
            if operator["#"].rpartition(".")[2] == "leaky_relu"
            for attribute in operator["A"]
            if attribute["N"] == "negative_slope"
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(
            f"{model} is not a Paddle 3 program: {type(error).__name__}: {error}.",
            hint="Export the model again: paddle.jit.save or tools/export_model.py",
        ) from error


def repair_leaky_relu(graph: ModelProto, slopes: list[float]) -> str | None:
    """Give every LeakyRelu the slope that the program says.

    Nodes and operators are matched in order, which the exporter keeps; the parity check that
    follows would catch it if it did not.

    Returns:
        One sentence for the certificate, or None when nothing was wrong.

    Raises:
        ConversionError: The graph has another number of LeakyRelu nodes than the program.
    """
    from onnx import helper

    nodes = [node for node in graph.graph.node if node.op_type == "LeakyRelu"]
    if len(nodes) != len(slopes):
        raise ConversionError(
            f"The program has {len(slopes)} leaky_relu operators, the exported graph"
            f" {len(nodes)} LeakyRelu nodes."
        )
    repaired = set()
    wrong = 0
    for node, slope in zip(nodes, slopes, strict=True):
        alpha = next(
            (item.f for item in node.attribute if item.name == "alpha"), ONNX_DEFAULT_ALPHA
        )
        if abs(alpha - slope) <= 1e-6 * max(1.0, abs(slope)):
            continue
        wrong += 1
        repaired.add((alpha, slope))
        kept = [item for item in node.attribute if item.name != "alpha"]
        del node.attribute[:]
        node.attribute.extend([*kept, helper.make_attribute("alpha", slope)])
    if not wrong:
        return None
    changes = ", ".join(f"{alpha:g} to {slope:g}" for alpha, slope in sorted(repaired))
    return f"leaky_relu: slope of {wrong} of {len(nodes)} nodes set from {changes}"


def _operators(program: Any) -> list[Any]:
    found = []
    for region in program["regions"]:
        for block in region["blocks"]:
            for operator in block["ops"]:
                found.append(operator)
                if operator.get("regions"):
                    found.extend(_operators(operator))
    return found


def _slopes_of_pdmodel(model: Path) -> list[float]:
    import paddle

    paddle.enable_static()
    try:
        with paddle.pir_utils.OldIrGuard():
            program = paddle.static.io.deserialize_program(model.read_bytes())
            return [
                float(operator.attr("alpha"))
                for operator in program.global_block().ops
                if operator.type == "leaky_relu"
            ]
    except Exception as error:
        raise CheckpointError(
            f"{model} is not a Paddle 2 program: {type(error).__name__}.",
            hint="Export the model again: tools/export_model.py",
        ) from error
    finally:
        paddle.disable_static()
