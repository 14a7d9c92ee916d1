"""Multiply-accumulates against counts made by hand and by other means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convert.graph_facts import graph_facts
from models.card import GraphFacts
from runtime import graph_shapes
from runtime.graph_shapes import TensorFacts

onnx = pytest.importorskip("onnx", reason="needs the `convert` extra")
from onnx import TensorProto, helper, numpy_helper

Axes = Sequence[int | str | None]
OPSETS = (("", 17), ("com.example", 1), ("com.microsoft", 1))


def model(
    nodes: list[Any],
    *,
    data: Axes,
    weights: Mapping[str, Any],
    functions: Sequence[Any] = (),
) -> Any:
    """A graph from `x` to `y`, whose shape is not stated; of a weight, a shape is enough."""
    initializers = [
        numpy_helper.from_array(
            value if isinstance(value, np.ndarray) else np.zeros(value, np.float32), name
        )
        for name, value in weights.items()
    ]
    graph = helper.make_graph(
        nodes,
        "made",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, data)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        initializers,
    )
    opsets = [helper.make_opsetid(*one) for one in OPSETS]
    return helper.make_model(graph, opset_imports=opsets, functions=functions, ir_version=8)


def node(operator: str, *inputs: str, to: str = "y", **attributes: Any) -> Any:
    return helper.make_node(operator, list(inputs), [to], **attributes)


BY_HAND = {
    # 2 * 2 places (stride 2 of 5, no padding) * 4 channels out * (3 in * 9)
    "conv": ([node("Conv", "x", "w", strides=[2, 2])], ("N", 3, 5, 5), (4, 3, 3, 3), 432),
    # 5 * 5 places * 6 out * (2 in per group * 9); padding is multiplied as well
    "grouped": (
        [node("Conv", "x", "w", group=3, pads=[1, 1, 1, 1])],
        ("N", 6, 5, 5),
        (6, 2, 3, 3),
        2700,
    ),
    # 3 * 3 places * 6 channels * 9
    "depthwise": ([node("Conv", "x", "w", group=6)], ("N", 6, 5, 5), (6, 1, 3, 3), 486),
    # 5 places (7 - 2 * (2 - 1) of dilation) * 2 out * (3 in * 2)
    "1d dilated": ([node("Conv", "x", "w", dilations=[2])], ("N", 3, 7), (2, 3, 2), 60),
    # 2 * 4 * 4 places * 8 out * (3 in * 27)
    "3d": ([node("Conv", "x", "w")], ("N", 3, 4, 6, 6), (8, 3, 3, 3, 3), 20736),
    # each of 4 * 4 * 6 values goes into 2 out per group * 4; the stride makes no difference
    "transposed": (
        [node("ConvTranspose", "x", "w", group=3, strides=[2, 2])],
        ("N", 6, 4, 4),
        (6, 2, 2, 2),
        768,
    ),
    # 5 -> 7
    "gemm": ([node("Gemm", "x", "w")], ("N", 5), (5, 7), 35),
    "gemm of a transposed weight": ([node("Gemm", "x", "w", transB=1)], ("N", 5), (7, 5), 35),
    # x^T is 5 x 1, w 1 x 7: 35 products of one term each
    "gemm of transposed data": ([node("Gemm", "x", "w", transA=1)], ("N", 5), (1, 7), 35),
    # 3 times 4 x 5 by 5 x 6
    "matmul": ([node("MatMul", "x", "w")], ("N", 3, 4, 5), (5, 6), 360),
    # broadcast: 3 times 4 x 5 by 5 x 6, the weight giving the batch of 3
    "matmul batched by the weight": ([node("MatMul", "x", "w")], ("N", 1, 4, 5), (3, 5, 6), 360),
    "matmul with a vector": ([node("MatMul", "x", "w")], ("N", 4, 5), (5,), 20),
    "no work": ([node("Relu", "x")], ("N", 4, 5), (1,), 0),
}


@pytest.mark.parametrize(("nodes", "data", "weight", "macs"), BY_HAND.values(), ids=BY_HAND)
def test_by_hand(nodes: list[Any], data: Axes, weight: tuple[int, ...], macs: int) -> None:
    facts = graph_facts(model(nodes, data=data, weights={"w": weight}))
    assert facts == GraphFacts(macs=macs, nodes={nodes[0].op_type: 1})


@pytest.mark.parametrize("name", BY_HAND)
def test_a_run_gives_the_same_shapes_as_inference(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxruntime")
    nodes, data, weight, macs = BY_HAND[name]
    made = model(nodes, data=data, weights={"w": weight})
    known = {"w": weight, "x": (1, *data[1:])}
    facts = {name: TensorFacts(1, tuple(map(int, shape))) for name, shape in known.items()}
    monkeypatch.setattr(graph_shapes, "inferred_tensors", lambda graph: facts)
    assert graph_facts(made).macs == macs


@settings(deadline=None, max_examples=60)
@given(
    groups=st.integers(1, 3),
    ins=st.integers(1, 3),
    outs=st.integers(1, 3),
    kernel=st.lists(st.integers(1, 3), min_size=1, max_size=3),
    extra=st.integers(0, 4),
    stride=st.integers(1, 3),
    pad=st.integers(0, 2),
    batch=st.one_of(st.none(), st.integers(1, 4)),
)
def test_conv_counts_every_place_of_the_kernel(
    groups: int,
    ins: int,
    outs: int,
    kernel: list[int],
    extra: int,
    stride: int,
    pad: int,
    batch: int | None,
) -> None:
    """Step the kernel along each axis and count where it starts."""
    sides = [size + extra for size in kernel]
    made = model(
        [
            node(
                "Conv", "x", "w", group=groups, strides=[stride] * len(kernel),
                pads=[pad] * 2 * len(kernel),
            )
        ],
        data=(batch or "N", groups * ins, *sides),
        weights={"w": (groups * outs, ins, *kernel)},
    )  # fmt: skip
    expected = groups * ins * outs
    for side, size in zip(sides, kernel, strict=True):
        places = range(-pad, side + pad - size + 1, stride)
        expected *= sum(size for _ in places)
    assert graph_facts(made).macs == expected


@pytest.mark.parametrize("first", ["batch", None, 0, -1, 4])
def test_batch_axis(first: str | int | None) -> None:
    """Free under whatever name, or fixed, in which case one clip is a share of it."""
    made = model([node("MatMul", "x", "w")], data=(first, 3, 5), weights={"w": (5, 7)})
    assert graph_facts(made).macs == 3 * 5 * 7


def test_axes_of_the_same_name_have_the_same_length() -> None:
    made = model([node("MatMul", "x", "w")], data=("N", "N", 5), weights={"w": (5, 7)})
    assert graph_facts(made) == GraphFacts(macs=35, nodes={"MatMul": 1})


def test_batch_folded_into_the_pictures() -> None:
    """Clips become pictures and clips again, as in every network of this kind."""
    nodes = [
        node("Reshape", "x", "pictures", to="a"),
        node("Conv", "a", "w", to="b"),
        node("Reshape", "b", "clips", to="c"),
        node("MatMul", "c", "v"),
    ]
    weights = {
        "pictures": np.array([-1, 3, 8, 8]),
        "clips": np.array([-1, 4, 2 * 6 * 6]),
        "w": (2, 3, 3, 3),
        "v": (72, 5),
    }
    facts = graph_facts(model(nodes, data=("N", 4, 3, 8, 8), weights=weights))
    assert facts.macs == 4 * (2 * 6 * 6 * 27) + 4 * 72 * 5
    assert facts.nodes == {"Reshape": 2, "Conv": 1, "MatMul": 1}
    assert list(facts.nodes) == ["Reshape", "Conv", "MatMul"]


def data_dependent() -> Any:
    """Its second Reshape takes a shape that is computed from values."""
    nodes = [
        node("ReduceMax", "x", to="top", keepdims=0),
        helper.make_node("Cast", ["top"], ["most"], to=TensorProto.INT64),
        node("Add", "most", "five", to="five_or_more"),
        node("Concat", "minus_one", "five_or_more", to="shape", axis=0),
        node("Reshape", "x", "shape", to="rows"),
        node("MatMul", "rows", "w"),
    ]
    weights = {"five": np.array([5]), "minus_one": np.array([-1]), "w": (5, 7)}
    return model(nodes, data=("N", 3, 5), weights=weights)


def test_shape_that_only_a_run_tells() -> None:
    pytest.importorskip("onnxruntime")
    facts = graph_facts(data_dependent())
    assert (facts.macs, facts.uncounted) == (3 * 5 * 7, {})


def test_shape_that_nothing_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent() -> None:
        raise ImportError("no engine here")

    monkeypatch.setattr(graph_shapes, "import_onnxruntime", absent)
    facts = graph_facts(data_dependent())
    assert (facts.macs, facts.uncounted) == (0, {"MatMul": 1})


def test_two_free_axes_cannot_be_run() -> None:
    made = model([node("MatMul", "x", "w")], data=("N", "length", 5), weights={"w": (5, 7)})
    assert graph_facts(made).uncounted == {"MatMul": 1}


def test_operators_without_a_rule_make_a_lower_bound() -> None:
    nodes = [
        node("MatMul", "x", "w", to="a"),
        node("Einsum", "a", "v", to="b", equation="nij,jk->nik"),
        node("Einsum", "b", "v", to="c", equation="nij,jk->nik"),
        helper.make_node("FusedMatMul", ["c", "v"], ["d"], domain="com.microsoft"),
        node("Relu", "d"),
    ]
    facts = graph_facts(model(nodes, data=("N", 3, 5), weights={"w": (5, 7), "v": (7, 7)}))
    assert facts.macs == 3 * 5 * 7
    assert facts.uncounted == {"Einsum": 2, "com.microsoft.FusedMatMul": 1}
    assert facts.nodes == {"Einsum": 2, "MatMul": 1, "Relu": 1, "com.microsoft.FusedMatMul": 1}
    assert list(facts.nodes)[:2] == ["Einsum", "MatMul"]


def test_graphs_inside_nodes() -> None:
    """Their nodes are listed; how often they run is in no graph, so their work is not counted."""
    inner = [
        helper.make_graph(
            [node("MatMul", "x", "w", to=f"{name}_y"), node("Relu", f"{name}_y", to=f"{name}_z")],
            name,
            [],
            [helper.make_tensor_value_info(f"{name}_z", TensorProto.FLOAT, None)],
        )
        for name in ("then", "else")
    ]
    nodes = [
        node("If", "yes", to="a", then_branch=inner[0], else_branch=inner[1]),
        node("Add", "a", "one"),
    ]
    weights = {"yes": np.array(True), "one": np.ones(1, np.float32), "w": (5, 7)}
    facts = graph_facts(model(nodes, data=("N", 3, 5), weights=weights))
    assert facts.nodes == {"MatMul": 2, "Relu": 2, "Add": 1, "If": 1}
    assert (facts.macs, facts.uncounted) == (0, {"MatMul": 2})


def test_functions_of_the_model_are_taken_apart() -> None:
    function = helper.make_function(
        "com.example",
        "Dense",
        ["a", "b"],
        ["c"],
        [helper.make_node("MatMul", ["a", "b"], ["m"]), helper.make_node("Relu", ["m"], ["c"])],
        [helper.make_opsetid("", 17)],
    )
    nodes = [
        helper.make_node("Dense", ["x", "w"], ["z"], domain="com.example"),
        helper.make_node("Dense", ["z", "v"], ["y"], domain="com.example"),
    ]
    made = model(nodes, data=("N", 3, 5), weights={"w": (5, 7), "v": (7, 2)}, functions=[function])
    facts = graph_facts(made)
    assert facts == GraphFacts(macs=3 * 5 * 7 + 3 * 7 * 2, nodes={"MatMul": 2, "Relu": 2})


def test_large_weights_count_like_small_ones_and_the_graph_stays_as_it_is() -> None:
    made = model([node("Conv", "x", "w")], data=("N", 64, 9, 9), weights={"w": (128, 64, 3, 3)})
    before = made.SerializeToString(deterministic=True)
    assert graph_facts(made).macs == 7 * 7 * 128 * 64 * 9
    assert made.SerializeToString(deterministic=True) == before


def test_weights_that_are_also_inputs() -> None:
    """As exporters wrote until 2019."""
    made = model([node("Conv", "x", "w")], data=("N", 64, 9, 9), weights={"w": (128, 64, 3, 3)})
    made.graph.input.append(helper.make_tensor_value_info("w", 1, (128, 64, 3, 3)))
    assert graph_facts(made).macs == 7 * 7 * 128 * 64 * 9


def test_stale_shapes_in_the_file_are_not_believed() -> None:
    made = model(
        [node("MatMul", "x", "w", to="a"), node("MatMul", "a", "w")],
        data=("N", 3, 5),
        weights={"w": (5, 5)},
    )
    made.graph.value_info.append(helper.make_tensor_value_info("a", 1, ("unk__0", 3, 5)))
    assert graph_facts(made).macs == 2 * 3 * 5 * 5


@pytest.mark.parametrize(("frames", "crop"), [(4, 16), (2, 32)])
def test_tiny_network(tmp_path: Path, frames: int, crop: int) -> None:
    from tests.tiny_models import CHANNELS, LABELS, write_tiny_bundle

    bundle = write_tiny_bundle(tmp_path / "bundle", frames=frames, crop=crop)
    places = len(range(0, crop - 2, 2)) ** 2
    expected = frames * places * CHANNELS * 27 + frames * CHANNELS * len(LABELS)
    assert graph_facts(onnx.load(str(bundle.model_path()))).macs == expected
