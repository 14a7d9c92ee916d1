"""Multiply-accumulates of single nodes of a graph, by the shapes of their tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnx import NodeProto

Shape = tuple[int, ...]
Shapes = Mapping[str, Shape]

STANDARD_DOMAINS = ("", "ai.onnx")
"""Names of the default operator domain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rule:
    """How the multiply-accumulates of an operator follow from two shapes.

    Attributes:
        operands: Names of the two tensors of a node whose shapes the formula takes.
        macs: The formula.
    """

    operands: Callable[[NodeProto], tuple[str, str]]
    macs: Callable[[NodeProto, Shape, Shape], int]


def _conv(node: NodeProto, weight: Shape, result: Shape) -> int:
    """Each value of the result sums over the kernel and the input channels of its group.

    The weight is [out, in / group, *kernel]. Products with padding are counted.
    """
    del node
    return prod(result) * prod(weight[1:])


def _conv_transpose(node: NodeProto, weight: Shape, data: Shape) -> int:
    """Each value of the input goes into the kernel and the output channels of its group.

    The weight is [in, out / group, *kernel]. Products that padding cuts off are counted.
    """
    del node
    return prod(data) * prod(weight[1:])


def _gemm(node: NodeProto, left: Shape, result: Shape) -> int:
    """Rows times columns times what is summed over."""
    transposed = any(one.name == "transA" and one.i for one in node.attribute)
    return prod(result) * left[0 if transposed else 1]


def _matmul(node: NodeProto, left: Shape, result: Shape) -> int:
    """As `numpy.matmul`: the last axis of the left operand is summed over, whatever the batch."""
    del node
    return prod(result) * left[-1]


_RULES: dict[str, _Rule] = {
    "Conv": _Rule(operands=lambda node: (node.input[1], node.output[0]), macs=_conv),
    "ConvTranspose": _Rule(
        operands=lambda node: (node.input[1], node.input[0]), macs=_conv_transpose
    ),
    "Gemm": _Rule(operands=lambda node: (node.input[0], node.output[0]), macs=_gemm),
    "MatMul": _Rule(operands=lambda node: (node.input[0], node.output[0]), macs=_matmul),
}

_WITHOUT_RULE = frozenset(
    {
        *("Attention", "ConvInteger", "DeformConv", "Einsum", "GRU", "LSTM", "MatMulInteger"),
        *("QLinearConv", "QLinearMatMul", "RNN"),
    }
)
"""Standard operators that multiply and accumulate, but for which there is no rule here."""


def multiplies(node: NodeProto) -> bool:
    """Whether the node multiplies and accumulates, or might."""
    if node.domain not in STANDARD_DOMAINS:
        return True
    return node.op_type in _RULES or node.op_type in _WITHOUT_RULE


def counted_operands(node: NodeProto) -> tuple[str, ...]:
    """The tensors whose shapes count the node; none where there is no rule."""
    rule = _RULES.get(node.op_type) if node.domain in STANDARD_DOMAINS else None
    return rule.operands(node) if rule else ()


def node_macs(node: NodeProto, shapes: Shapes) -> int | None:
    """None where there is no rule, or a shape is not known."""
    known = [shapes[name] for name in counted_operands(node) if name in shapes]
    if len(known) != 2:
        return None
    return _RULES[node.op_type].macs(node, known[0], known[1])
