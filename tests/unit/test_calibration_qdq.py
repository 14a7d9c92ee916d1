"""Layers of graphs, and the graphs that come out: scales, skips, output."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="needs the `int8` extra")
pytest.importorskip("ml_dtypes", reason="needs the `int8` extra")

from calibration.histogram import Histogram
from calibration.qdq import Fp32Graph, range_entries, read_fp32, shared_ranges, write_qdq
from calibration.ranges import histograms
from calibration.recipes import FAMILIES, first_recipe, neighbours
from calibration.report import Activations, Recipe
from models.bundle import open_bundle
from models.errors import CalibrationError
from models.extras import import_onnxruntime

FRAMES, CHANNELS, SIDE = 4, 8, 16


def write_shifted(path: Path) -> Path:
    """conv, ReLU, temporal shift, squeeze-excitation, hard-swish, classifier."""
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(0)

    def normal(*shape: int) -> np.ndarray[Any, np.dtype[np.float32]]:
        return rng.normal(0, 0.4, shape).astype(np.float32)

    def whole(*values: int) -> np.ndarray[Any, np.dtype[np.int64]]:
        return np.array(values, dtype=np.int64)

    constants = {
        "pictures": whole(-1, 3, SIDE, SIDE),
        "clips5": whole(-1, FRAMES, CHANNELS, SIDE, SIDE),
        "maps": whole(-1, CHANNELS, SIDE, SIDE),
        "pads": whole(0, 1, 0, 0, 0, 0, 1, 0, 0, 0),
        "a0": whole(0, 0), "a1": whole(FRAMES, 2),
        "b0": whole(2, 2), "b1": whole(FRAMES + 2, 4),
        "c0": whole(1, 4), "c1": whole(FRAMES + 1, CHANNELS), "axes": whole(1, 2),
        "w0": normal(CHANNELS, 3, 3, 3), "w1": normal(CHANNELS, CHANNELS, 1, 1),
        "w2": normal(CHANNELS, CHANNELS, 1, 1), "w3": normal(FRAMES * CHANNELS, 5),
        "flat": whole(-1, FRAMES * CHANNELS),
    }  # fmt: skip
    node = helper.make_node
    nodes = [
        node("Reshape", ["clips", "pictures"], ["x"], name="Reshape_0"),
        node("Conv", ["x", "w0"], ["c"], name="Conv_0", pads=[1] * 4),
        node("Relu", ["c"], ["r"], name="Relu_0"),
        node("Reshape", ["r", "clips5"], ["r5"], name="Reshape_1"),
        node("Pad", ["r5", "pads"], ["padded"], name="Pad_0"),
        node("Slice", ["padded", "a0", "a1", "axes"], ["past"], name="Slice_0"),
        node("Slice", ["padded", "b0", "b1", "axes"], ["next"], name="Slice_1"),
        node("Slice", ["padded", "c0", "c1", "axes"], ["same"], name="Slice_2"),
        node("Concat", ["past", "next", "same"], ["shifted5"], name="Concat_0", axis=2),
        node("Reshape", ["shifted5", "maps"], ["shifted"], name="Reshape_2"),
        node("Conv", ["shifted", "w1"], ["d"], name="Conv_1"),
        node("GlobalAveragePool", ["d"], ["p"], name="GlobalAveragePool_0"),
        node("Conv", ["p", "w2"], ["e"], name="Conv_2"),
        node("Sigmoid", ["e"], ["s"], name="Sigmoid_0"),
        node("Mul", ["d", "s"], ["m"], name="Mul_0"),
        node("HardSigmoid", ["m"], ["h"], name="HardSigmoid_0"),
        node("Mul", ["m", "h"], ["swish"], name="Mul_1"),
        node("GlobalAveragePool", ["swish"], ["q"], name="GlobalAveragePool_1"),
        node("Reshape", ["q", "flat"], ["f"], name="Reshape_3"),
        node("MatMul", ["f", "w3"], ["logits"], name="MatMul_0"),
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "shifted",
        [value("clips", TensorProto.FLOAT, ["N", FRAMES, 3, SIDE, SIDE])],
        [value("logits", TensorProto.FLOAT, ["N", 5])],
        [numpy_helper.from_array(one, name) for name, one in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    return path


def clips() -> list[np.ndarray[Any, np.dtype[np.float32]]]:
    rng = np.random.default_rng(1)
    return [rng.normal(0, 1, (1, FRAMES, 3, SIDE, SIDE)).astype(np.float32) for _ in range(4)]


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Fp32Graph:
    return read_fp32(write_shifted(tmp_path_factory.mktemp("graph") / "model.onnx"))


@pytest.fixture(scope="module")
def found(graph: Fp32Graph, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Histogram]:
    return histograms(
        graph.model,
        graph.layers.measured,
        clips(),
        scratch=tmp_path_factory.mktemp("scratch"),
        on_clip=lambda _: None,
    )


def test_the_layers_of_a_graph(graph: Fp32Graph) -> None:
    layers = graph.layers
    assert layers.weighted == ("Conv_0", "Conv_1", "Conv_2", "MatMul_0")
    assert (layers.first, layers.last) == ("Conv_0", "MatMul_0")
    assert layers.gates == ("GlobalAveragePool_0", "Conv_2", "Sigmoid_0", "Mul_0")
    assert layers.hard_swish == ("HardSigmoid_0", "Mul_1")
    assert layers.with_activation["Conv_0"] == ("Conv_0", "Relu_0")
    shift = {"r", "r5", "padded", "past", "next", "same", "shifted5", "shifted"}
    assert shift in [set(group) for group in layers.groups]
    assert layers.followers == {"c": "r"}
    assert not {"c", "r5", "padded", "past", "shifted"} & set(layers.measured)


def test_all_of_a_shift_has_one_range(graph: Fp32Graph, found: dict[str, Histogram]) -> None:
    ranges = shared_ranges(graph.layers, found, "minmax")
    assert {ranges[name] for name in ("c", "r", "r5", "padded", "next", "shifted")} == {
        (0.0, found["r"].maximum)
    }
    entry = next(one for one in range_entries(graph.layers, found, "minmax") if one.tensor == "r")
    assert set(entry.shared_with) >= {"padded", "shifted"}
    assert entry.operator == "Relu"
    assert sum(entry.histogram) > 0


@pytest.mark.parametrize("activations", ["u8", "s8"])
def test_one_scale_through_the_shift_and_float_logits(
    graph: Fp32Graph, found: dict[str, Histogram], tmp_path: Path, activations: Activations
) -> None:
    path = tmp_path / "q.onnx"
    write_qdq(graph, found, a_recipe(graph, activations), path)
    made = onnx.load(str(path))
    values = {one.name: onnx.numpy_helper.to_array(one) for one in made.graph.initializer}
    scales, points = {}, {}
    for node in made.graph.node:
        if node.op_type == "QuantizeLinear":
            scales[node.input[0]] = float(values[node.input[1]])
            points[node.input[0]] = values[node.input[2]]
    shift = ("r", "r5", "padded", "past", "next", "same", "shifted5", "shifted")
    assert len({scales[name] for name in shift}) == 1
    assert "logits" not in scales
    kinds = {point.dtype for point in points.values()}
    if activations == "s8":
        assert kinds == {np.dtype(np.int8)}
        assert all(point == 0 for point in points.values())
        assert all(one.data_type != onnx.TensorProto.INT32 for one in made.graph.initializer)
    else:
        assert kinds == {np.dtype(np.uint8)}
    session = import_onnxruntime().InferenceSession(str(path), providers=["CPUExecutionProvider"])
    fp32 = import_onnxruntime().InferenceSession(
        graph.model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    for clip in clips():
        mine, reference = (one.run(None, {"clips": clip})[0] for one in (session, fp32))
        assert np.abs(mine - reference).max() < 0.1 * np.ptp(reference)


def a_recipe(graph: Fp32Graph, activations: Activations = "u8", family: str = "any") -> Recipe:
    return first_recipe(
        family, graph.layers, method="minmax", activations=activations, reduce_range=False
    )


def test_the_recipe_of_a_family_skips_its_gates(graph: Fp32Graph) -> None:
    assert a_recipe(graph).fp32_layers == ()
    recipe = a_recipe(graph, family="pp-tsmv2")
    assert recipe.skipped == ("squeeze-excitation",)
    assert set(recipe.fp32_layers) == set(graph.layers.gates)
    assert recipe.granularity == "per_channel"
    assert a_recipe(graph, family="pp-tsm-mv3").granularity == "per_tensor"


@pytest.mark.parametrize("family", [*FAMILIES, "any"])
def test_neighbours_differ_in_one_respect(graph: Fp32Graph, family: str) -> None:
    recipe = a_recipe(graph, family=family)
    for axis, fields in (
        ("method", {"method"}),
        ("granularity", {"granularity"}),
        ("skips", {"skipped", "fp32_layers"}),
    ):
        for other in neighbours(family, graph.layers, recipe, axis):
            changed = {
                name
                for name in Recipe.model_fields
                if getattr(other, name) != getattr(recipe, name)
            }
            assert changed == fields


def test_seven_bit_weights(graph: Fp32Graph, found: dict[str, Histogram], tmp_path: Path) -> None:
    largest = []
    for reduced in (False, True):
        recipe = a_recipe(graph).model_copy(update={"reduce_range": reduced})
        write_qdq(graph, found, recipe, tmp_path / "q.onnx")
        made = onnx.load(str(tmp_path / "q.onnx"))
        weights = [one for one in made.graph.initializer if one.name == "w0_quantized"]
        largest.append(int(np.abs(onnx.numpy_helper.to_array(weights[0]).astype(int)).max()))
    assert largest[0] == 127
    assert largest[1] <= 64


def test_graphs_that_cannot_be_int8(tmp_path: Path) -> None:
    from onnx import TensorProto, helper

    value = helper.make_tensor_value_info
    for opset, expected in ((17, "no convolution"), (11, "opset 11")):
        graph = helper.make_graph(
            [helper.make_node("Relu", ["x"], ["y"])],
            "empty",
            [value("x", TensorProto.FLOAT, [1, 3])],
            [value("y", TensorProto.FLOAT, [1, 3])],
        )
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8
        )
        onnx.save(model, str(tmp_path / "m.onnx"))
        with pytest.raises(CalibrationError, match=expected):
            read_fp32(tmp_path / "m.onnx")


def test_activations_that_are_not_finite_are_refused(graph: Fp32Graph, tmp_path: Path) -> None:
    bad = clips()
    bad[1][0, 0, 0, 0, 0] = np.inf
    with pytest.raises(CalibrationError, match="reaches"):
        histograms(
            graph.model, graph.layers.measured, bad, scratch=tmp_path, on_clip=lambda _: None
        )
    assert list(tmp_path.iterdir()) == []


def test_the_built_in_model_is_one_group_per_shift() -> None:
    graph = read_fp32(open_bundle(None).model_path())
    assert len(graph.layers.weighted) == 47
    assert len(graph.layers.gates) == 36
    assert max(len(group) for group in graph.layers.groups) == 8
