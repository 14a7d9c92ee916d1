"""A tiny network with two temporal shifts, whole and in stages, with weights of a fixed seed.

Frames go through a convolution, a shift by one frame to each side, a second convolution, a second
shift, and a product; their mean gives the logits.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from models.bundle import Bundle, open_bundle
from models.card import CARD_NAME, BundleFile, ModelCard, Variant
from models.spec import ClipSpec
from models.stages import Stage, StageTensor
from tests.tiny_models import LABELS, write_tiny_bundle

FRAMES = 4
CROP = 16
WIDTH = 8
SHIFT = (-1, 0, 1)
MAPS = StageTensor(name="maps", dtype="float32", shape=(WIDTH, 7, 7))
MIXED = StageTensor(name="mixed", dtype="float32", shape=(WIDTH, 3, 3))
FEATURES = StageTensor(name="features", dtype="float32", shape=(WIDTH,))


class _Graph:
    """Nodes and constants, written down in order."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: dict[str, Any] = {}

    def add(self, operator: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        from onnx import helper

        self.nodes.append(helper.make_node(operator, list(inputs), [output], **attributes))
        return output

    def constant(self, name: str, value: Any, dtype: Any = np.int64) -> str:
        self.constants[name] = np.array(value, dtype=dtype)
        return name

    def write(self, path: Path, inputs: dict[str, Any], outputs: dict[str, Any]) -> None:
        import onnx
        from onnx import TensorProto, helper, numpy_helper

        def ends(named: dict[str, Any]) -> list[Any]:
            kinds = {"rows": TensorProto.INT64}
            return [
                helper.make_tensor_value_info(name, kinds.get(name, TensorProto.FLOAT), shape)
                for name, shape in named.items()
            ]

        graph = helper.make_graph(
            self.nodes,
            "staged",
            ends(inputs),
            ends(outputs),
            [numpy_helper.from_array(value, name) for name, value in self.constants.items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        onnx.checker.check_model(model)
        path.write_bytes(model.SerializeToString())


def _weights(graph: _Graph) -> None:
    rng = np.random.default_rng(3)
    shapes = {"k1": (WIDTH, 3, 3, 3), "k2": (WIDTH, WIDTH, 3, 3), "w": (WIDTH, len(LABELS))}
    for name, shape in shapes.items():
        graph.constant(name, rng.normal(0, 0.4, shape), np.float32)


def _frame(graph: _Graph, frames: str, output: str) -> None:
    graph.add("Conv", [frames, "k1"], "c1", strides=[2, 2])
    graph.add("Relu", ["c1"], output)


def _first(graph: _Graph, shifted: str, output: str) -> None:
    graph.add("Conv", [shifted, "k2"], "c2", strides=[2, 2])
    graph.add("Relu", ["c2"], output)


def _second(graph: _Graph, shifted: str, output: str) -> None:
    graph.add("Mul", [shifted, shifted], "squares")
    graph.add("ReduceMean", ["squares"], output, axes=[2, 3], keepdims=0)


def _logits(graph: _Graph, features: str) -> None:
    """Features [N, T, WIDTH]."""
    graph.add("ReduceMean", [features], "mean", axes=[1], keepdims=0)
    graph.add("MatMul", ["mean", "w"], "logits")


def _shift(graph: _Graph, maps: str, side: int) -> str:
    """Fold 1 from the frame before, fold 2 from the frame after, by padding with zeros."""
    tag, fold = f"s{side}", WIDTH // 4
    graph.constant(f"{tag}_split", [-1, FRAMES, WIDTH, side, side])
    graph.constant(f"{tag}_flat", [-1, WIDTH, side, side])
    graph.constant(f"{tag}_pads", [0, 1, 0, 0, 0, 0, 1, 0, 0, 0])
    graph.constant("axes", [1, 2])
    graph.add("Reshape", [maps, f"{tag}_split"], f"{tag}_5d")
    graph.add("Pad", [f"{tag}_5d", f"{tag}_pads"], f"{tag}_padded")
    folds = [(0, 0, fold), (2, fold, 2 * fold), (1, 2 * fold, WIDTH)]
    for start, low, high in folds:
        graph.constant(f"{tag}_a{start}", [start, low])
        graph.constant(f"{tag}_b{start}", [start + FRAMES, high])
        ends = [f"{tag}_padded", f"{tag}_a{start}", f"{tag}_b{start}", "axes"]
        graph.add("Slice", ends, f"{tag}_f{start}")
    graph.add("Concat", [f"{tag}_f{start}" for start, _, _ in folds], f"{tag}_cat", axis=2)
    return graph.add("Reshape", [f"{tag}_cat", f"{tag}_flat"], f"{tag}_out")


def _gathered_shift(graph: _Graph, cache: str) -> str:
    """The same of rows that `rows` [M, 3] names."""
    fold = WIDTH // 4
    graph.constant("axis", [1])
    graph.constant("nothing", 0.0, np.float32)
    graph.constant("zero", 0)
    graph.constant("open", [1, 2, 3])
    folds = [(0, 0, fold), (2, fold, 2 * fold), (1, 2 * fold, WIDTH)]
    for column, low, high in folds:
        graph.constant(f"column{column}", column)
        graph.constant(f"a{column}", [low])
        graph.constant(f"b{column}", [high])
        graph.add("Slice", [cache, f"a{column}", f"b{column}", "axis"], f"part{column}")
        graph.add("Gather", ["rows", f"column{column}"], f"slot{column}", axis=1)
        graph.add("Less", [f"slot{column}", "zero"], f"out{column}")
        graph.add("Unsqueeze", [f"out{column}", "open"], f"outside{column}")
        graph.add("Max", [f"slot{column}", "zero"], f"safe{column}")
        graph.add("Gather", [f"part{column}", f"safe{column}"], f"got{column}", axis=0)
        graph.add("Where", [f"outside{column}", "nothing", f"got{column}"], f"fold{column}")
    return graph.add("Concat", [f"fold{column}" for column, _, _ in folds], "shifted", axis=1)


def write_whole(path: Path) -> None:
    """The graph from clips [N, T, 3, CROP, CROP] to logits."""
    graph = _Graph()
    _weights(graph)
    graph.constant("pictures", [-1, 3, CROP, CROP])
    graph.constant("clip", [-1, FRAMES, WIDTH])
    graph.add("Reshape", ["clips", "pictures"], "frames")
    _frame(graph, "frames", "maps")
    _first(graph, _shift(graph, "maps", 7), "mixed")
    _second(graph, _shift(graph, "mixed", 3), "features")
    _logits(graph, graph.add("Reshape", ["features", "clip"], "of_clip"))
    graph.write(path, {"clips": ["N", FRAMES, 3, CROP, CROP]}, {"logits": ["N", len(LABELS)]})


def write_stages(folder: Path) -> tuple[Stage, ...]:
    """The same in four stages; the files are those that the stages name."""

    def shape(tensor: StageTensor, first: str) -> list[int | str]:
        return [first, *tensor.shape]

    frame, first, second, window = graphs = [_Graph() for _ in range(4)]
    for each in graphs:
        _weights(each)
    _frame(frame, "frames", "maps")
    frame.write(
        folder / "stream.frame.onnx",
        {"frames": ["M", 3, CROP, CROP]},
        {"maps": shape(MAPS, "M")},
    )
    _first(first, _gathered_shift(first, "maps"), "mixed")
    first.write(
        folder / "stream.shift1.onnx",
        {"maps": shape(MAPS, "S"), "rows": ["M", 3]},
        {"mixed": shape(MIXED, "M")},
    )
    _second(second, _gathered_shift(second, "mixed"), "features")
    second.write(
        folder / "stream.shift2.onnx",
        {"mixed": shape(MIXED, "S"), "rows": ["M", 3]},
        {"features": shape(FEATURES, "M")},
    )
    _logits(window, window.add("Gather", ["features", "rows"], "of_clip", axis=0))
    window.write(
        folder / "stream.window.onnx",
        {"features": shape(FEATURES, "S"), "rows": ["N", FRAMES]},
        {"logits": ["N", len(LABELS)]},
    )

    def stage(name: str, **facts: Any) -> Stage:
        file = BundleFile.of(folder / f"stream.{name}.onnx")
        return Stage(**file.model_dump(), macs=1, **facts)

    return (
        stage("frame", kind="frame", outputs=(MAPS,)),
        stage("shift1", kind="shifted", offsets=SHIFT, inputs=(MAPS,), outputs=(MIXED,)),
        stage("shift2", kind="shifted", offsets=SHIFT, inputs=(MIXED,), outputs=(FEATURES,)),
        stage("window", kind="window", inputs=(FEATURES,)),
    )


def write_staged_bundle(folder: Path) -> Bundle:
    """A valid bundle of the network with its stages; its probe is that of ONNX Runtime."""
    import onnxruntime

    bundle = write_tiny_bundle(folder, frames=FRAMES, crop=CROP)
    write_whole(folder / "model.onnx")
    session = onnxruntime.InferenceSession(
        str(folder / "model.onnx"), providers=["CPUExecutionProvider"]
    )
    clips, _ = bundle.probe()
    with np.load(folder / "probe.npz") as stored:
        seeds = stored["seeds"]
    np.savez(folder / "probe.npz", seeds=seeds, logits=session.run(None, {"clips": clips})[0])
    variant = Variant(
        precision="fp32",
        stages=write_stages(folder),
        **BundleFile.of(folder / "model.onnx").model_dump(),
    )
    probe = bundle.card.probe.model_copy(update=BundleFile.of(folder / "probe.npz").model_dump())
    return with_card(bundle, variants=(variant,), probe=probe)


def with_card(bundle: Bundle, **changes: Any) -> Bundle:
    """The bundle with other entries in its card, on disk as well."""
    card: ModelCard = bundle.card.model_copy(update=changes)
    (bundle.path / CARD_NAME).write_text(card.to_json(), encoding="utf-8")
    return open_bundle(bundle.path)


def clip_spec(bundle: Bundle) -> ClipSpec:
    """What the network wants."""
    return bundle.card.clip
