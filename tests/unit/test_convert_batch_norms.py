"""Batch norms disappear into convolutions, to the last bit that float32 allows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

for _module in ("onnx", "onnxruntime"):
    pytest.importorskip(_module, reason="needs the `convert` extra")

import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from convert.batch_norms import fold_batch_norms
from convert.graph import save
from models.errors import ConversionError


def network(
    *, spatial: int = 2, groups: int = 1, bias: bool = False, shared: bool = False, nodes: bool
) -> onnx.ModelProto:
    """Conv, BatchNormalization, Relu; `shared` also puts out what the convolution gives."""
    rng = np.random.default_rng(spatial + groups)
    kernel = rng.normal(0, 1, (6, 4 // groups, *(3,) * spatial)).astype(np.float32)
    values: dict[str, Any] = {
        "kernel": kernel,
        "scale": rng.uniform(0.5, 2, 6).astype(np.float32),
        "shift": rng.normal(0, 1, 6).astype(np.float32),
        "mean": rng.normal(0, 1, 6).astype(np.float32),
        "variance": rng.uniform(0.01, 2, 6).astype(np.float32),
    }
    if bias:
        values["bias"] = rng.normal(0, 1, 6).astype(np.float32)
    tensors = [numpy_helper.from_array(value, name) for name, value in values.items()]
    made = [helper.make_node("Constant", [], [one.name], value=one) for one in tensors]
    body = [
        helper.make_node("Conv", ["x", "kernel", *(["bias"] if bias else [])], ["y"], group=groups),
        helper.make_node(
            "BatchNormalization", ["y", "scale", "shift", "mean", "variance"], ["z"], epsilon=1e-3
        ),
        helper.make_node("Relu", ["z"], ["out"]),
    ]
    shape = ["n", 4, *(8,) * spatial]
    results = ["out", "y"] if shared else ["out"]
    graph = helper.make_graph(
        [*made, *body] if nodes else body,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 6, *(6,) * spatial])
            for name in results
        ],
        [] if nodes else tensors,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def run(model: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return np.asarray(session.run(None, {"x": x})[0])


@pytest.mark.parametrize("nodes", [False, True], ids=["initializers", "constant nodes"])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("spatial", "groups"), [(1, 1), (2, 1), (2, 2), (3, 1)])
def test_folding_changes_nothing(spatial: int, groups: int, bias: bool, nodes: bool) -> None:
    model = network(spatial=spatial, groups=groups, bias=bias, nodes=nodes)
    x = np.random.default_rng(0).normal(size=(2, 4, *(8,) * spatial)).astype(np.float32)
    before = run(model, x)
    assert fold_batch_norms(model) == 1
    assert "BatchNormalization" not in {node.op_type for node in model.graph.node}
    onnx.checker.check_model(model)
    assert np.abs(run(model, x) - before).max() <= 2e-6 * np.ptp(before)


def test_folded_weights_are_exact() -> None:
    model = network(nodes=False)
    given = {one.name: numpy_helper.to_array(one) for one in model.graph.initializer}
    fold_batch_norms(model)
    made = {one.name: numpy_helper.to_array(one) for one in model.graph.initializer}
    exact = {name: value.astype(np.longdouble) for name, value in given.items()}
    epsilon = np.longdouble(np.float32(1e-3))
    factor = exact["scale"] / np.sqrt(exact["variance"] + epsilon)
    kernel = (exact["kernel"] * factor[:, None, None, None]).astype(np.float32)
    assert np.array_equal(made["folded_0_kernel"], kernel)


def test_a_convolution_that_others_use_keeps_its_batch_norm() -> None:
    model = network(shared=True, nodes=False)
    assert fold_batch_norms(model) == 0
    assert [node.op_type for node in model.graph.node] == ["Conv", "BatchNormalization", "Relu"]


def test_a_batch_norm_without_a_convolution_stays() -> None:
    model = network(nodes=False)
    del model.graph.node[0]
    model.graph.node[0].input[0] = "x"
    assert fold_batch_norms(model) == 0


@pytest.mark.parametrize("name", ["scale", "shift", "mean", "variance", "bias"])
@pytest.mark.parametrize("sides", [(5,), (1,), (), (6, 1)])
def test_values_that_do_not_fit_the_channels_are_left_alone(
    name: str, sides: tuple[int, ...]
) -> None:
    """A file may be damaged; whoever loads or runs the graph says so better."""
    model = network(bias=True, nodes=False)
    (tensor,) = (one for one in model.graph.initializer if one.name == name)
    tensor.CopyFrom(numpy_helper.from_array(np.ones(sides, np.float32), name))
    before = model.SerializeToString()
    assert fold_batch_norms(model) == 0
    assert model.SerializeToString() == before


def test_an_invalid_graph_is_not_saved(tmp_path: Path) -> None:
    model = network(nodes=False)
    model.graph.node[0].op_type = "Nonsense"
    with pytest.raises(ConversionError, match="The graph is not valid: "):
        save(model, tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []
