"""Count what a graph consists of: its nodes, and the multiply-accumulates of one clip."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from models.card import GraphFacts
from models.extras import import_onnxruntime

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto, ValueInfoProto

_log = logging.getLogger(__name__)

Shape = tuple[int, ...]
Shapes = Mapping[str, Shape]

_SMALL = 1024
"""Initializers of up to this many values may be shapes, axes or sizes, which inference reads."""

_STANDARD = ("", "ai.onnx")
"""Names of the default operator domain."""

_GRAPH, _GRAPHS = 5, 10
"""`onnx.AttributeProto.AttributeType` of attributes that hold graphs."""


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


def graph_facts(graph: ModelProto) -> GraphFacts:
    """Count the nodes of a graph, and the multiply-accumulates of one clip.

    The first axis of every input is the batch. Where its size is free it is set to 1; where it is
    fixed, the count is divided by it. Shapes come from ONNX's shape inference, and where that
    gives up, from one run of the graph on zeros with ONNX Runtime.

    Nothing is guessed. What cannot be counted stands in `uncounted`, and `macs` is then a lower
    bound: nodes with a shape that even the run did not give, operators that multiply and
    accumulate but are not among the four that are counted, operators of other domains than ONNX's
    default one, and the contents of If, Loop and Scan, since no graph tells how often they run.

    Args:
        graph: Not changed. Functions of the model's own are taken apart first.
    """
    if graph.functions:
        from onnx import inliner

        graph = inliner.inline_local_functions(graph)
    nodes = Counter(map(_title, _all_nodes(graph.graph)))
    batch = _fixed_batch(graph.graph)
    shapes = _shapes(graph)
    total = 0
    uncounted = Counter(_title(node) for node in _inner_nodes(graph.graph) if _works(node))
    for node in graph.graph.node:
        macs = _node_macs(node, shapes)
        if macs is not None:
            total += macs
        elif _works(node):
            uncounted[_title(node)] += 1
    return GraphFacts(
        macs=round(total / batch), nodes=_by_count(nodes), uncounted=_by_count(uncounted)
    )


def _by_count(counts: Counter[str]) -> dict[str, int]:
    """The most frequent first; equal ones by name."""
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _title(node: NodeProto) -> str:
    """The operator; outside the default domain with that before it: `com.microsoft.Gelu`."""
    return node.op_type if node.domain in _STANDARD else f"{node.domain}.{node.op_type}"


def _all_nodes(graph: GraphProto) -> Iterator[NodeProto]:
    yield from graph.node
    yield from _inner_nodes(graph)


def _inner_nodes(graph: GraphProto) -> Iterator[NodeProto]:
    """Nodes of the graphs inside the nodes of a graph, at any depth."""
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == _GRAPH:
                yield from _all_nodes(attribute.g)
            elif attribute.type == _GRAPHS:
                for inner in attribute.graphs:
                    yield from _all_nodes(inner)


def _works(node: NodeProto) -> bool:
    """Whether the node multiplies and accumulates, or might."""
    if node.domain not in _STANDARD:
        return True
    return node.op_type in _RULES or node.op_type in _WITHOUT_RULE


def _operands(node: NodeProto) -> tuple[str, ...]:
    """The tensors whose shapes count the node; none where there is no rule."""
    rule = _RULES.get(node.op_type) if node.domain in _STANDARD else None
    return rule.operands(node) if rule else ()


def _node_macs(node: NodeProto, shapes: Shapes) -> int | None:
    """None where there is no rule, or a shape is not known."""
    known = [shapes[name] for name in _operands(node) if name in shapes]
    if len(known) != 2:
        return None
    return _RULES[node.op_type].macs(node, known[0], known[1])


# -- shapes ------------------------------------------------------------------------------------


def _shapes(graph: ModelProto) -> Shapes:
    """Shapes of all tensors at batch size 1 (or the fixed one), as far as they can be had."""
    shapes = _inferred(graph)
    wanted = {name for node in graph.graph.node for name in _operands(node)}
    missing = wanted - shapes.keys()
    return {**shapes, **_observed(graph, missing)} if missing else shapes


def _inferred(graph: ModelProto) -> dict[str, Shape]:
    """What shape inference finds out, on a copy of the graph without its weights."""
    from onnx import shape_inference

    try:
        inferred = shape_inference.infer_shapes(_skeleton(graph), data_prop=True).graph
    except shape_inference.InferenceError as error:
        _log.info("shape inference failed: %s", error)
        return {}
    shapes = {tensor.name: tuple(tensor.dims) for tensor in inferred.initializer}
    for value in (*inferred.input, *inferred.value_info, *inferred.output):
        shape = _static_shape(value)
        if shape is not None:
            shapes[value.name] = shape
    return shapes


def _skeleton(graph: ModelProto) -> ModelProto:
    """A copy at batch size 1 in which large weights are inputs of their shape.

    Shapes that the graph states about itself are left out: they are about any batch size.
    """
    from onnx import ModelProto, helper

    copy = ModelProto(ir_version=graph.ir_version, opset_import=graph.opset_import)
    body = graph.graph
    copy.graph.name = body.name
    copy.graph.node.extend(body.node)
    copy.graph.sparse_initializer.extend(body.sparse_initializer)
    copy.graph.input.extend(body.input)
    _bind_batch(copy.graph)
    present = {value.name for value in body.input}
    for tensor in body.initializer:
        if prod(tensor.dims) <= _SMALL:
            copy.graph.initializer.append(tensor)
        elif tensor.name not in present:
            copy.graph.input.append(
                helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
            )
    for value in body.output:
        copy.graph.output.add(
            name=value.name
        ).type.tensor_type.elem_type = value.type.tensor_type.elem_type
    return copy


def _observed(graph: ModelProto, names: Collection[str]) -> dict[str, Shape]:
    """Shapes of tensors in one run of the graph on zeros; empty when it does not run."""
    from onnx import ModelProto

    made = {name for node in graph.graph.node for name in node.output}
    asked = sorted(made.intersection(names))
    if not asked:
        return {}
    copy = ModelProto()
    copy.CopyFrom(graph)
    body = copy.graph
    _bind_batch(body)
    del body.value_info[:]
    del body.output[:]
    for name in asked:
        body.output.add(name=name)
    try:
        onnxruntime = import_onnxruntime()
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.enable_cpu_mem_arena = False
        options.log_severity_level = 4
        session = onnxruntime.InferenceSession(
            copy.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        values = session.run(asked, _zeros(body))
    except Exception as error:  # whatever is wrong with a graph, its nodes are then not countable
        _log.info("the graph does not run, shapes stay unknown: %s", error)
        return {}
    return {name: np.shape(value) for name, value in zip(asked, values, strict=True)}


def _zeros(graph: GraphProto) -> dict[str, NDArray[Any]]:
    """Zeros for every input of a graph.

    Raises:
        ValueError: An axis other than the batch is free.
    """
    from onnx import helper

    initialised = {tensor.name for tensor in graph.initializer}
    zeros = {}
    for value in graph.input:
        if value.name not in initialised:
            shape = _static_shape(value)
            if shape is None:
                raise ValueError(f"the shape of input {value.name} is not fixed")
            dtype = helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
            zeros[value.name] = np.zeros(shape, dtype)
    return zeros


def _static_shape(value: ValueInfoProto) -> Shape | None:
    """None when the rank or a length is not known; exporters also write that as -1."""
    tensor = value.type.tensor_type
    if not tensor.HasField("shape"):
        return None
    if not all(axis.HasField("dim_value") and axis.dim_value >= 0 for axis in tensor.shape.dim):
        return None
    return tuple(axis.dim_value for axis in tensor.shape.dim)


def _bind_batch(graph: GraphProto) -> None:
    """Set the free first axis of every input to 1, and every axis of the same name."""
    axes = [axis for value in graph.input for axis in value.type.tensor_type.shape.dim]
    firsts = [
        value.type.tensor_type.shape.dim[0]
        for value in graph.input
        if value.type.tensor_type.shape.dim
    ]
    free = [axis for axis in firsts if axis.dim_value < 1]  # also written as 0 or -1
    names = {axis.dim_param for axis in free} - {""}
    for axis in (*free, *(axis for axis in axes if axis.dim_param in names)):
        axis.dim_value = 1


def _fixed_batch(graph: GraphProto) -> int:
    """The batch size that the graph was made for; 1 where it is free."""
    initialised = {tensor.name for tensor in graph.initializer}
    for value in graph.input:
        axes = value.type.tensor_type.shape.dim
        if value.name not in initialised and axes:
            return max(1, int(axes[0].dim_value))
    return 1
