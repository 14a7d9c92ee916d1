"""Tiny networks that mix frames in the ways in which exporters write it, and their stages run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.temporal.cut import Cut, StageGraph

FRAMES, SIZE, SIDE, CHANNELS, FOLD, CLASSES = 5, 18, 9, 8, 2, 3
"""Not one of them equal to another, so that no axis is mistaken for another one."""


class Network:
    """Nodes behind one another, from `clips` [N, T, 3, H, W] to `logits` [N, classes]."""

    def __init__(self, *, opset: int = 17, frames: int = FRAMES) -> None:
        self.opset, self.frames = opset, frames
        self.nodes: list[Any] = []
        self.constants: dict[str, NDArray[Any]] = {}
        self._rng = np.random.default_rng(0)

    def add(self, kind: str, inputs: Sequence[str], outputs: int = 1, **attributes: Any) -> str:
        """Add a node; the name of its first output, the others have its number behind a dot."""
        from onnx import helper

        name = f"{kind.lower()}{len(self.nodes)}"
        names = [name, *(f"{name}.{number}" for number in range(1, outputs))]
        self.nodes.append(helper.make_node(kind, list(inputs), names, name=name, **attributes))
        return name

    def numbers(self, values: Any, dtype: Any = np.int64) -> str:
        """Add a constant."""
        name = f"c{len(self.constants)}"
        self.constants[name] = np.array(values, dtype)
        return name

    def weights(self, *shape: int, scale: float = 0.5) -> str:
        """Add a weight."""
        return self.numbers(self._rng.normal(0, scale, shape), np.float32)

    def reshape(self, source: str, *shape: int) -> str:
        """Add a Reshape."""
        return self.add("Reshape", [source, self.numbers(shape)])

    def conv(self, source: str, ins: int, outs: int, **attributes: Any) -> str:
        """Add a 3x3 convolution with bias."""
        group = attributes.get("group", 1)
        weight = self.weights(outs, ins // group, 3, 3)
        return self.add("Conv", [source, weight, self.weights(outs)], pads=[1] * 4, **attributes)

    def stem(self) -> str:
        """Single frames up to [N * T, C, 9, 9], positive and negative."""
        pictures = self.reshape("clips", -1, 3, SIZE, SIZE)
        return self.conv(pictures, 3, CHANNELS, strides=[2, 2])

    def head(self, source: str, channels: int = CHANNELS) -> Any:
        """The mean over places and frames, and a product; the model."""
        pooled = self.add("GlobalAveragePool", [source])
        rows = self.reshape(pooled, -1, self.frames, channels)
        mean = self.mean(rows, 1)
        return self.model(self.add("MatMul", [mean, self.weights(channels, CLASSES, scale=3)]))

    def mean(self, source: str, axis: int) -> str:
        """Add a ReduceMean without keeping the axis."""
        if self.opset >= 18:
            return self.add("ReduceMean", [source, self.numbers([axis])], keepdims=0)
        return self.add("ReduceMean", [source], axes=[axis], keepdims=0)

    def model(self, scores: str, batch: str | int = "N") -> Any:
        """The network as a model."""
        import onnx
        from onnx import helper, numpy_helper

        self.nodes.append(helper.make_node("Identity", [scores], ["logits"], name="end"))
        graph = helper.make_graph(
            self.nodes,
            "net",
            [helper.make_tensor_value_info("clips", 1, [batch, self.frames, 3, SIZE, SIZE])],
            [helper.make_tensor_value_info("logits", 1, [batch, CLASSES])],
            [numpy_helper.from_array(value, name) for name, value in self.constants.items()],
        )
        made = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=8
        )
        onnx.checker.check_model(made, full_check=True)
        return made


def run_model(model: Any, feeds: dict[str, NDArray[Any]]) -> list[NDArray[Any]]:
    """All outputs of a model, by ONNX Runtime, node by node as it stands.

    Its optimizer joins pairs of QuantizeLinear with different scales, which moves values.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return [np.asarray(one) for one in session.run(None, feeds)]


def run_stages(cut: Cut, clips: NDArray[np.float32]) -> NDArray[Any]:
    """Logits of clips by way of the stages, the slots of every cache in disorder."""
    rng = np.random.default_rng(1)
    count, frames = clips.shape[:2]
    first, *shifted, last = cut.stages

    def run(stage: StageGraph, feeds: dict[str, NDArray[Any]]) -> list[NDArray[Any]]:
        caches = {one.name: cache for one, cache in zip(stage.inputs, held, strict=True)}
        results = run_model(stage.model, {**caches, **feeds})
        for one, result in zip(stage.outputs, results, strict=False):
            assert (result.shape[1:], str(result.dtype)) == (one.shape, one.dtype)
        return results

    held: list[NDArray[Any]] = []
    order = rng.permutation(count * frames)
    held = run(first, {"frames": clips.reshape(-1, *clips.shape[2:])[order]})
    slots = np.argsort(order).reshape(count, frames)
    for stage in shifted:
        padded = _rows(slots, stage.offsets)
        order = rng.permutation(count * frames)
        held = run(stage, {"rows": padded[order]})
        slots = np.argsort(order).reshape(count, frames)
    return run(last, {"rows": slots})[0]


