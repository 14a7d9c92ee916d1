"""Shapes of the tensors of a graph at batch size 1."""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from models.extras import import_onnxruntime
from runtime.graph_macs import Shape, Shapes, counted_operands

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, ValueInfoProto

_log = logging.getLogger(__name__)

_SMALL = 1024
"""Initializers of up to this many values may be shapes, axes or sizes, which inference reads."""


def counted_shapes(graph: ModelProto) -> Shapes:
    """Shapes of all tensors at batch size 1 (or the fixed one), as far as they can be had."""
    shapes = {name: one.shape for name, one in inferred_tensors(graph).items()}
    wanted = {name for node in graph.graph.node for name in counted_operands(node)}
    missing = wanted - shapes.keys()
    return {**shapes, **_observed(graph, missing)} if missing else shapes


@dataclass(frozen=True, slots=True)
class TensorFacts:
    """What is known of a tensor before the graph runs.

    Attributes:
        elem_type: As in `onnx.TensorProto.DataType`.
        shape: At batch size 1 (or the fixed one).
    """

    elem_type: int
    shape: Shape


def inferred_tensors(graph: ModelProto) -> dict[str, TensorFacts]:
    """What shape inference finds out, on a copy of the graph without its weights."""
    from onnx import shape_inference

    try:
        inferred = shape_inference.infer_shapes(_skeleton(graph), data_prop=True).graph
    except shape_inference.InferenceError as error:
        _log.info("shape inference failed: %s", error)
        return {}
    facts = {
        tensor.name: TensorFacts(tensor.data_type, tuple(tensor.dims))
        for tensor in inferred.initializer
    }
    for value in (*inferred.input, *inferred.value_info, *inferred.output):
        shape = _static_shape(value)
        if shape is not None:
            facts[value.name] = TensorFacts(value.type.tensor_type.elem_type, shape)
    return facts


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


def fixed_batch(graph: GraphProto) -> int:
    """The batch size that the graph was made for; 1 where it is free."""
    initialised = {tensor.name for tensor in graph.initializer}
    for value in graph.input:
        axes = value.type.tensor_type.shape.dim
        if value.name not in initialised and axes:
            return max(1, int(axes[0].dim_value))
    return 1
