"""What INT8 needs to know of an ONNX graph: its layers, gates, and tensors that hold the same."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto

WEIGHTED = frozenset(("Conv", "ConvTranspose", "Gemm", "MatMul"))
"""Operators whose work INT8 speeds up; the "layers" of a report."""

MOVING = frozenset(
    (
        *("Concat", "Expand", "Flatten", "Gather", "Identity", "MaxPool", "Pad", "Reshape"),
        *("Slice", "Split", "Squeeze", "Transpose", "Unsqueeze"),
    )
)
"""Operators that only move or choose values, or add zeros: what goes in and what comes out share a
range, so that nothing is rounded anew on the way (the temporal shift consists of these)."""

QUANTIZED = (
    *("Add", "AveragePool", "Clip", "Concat", "Conv", "ConvTranspose", "Flatten", "Gemm"),
    *("GlobalAveragePool", "LeakyRelu", "MatMul", "MaxPool", "Mul", "Pad", "Relu", "Reshape"),
    *("Sigmoid", "Slice", "Squeeze", "Transpose", "Unsqueeze"),
)
"""Operators that run on INT8 values."""

_ACTIVATIONS = frozenset(("Relu", "Clip", "LeakyRelu"))
_SQUASHING = frozenset(("Sigmoid", "HardSigmoid"))
_POOLING = frozenset(("GlobalAveragePool", "ReduceMean"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Layers:
    """Parts of a graph, by the names of nodes, in the order of the graph.

    Attributes:
        weighted: Layers with weights.
        operators: Operator of every node.
        first: The layer nearest to the input.
        last: The layer nearest to the output.
        gates: Nodes of squeeze-excitation blocks: pooling, its layers, the squashing, and the
            multiplication.
        hard_swish: Multiplications of a value with its own squashed self, and the squashing.
        with_activation: Nodes that are quantized together with a layer: itself, and the
            activation behind it.
        groups: Tensors that hold the same values, two or more each.
        measured: Tensors whose values have to be looked at, from the input to the output.
        followers: Tensors that take the range of another one instead: what stands before a ReLU
            or clip needs no more than comes out behind it.
        makers: Operator that makes a tensor.
    """

    weighted: tuple[str, ...]
    operators: dict[str, str]
    first: str
    last: str
    gates: tuple[str, ...]
    hard_swish: tuple[str, ...]
    with_activation: dict[str, tuple[str, ...]]
    groups: tuple[tuple[str, ...], ...]
    measured: tuple[str, ...]
    followers: dict[str, str]
    makers: dict[str, str]


def layers_of(model: ModelProto) -> Layers:
    """Look a graph over.

    Args:
        model: With the types of its tensors inferred; nodes have distinct names.
    """
    graph = model.graph
    floats = _float_tensors(graph)
    consumers = _consumers(graph.node)
    weights = {tensor.name for tensor in graph.initializer}
    weighted = tuple(
        node.name
        for node in graph.node
        if node.op_type in WEIGHTED and any(name in weights for name in node.input)
    )
    makers = {graph.input[0].name: ""} | {
        name: node.op_type for node in graph.node for name in node.output
    }
    gates, hard_swish = _gates(graph)
    groups = _groups(graph, floats)
    followers = _followers(graph, consumers, grouped={name for one in groups for name in one})
    moved = {name for node in graph.node if node.op_type in MOVING for name in node.output}
    return Layers(
        weighted=weighted,
        operators={node.name: node.op_type for node in graph.node},
        first=weighted[0] if weighted else "",
        last=weighted[-1] if weighted else "",
        gates=gates,
        hard_swish=hard_swish,
        with_activation={
            node.name: _with_activation(node, consumers)
            for node in graph.node
            if node.name in weighted
        },
        groups=groups,
        measured=tuple(name for name in makers if name in floats - moved and name not in followers),
        followers=followers,
        makers=makers,
    )


def _float_tensors(graph: GraphProto) -> frozenset[str]:
    from onnx import TensorProto

    values = (*graph.input, *graph.value_info, *graph.output)
    return frozenset(
        value.name for value in values if value.type.tensor_type.elem_type == TensorProto.FLOAT
    )


def _consumers(nodes: Iterable[NodeProto]) -> dict[str, list[NodeProto]]:
    found: dict[str, list[NodeProto]] = {}
    for node in nodes:
        for name in node.input:
            found.setdefault(name, []).append(node)
    return found


def _with_activation(node: NodeProto, consumers: dict[str, list[NodeProto]]) -> tuple[str, ...]:
    behind = consumers.get(node.output[0], [])
    if len(behind) == 1 and behind[0].op_type in _ACTIVATIONS:
        return node.name, behind[0].name
    return (node.name,)


def _followers(
    graph: GraphProto, consumers: dict[str, list[NodeProto]], *, grouped: set[str]
) -> dict[str, str]:
    """Tensors that only a ReLU or clip reads, and what comes out of it."""
    shared = grouped | {graph.input[0].name}
    return {
        node.input[0]: node.output[0]
        for node in graph.node
        if node.op_type in {"Relu", "Clip"}
        and node.input[0] not in shared
        and len(consumers[node.input[0]]) == 1
    }


def _gates(graph: GraphProto) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Nodes of squeeze-excitation blocks, and of hard-swish and its like."""
    makers = {name: node for node in graph.node for name in node.output}
    gates: set[str] = set()
    swish: set[str] = set()
    for node in graph.node:
        if node.op_type != "Mul":
            continue
        squashing = [
            makers[name]
            for name in node.input
            if name in makers and makers[name].op_type in _SQUASHING
        ]
        for squash in squashing:
            others = [name for name in node.input if name != squash.output[0]]
            if squash.input[0] in others:
                swish |= {node.name, squash.name}
                continue
            path = _up_to_pooling(squash, makers)
            if path:
                gates |= {node.name, *path}
    order = [node.name for node in graph.node]
    return tuple(n for n in order if n in gates), tuple(n for n in order if n in swish)


def _up_to_pooling(node: NodeProto, makers: dict[str, NodeProto]) -> tuple[str, ...]:
    """Nodes from a squashing up to the pooling that feeds it; none when there is no pooling."""
    path = [node.name]
    while node.op_type not in _POOLING:
        above = makers.get(node.input[0]) if node.input else None
        if above is None or len(path) > 8:
            return ()
        node = above
        path.append(node.name)
    return tuple(path)


def _groups(graph: GraphProto, floats: frozenset[str]) -> tuple[tuple[str, ...], ...]:
    """Tensors joined by operators that only move values."""
    leader: dict[str, str] = {}

    def root(name: str) -> str:
        leader.setdefault(name, name)
        while leader[name] != name:
            leader[name] = leader[leader[name]]
            name = leader[name]
        return name

    weights = {tensor.name for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type in MOVING:
            ends = [
                name
                for name in (*node.input, *node.output)
                if name in floats and name not in weights
            ]
            for name in ends[1:]:
                leader[root(name)] = root(ends[0])
    members: dict[str, list[str]] = {}
    for name in leader:
        members.setdefault(root(name), []).append(name)
    return tuple(tuple(group) for group in members.values() if len(group) > 1)