def _rows(slots: NDArray[Any], offsets: Sequence[int]) -> NDArray[Any]:
    """`rows` of a shifted stage for every frame of every clip, -1 outside of the clip."""
    count, frames = slots.shape
    rows = np.full((count, frames, len(offsets)), -1)
    for column, offset in enumerate(offsets):
        for at in range(max(0, -offset), min(frames, frames - offset)):
            rows[:, at, column] = slots[:, at + offset]
    return rows.reshape(-1, len(offsets))


# -- a shift of one frame to each side, as written by different exporters --------------------------


def padded_and_sliced(net: Network, maps: str) -> str:
    """Zeros at both ends, three slices of it."""
    rows = net.reshape(maps, -1, net.frames, CHANNELS, SIDE, SIDE)
    wide = net.add("Pad", [rows, net.numbers([0, 1, 0, 0, 0, 0, 1, 0, 0, 0])])
    parts = [
        net.add(
            "Slice",
            [wide, *map(net.numbers, ([start, low], [start + net.frames, high], [1, 2]))],
        )
        for start, low, high in ((0, 0, FOLD), (2, FOLD, 2 * FOLD), (1, 2 * FOLD, CHANNELS))
    ]
    return net.reshape(net.add("Concat", parts, axis=2), -1, CHANNELS, SIDE, SIDE)


def sliced_and_filled(net: Network, maps: str) -> str:
    """Slices, each joined with zeros of a shape that is asked for when it runs."""
    rows = net.reshape(maps, -1, net.frames, CHANNELS, SIDE, SIDE)

    def channels(low: int, high: int) -> str:
        return net.add("Slice", [rows, *(net.numbers([one]) for one in (low, high, 2))])

    def frames(source: str, low: int, high: int) -> str:
        return net.add("Slice", [source, *(net.numbers([one]) for one in (low, high, 1))])

    def zeros(like: str) -> str:
        return net.add("ConstantOfShape", [net.add("Shape", [like])])

    first, second = channels(0, FOLD), channels(FOLD, 2 * FOLD)
    earlier = [zeros(frames(first, 0, 1)), frames(first, 0, net.frames - 1)]
    later = [frames(second, 1, net.frames), zeros(frames(second, 0, 1))]
    parts = [net.add("Concat", one, axis=1) for one in (earlier, later)]
    joined = net.add("Concat", [*parts, channels(2 * FOLD, CHANNELS)], axis=2)
    return net.reshape(joined, -1, CHANNELS, SIDE, SIDE)


def split_and_gathered(net: Network, maps: str) -> str:
    """Channels split off, frames picked by number from a padded tensor."""
    rows = net.add("Unsqueeze", [maps, net.numbers([0])])
    rows = net.reshape(rows, -1, net.frames, CHANNELS, SIDE, SIDE)
    sizes = net.numbers([FOLD, FOLD, CHANNELS - 2 * FOLD])
    first = net.add("Split", [rows, sizes], outputs=3, axis=2)
    wide = [
        net.add("Pad", [one, net.numbers([0, 1, 0, 0, 0, 0, 1, 0, 0, 0])])
        for one in (first, f"{first}.1")
    ]
    parts = [
        net.add("Gather", [one, net.numbers(range(start, start + net.frames))], axis=1)
        for one, start in zip(wide, (0, 2), strict=True)
    ]
    joined = net.add("Concat", [*parts, f"{first}.2"], axis=2)
    return net.reshape(joined, -1, CHANNELS, SIDE, SIDE)


def channels_first(net: Network, maps: str) -> str:
    """The channels brought before the frames, shifted there, and brought back."""
    rows = net.reshape(maps, -1, net.frames, CHANNELS, SIDE, SIDE)
    rows = net.add("Transpose", [rows], perm=[0, 2, 1, 3, 4])
    wide = net.add("Pad", [rows, net.numbers([0, 0, 1, 0, 0, 0, 0, 1, 0, 0])])
    parts = [
        net.add(
            "Slice",
            [wide, *map(net.numbers, ([low, start], [high, start + net.frames], [1, 2]))],
        )
        for start, low, high in ((0, 0, FOLD), (2, FOLD, 2 * FOLD), (1, 2 * FOLD, CHANNELS))
    ]
    joined = net.add("Concat", parts, axis=1)
    back = net.add("Transpose", [joined], perm=[0, 2, 1, 3, 4])
    return net.reshape(back, -1, CHANNELS, SIDE, SIDE)


SHIFTS: dict[str, Callable[[Network, str], str]] = {
    "padded and sliced": padded_and_sliced,
    "sliced and filled": sliced_and_filled,
    "split and gathered": split_and_gathered,
    "channels first": channels_first,
}
