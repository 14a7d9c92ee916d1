"""Mend what the exporter is known to get silently wrong, from the Paddle program itself.

Paddle2ONNX 2.1.0 reads the slope of `leaky_relu` as a 32-bit float; programs of Paddle 3 store
it as a 64-bit one, and the node ends up with whatever was in memory, often 0, without a word.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from models.errors import ConversionError

if TYPE_CHECKING:
    from onnx import ModelProto

ONNX_DEFAULT_ALPHA = 0.01
"""`alpha` of an ONNX LeakyRelu that carries no attribute (operator specification)."""


def repair_leaky_relu(graph: ModelProto, slopes: Sequence[float]) -> str | None:
    """Give every LeakyRelu the slope that the program says, in place.

    Nodes and operators are matched in order, which the exporter keeps; the parity check that
    follows would catch it if it did not.

    Args:
        graph: The exporter's graph.
        slopes: Slope of every `leaky_relu` of the program, in program order.

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
    wrong = 0
    for node, slope in zip(nodes, slopes, strict=True):
        alpha = next(
            (item.f for item in node.attribute if item.name == "alpha"), ONNX_DEFAULT_ALPHA
        )
        if abs(alpha - slope) <= 1e-6 * max(1.0, abs(slope)):
            continue
        wrong += 1
        kept = [item for item in node.attribute if item.name != "alpha"]
        del node.attribute[:]
        node.attribute.extend([*kept, helper.make_attribute("alpha", slope)])
    if not wrong:
        return None
    # The values found are not told: they are left-over memory, different in every run.
    right = ", ".join(f"{slope:g}" for slope in sorted(set(slopes)))
    return (
        f"leaky_relu: the exporter lost the slope of {wrong} of {len(nodes)} nodes;"
        f" set to {right}, as in the Paddle program"
    )
