"""Small ONNX classifiers as other tool kits export them, built in code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

FRAMES, SIZE, CLASSES, CHANNELS = 4, 32, 5, 8

Shape = Sequence[int | str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """How a model is shaped.

    Attributes:
        layout: Axes of its input, as for `--layout`.
        shape: Of its input.
        before: Nodes that bring the input into [N, 3, T, H, W] or [N, 3, H, W], as
            (operator, constants, attributes).
        spatial: Axes behind the channels: 3 for a network of clips, 2 for one of pictures.
    """

    layout: str
    shape: Shape
    before: tuple[tuple[str, tuple[tuple[int, ...], ...], dict[str, Any]], ...] = ()
    spatial: int = 3


FORMS = {
    "3d": Form(layout="NCTHW", shape=["n", 3, FRAMES, SIZE, SIZE]),
    "3d, one clip": Form(layout="NCTHW", shape=[1, 3, FRAMES, SIZE, SIZE]),
    "3d, three clips": Form(layout="NCTHW", shape=[3, 3, FRAMES, SIZE, SIZE]),
    "recogniser 3d": Form(
        layout="N1CTHW",
        shape=["n", 1, 3, FRAMES, SIZE, SIZE],
        before=(("Reshape", ((-1, 3, FRAMES, SIZE, SIZE),), {}),),
    ),
    "channels last": Form(
        layout="NTHWC",
        shape=["n", FRAMES, SIZE, SIZE, 3],
        before=(("Transpose", (), {"perm": [0, 4, 1, 2, 3]}),),
    ),
    "our own": Form(
        layout="NTCHW",
        shape=["n", FRAMES, 3, SIZE, SIZE],
        before=(("Transpose", (), {"perm": [0, 2, 1, 3, 4]}),),
    ),
    "frozen batch": Form(
        layout="NTCHW",
        shape=[1, FRAMES, 3, SIZE, SIZE],
        before=(
            ("Transpose", (), {"perm": [0, 2, 1, 3, 4]}),
            ("Reshape", ((1, 3, FRAMES, SIZE, SIZE),), {}),
        ),
    ),
    "stacked channels": Form(
        layout="N(TC)HW",
        shape=["n", 3 * FRAMES, SIZE, SIZE],
        before=(
            ("Reshape", ((-1, FRAMES, 3, SIZE, SIZE),), {}),
            ("Transpose", (), {"perm": [0, 2, 1, 3, 4]}),
        ),
    ),
    "pictures": Form(layout="NCHW", shape=["n", 3, SIZE, SIZE], spatial=2),
    "one picture": Form(layout="NCHW", shape=[1, 3, SIZE, SIZE], spatial=2),
    "pictures, channels last": Form(
        layout="NHWC",
        shape=["n", SIZE, SIZE, 3],
        before=(("Transpose", (), {"perm": [0, 3, 1, 2]}),),
        spatial=2,
    ),
}


def write_onnx(
    path: Path, form: Form, *, opset: int = 17, batch_norm: bool = True, softmax: bool = False
) -> Path:
    """Write a classifier: convolution, batch norm, ReLU, mean, fully connected."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(0)
    kernel = (3,) * form.spatial
    constants: dict[str, NDArray[Any]] = {
        "kernel": rng.normal(0, 0.4, (CHANNELS, 3, *kernel)).astype(np.float32),
        "scale": rng.uniform(0.8, 1.2, CHANNELS).astype(np.float32),
        "shift": rng.normal(0, 0.2, CHANNELS).astype(np.float32),
        "mean": rng.normal(0, 0.2, CHANNELS).astype(np.float32),
        "variance": rng.uniform(0.5, 1.5, CHANNELS).astype(np.float32),
        "weight": rng.normal(0, 2, (CHANNELS, CLASSES)).astype(np.float32),
        "bias": rng.normal(0, 0.5, CLASSES).astype(np.float32),
    }
    nodes, last = [], "x"
    for index, (operator, shapes, attributes) in enumerate(form.before):
        names = [f"shape{index}_{number}" for number in range(len(shapes))]
        constants |= {n: np.array(s, np.int64) for n, s in zip(names, shapes, strict=True)}
        nodes.append(helper.make_node(operator, [last, *names], [f"x{index}"], **attributes))
        last = f"x{index}"
    nodes.append(
        helper.make_node(
            "Conv",
            [last, "kernel"],
            ["maps"],
            strides=[2] * form.spatial,
            pads=[1] * 6 if form.spatial == 3 else [1] * 4,
        )
    )
    last = "maps"
    if batch_norm:
        parts = ["maps", "scale", "shift", "mean", "variance"]
        nodes.append(helper.make_node("BatchNormalization", parts, ["normal"]))
        last = "normal"
    nodes += [
        helper.make_node("Relu", [last], ["relu"]),
        helper.make_node("GlobalAveragePool", ["relu"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["features"]),
        helper.make_node("Gemm", ["features", "weight", "bias"], ["scores" if softmax else "out"]),
    ]
    if softmax:
        nodes.append(helper.make_node("Softmax", ["scores"], ["out"], axis=1))
    rows = form.shape[0]
    graph = helper.make_graph(
        nodes,
        "elsewhere",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, list(form.shape))],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, [rows, CLASSES])],
        [
            numpy_helper.from_array(value, name)
            for name, value in constants.items()
            if batch_norm or name not in {"scale", "shift", "mean", "variance"}
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    return path
