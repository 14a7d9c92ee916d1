"""Convolutions of single pixels become matrix products, and nothing else does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx", reason="needs the `convert` extra")
pytest.importorskip("onnxruntime", reason="needs the `cpu` extra")

import onnx
from onnx import TensorProto, helper, numpy_helper

from models.extras import import_onnxruntime
from runtime.temporal.dense import with_dense_products

_CHANNELS = 8


def model(
    *nodes: onnx.NodeProto, opset: int = 17, kernel: int = 1, group: int = 1
) -> onnx.ModelProto:
    """A graph from `x`, [M, 8, 4, 4], to `y`, with the weights `w` and `b`."""
    rng = np.random.default_rng(0)
    shape = (_CHANNELS, _CHANNELS // group, kernel, kernel)
    constants = {"w": rng.normal(0, 1, shape), "b": rng.normal(0, 1, _CHANNELS)}
    graph = helper.make_graph(
        list(nodes),
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["M", _CHANNELS, 4, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, list("abcd"))],
        [
            numpy_helper.from_array(values.astype(np.float32), name)
            for name, values in constants.items()
        ],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.checker.check_model(made)
    return made


def results(made: onnx.ModelProto) -> Any:
    onnxruntime = import_onnxruntime()
    session = onnxruntime.InferenceSession(
        made.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    x = np.random.default_rng(1).normal(0, 1, (3, _CHANNELS, 4, 4)).astype(np.float32)
    return session.run(None, {"x": x})[0]


def operators(made: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in made.graph.node]


POOL = helper.make_node("GlobalAveragePool", ["x"], ["p"])


@pytest.mark.parametrize("opset", [11, 17, 18])
@pytest.mark.parametrize("bias", [True, False])
def test_behind_a_pooling_it_is_a_product(opset: int, bias: bool) -> None:
    inputs = ["w", "b"] if bias else ["w"]
    made = model(
        POOL,
        helper.make_node("Conv", ["p", *inputs], ["c"]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("Conv", ["r", *inputs], ["d"], kernel_shape=[1, 1]),
        helper.make_node("Sigmoid", ["d"], ["s"]),
        helper.make_node("Mul", ["x", "s"], ["y"]),
        opset=opset,
    )
    before = results(made)
    after = with_dense_products(made)
    onnx.checker.check_model(after)
    assert operators(after).count("Gemm") == 2
    assert "Conv" not in operators(after)
    np.testing.assert_allclose(results(after), before, atol=1e-5)


def test_weights_that_a_real_convolution_reads_too_are_left_to_it() -> None:
    made = model(
        helper.make_node("Conv", ["x", "w", "b"], ["m"]),
        helper.make_node("GlobalAveragePool", ["m"], ["p"]),
        helper.make_node("Conv", ["p", "w", "b"], ["y"]),
    )
    before = results(made)
    after = with_dense_products(made)
    assert operators(after).count("Conv") == operators(after).count("Gemm") == 1
    np.testing.assert_allclose(results(after), before, atol=1e-5)


@pytest.mark.parametrize(
    "kept",
    [
        model(helper.make_node("Conv", ["x", "w"], ["y"])),  # 4x4 pixels
        model(POOL, helper.make_node("Conv", ["p", "w"], ["y"], group=8), group=8),
        model(POOL, helper.make_node("Conv", ["p", "w"], ["y"], pads=[1] * 4), kernel=3),
        model(POOL, helper.make_node("Conv", ["p", "w"], ["y"], pads=[1, 0, 0, 0])),
        model(
            helper.make_node("Identity", ["w"], ["v"]),
            POOL,
            helper.make_node("Conv", ["p", "v"], ["y"]),
        ),
        model(
            helper.make_node("Constant", [], ["one"], value_float=0.5),
            helper.make_node("QuantizeLinear", ["x", "one"], ["u"]),
            helper.make_node("DequantizeLinear", ["u", "one"], ["v"]),
            helper.make_node("GlobalAveragePool", ["v"], ["p"]),
            helper.make_node("Conv", ["p", "w"], ["y"]),
        ),
    ],
    ids=["many pixels", "by channel", "3x3", "padded", "no constant", "quantized"],
)
def test_all_others_stay(kept: onnx.ModelProto) -> None:
    before = kept.SerializeToString()
    assert with_dense_products(kept).SerializeToString() == before
