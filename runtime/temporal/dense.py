"""Convolutions of single pixels, written as one matrix product over all rows.

Behind a global pooling a 1x1 convolution reads its weights once for every row, and has one product
to make with each. With the rows as a matrix they are read once for all. On the shifted stage of the
8-frame mobile network, 3 rows, in turns with the same graph without it, on a busy machine: 0.98 of
its processor time on ONNX Runtime, 0.985 of its time on OpenVINO. Logits differ by 6e-7 of their
range.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, TensorProto

_QUANTIZED = {"QuantizeLinear", "DequantizeLinear"}


def with_dense_products(model: ModelProto) -> ModelProto:
    """Write 1x1 convolutions of [M, C, 1, 1] as Gemm.

    Graphs that are quantized stay as they are: another order of sums could move a value by a whole
    step, and the stages are to agree with the whole graph exactly.

    Args:
        model: Graph of a stage; changed.

    Returns:
        The same model.
    """
    graph = model.graph
    if any(node.op_type in _QUANTIZED for node in graph.node):
        return model
    weights = {tensor.name: tensor for tensor in graph.initializer}
    uses = [name for node in graph.node for name in node.input]
    pixels = _single_pixels(model)
    nodes: list[NodeProto] = []
    for node in graph.node:
        weight = weights.get(node.input[1]) if len(node.input) > 1 else None
        if weight is None or node.input[0] not in pixels or not _is_product(node, weight):
            nodes.append(node)
            continue
        if uses.count(weight.name) > 1:
            copy = graph.initializer.add()
            copy.CopyFrom(weight)
            copy.name = f"{node.output[0]}.weight"
            weight = copy
        del weight.dims[2:]
        nodes += _product(node, weight.name)
    del graph.node[:]
    graph.node.extend(nodes)
    return model


def _single_pixels(model: ModelProto) -> set[str]:
    """Tensors of shape [M, C, 1, 1]."""
    from onnx import shape_inference

    inferred = shape_inference.infer_shapes(model).graph
    return {
        value.name
        for value in (*inferred.value_info, *inferred.input)
        if [axis.dim_value for axis in value.type.tensor_type.shape.dim[2:]] == [1, 1]
        and len(value.type.tensor_type.shape.dim) == 4
    }


def _is_product(node: NodeProto, weight: TensorProto) -> bool:
    """Whether a node is a plain 1x1 convolution of floats."""
    given: dict[str, Any] = {one.name: one for one in node.attribute}
    plain = (
        node.op_type == "Conv"
        and node.domain in ("", "ai.onnx")
        and weight.data_type == weight.FLOAT
        and list(weight.dims[2:]) == [1, 1]
        and len(weight.dims) == 4
    )
    return (
        plain
        and ("group" not in given or given["group"].i == 1)
        and ("pads" not in given or not any(given["pads"].ints))
        and ("auto_pad" not in given or given["auto_pad"].s in (b"NOTSET", b"VALID"))
    )


def _product(node: NodeProto, weight: str) -> list[NodeProto]:
    """Rows as a matrix, the product, and the two axes of one pixel again."""
    from onnx import helper, numpy_helper

    name = node.output[0]
    shape = numpy_helper.from_array(np.array([0, -1, 1, 1], np.int64), f"{name}.pixels")
    flat = helper.make_node("Flatten", [node.input[0]], [f"{name}.flat"], name=f"{name}.flat")
    product = helper.make_node(
        "Gemm",
        [flat.output[0], weight, *node.input[2:]],
        [f"{name}.product"],
        name=f"{name}.product",
        transB=1,
    )
    target = helper.make_node("Constant", [], [shape.name], name=shape.name, value=shape)
    back = helper.make_node("Reshape", [product.output[0], shape.name], [name], name=name)
    return [flat, product, target, back]
