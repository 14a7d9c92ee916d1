"""Tiny networks for INT8: easy ones, one with a sensitive layer, one without hope."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from models.bundle import Bundle, open_bundle
from models.card import CARD_NAME, BundleFile, Probe, Variant
from models.extras import import_onnxruntime
from models.spec import ClipSpec
from tests.tiny_models import LABELS, write_tiny_bundle

Kind = Literal["easy", "shifted", "residual", "sensitive", "hopeless"]

SENSITIVE = "Conv_1"
"""The layer that INT8 ruins in the network of that kind."""

_CHANNELS = 16


def write_int8_bundle(folder: Path, kind: Kind, *, seed: int = 0) -> Bundle:
    """Write a bundle around a network of four layers with weights.

    A layer that is hit has weights of 100 for a channel that is always 0. They change nothing,
    but set the scale: all its other weights, of about 0.1, become 0 as INT8. `sensitive` has one
    layer of that kind, `hopeless` has three of four. `shifted` has a temporal shift instead,
    `residual` one on the long way of a block with a shortcut.
    """
    bundle = write_tiny_bundle(folder, crop=32)
    clip = bundle.card.clip
    _write(folder / "model.onnx", kind, clip, np.random.default_rng(seed))
    variant = Variant(precision="fp32", **BundleFile.of(folder / "model.onnx").model_dump())
    probe = _own_probe(folder, bundle)
    card = bundle.card.model_copy(update={"variants": (variant,), "probe": probe})
    (folder / CARD_NAME).write_text(card.to_json(), encoding="utf-8")
    return open_bundle(folder)


def _write(path: Path, kind: Kind, clip: ClipSpec, rng: np.random.Generator) -> None:
    """Write the network, with a bias of the classifier that makes all classes about as frequent."""
    constants = _constants(kind, clip, rng)
    _save(path, kind, clip, constants)
    onnxruntime = import_onnxruntime()
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    cells = rng.uniform(-2, 2.5, (64, clip.frames, 3, 8, 8)).astype(np.float32)
    (logits,) = session.run(None, {"clips": cells.repeat(4, axis=3).repeat(4, axis=4)})
    constants["bias"] = -logits.mean(axis=0)
    _save(path, kind, clip, constants)


def _own_probe(folder: Path, bundle: Bundle) -> Probe:
    """Store what the network says of the clips of the probe, which were another network's."""
    clips, _ = bundle.probe()
    onnxruntime = import_onnxruntime()
    path = str(folder / "model.onnx")
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (logits,) = session.run(None, {"clips": clips})
    with np.load(folder / "probe.npz") as stored:
        seeds = stored["seeds"]
    np.savez(folder / "probe.npz", seeds=seeds, logits=logits)
    file = BundleFile.of(folder / "probe.npz")
    return Probe(repeat=bundle.card.probe.repeat, **file.model_dump())


def _constants(kind: Kind, clip: ClipSpec, rng: np.random.Generator) -> dict[str, NDArray[Any]]:
    side, frames = clip.crop, clip.frames
    constants: dict[str, NDArray[Any]] = {
        "pictures": np.array([-1, 3, side, side], np.int64),
        "flat": np.array([-1, frames * _CHANNELS], np.int64),
        "kernel0": _normal(rng, (_CHANNELS, 3, 3, 3), 0.3),
        "kernel1": _normal(rng, (_CHANNELS, _CHANNELS, 3, 3), 0.12),
        "kernel2": _normal(rng, (_CHANNELS, _CHANNELS, 1, 1), 0.35),
        "weight": _normal(rng, (frames * _CHANNELS, len(LABELS)), 1.0),
        "bias": np.zeros(len(LABELS), np.float32),
    }
    for place in range(3):
        constants[f"bias{place}"] = _normal(rng, (_CHANNELS,), 0.1)
    hit = {"sensitive": (1,), "hopeless": (1, 2, 3)}.get(kind, ())
    for place in hit:
        constants[f"bias{place - 1}"][0] = -30.0  # behind the ReLU: 0
        if place < 3:
            constants[f"kernel{place}"][:, 0] = 100.0
        else:
            constants["weight"][::_CHANNELS] = 2000.0
    return constants


def _save(path: Path, kind: Kind, clip: ClipSpec, constants: dict[str, NDArray[Any]]) -> None:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    side, frames = clip.crop, clip.frames
    nodes = [helper.make_node("Reshape", ["clips", "pictures"], ["x0"], name="Reshape_0")]
    for place in range(3):
        reads = f"x{place}" if place == 0 else f"y{place}"
        if kind in ("shifted", "residual") and place == 2:
            nodes += _shift(reads, "shifted", clip, constants)
            reads = "shifted"
        names = [reads, f"kernel{place}", f"bias{place}"]
        stride = [2, 2] if place == 0 else [1, 1]
        pads = [0] * 4 if place == 2 else [1] * 4
        nodes.append(
            helper.make_node(
                "Conv", names, [f"x{place + 1}"], name=f"Conv_{place}", strides=stride, pads=pads
            )
        )
        sums = f"x{place + 1}"
        if kind == "residual" and place == 2:
            sums = "sums"
            nodes.append(helper.make_node("Add", ["y2", "x3"], [sums], name="Add_0"))
        nodes.append(helper.make_node("Relu", [sums], [f"y{place + 1}"], name=f"Relu_{place}"))
    nodes += [
        helper.make_node("GlobalAveragePool", ["y3"], ["x4"], name="GlobalAveragePool_0"),
        helper.make_node("Reshape", ["x4", "flat"], ["x5"], name="Reshape_1"),
        helper.make_node("Gemm", ["x5", "weight", "bias"], ["logits"], name="Gemm_0"),
    ]
    graph = helper.make_graph(
        nodes,
        kind,
        [helper.make_tensor_value_info("clips", TensorProto.FLOAT, ["N", frames, 3, side, side])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", len(LABELS)])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(
        model,
        {
            "edgecls.clip": json.dumps(clip.model_dump(mode="json")),
            "edgecls.labels": json.dumps(list(LABELS)),
        },
    )
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())


def _shift(
    source: str, target: str, clip: ClipSpec, constants: dict[str, NDArray[Any]]
) -> list[Any]:
    """A quarter of the channels from the frame before, a quarter from the one after."""
    from onnx import helper

    side, frames = clip.crop // 2, clip.frames
    fold = _CHANNELS // 4
    constants |= {
        "clipwise": np.array([-1, frames, _CHANNELS, side, side], np.int64),
        "framewise": np.array([-1, _CHANNELS, side, side], np.int64),
        "pads": np.array([0, 1, 0, 0, 0, 0, 1, 0, 0, 0], np.int64),
        "axes": np.array([1, 2], np.int64),
    }
    nodes = [
        helper.make_node("Reshape", [source, "clipwise"], ["t0"], name="Reshape_2"),
        helper.make_node("Pad", ["t0", "pads"], ["t1"], name="Pad_0"),
    ]
    parts = ((0, 0, fold), (2, fold, 2 * fold), (1, 2 * fold, _CHANNELS))
    for number, (first, low, high) in enumerate(parts):
        constants[f"from{number}"] = np.array([first, low], np.int64)
        constants[f"to{number}"] = np.array([first + frames, high], np.int64)
        names = ["t1", f"from{number}", f"to{number}", "axes"]
        nodes.append(helper.make_node("Slice", names, [f"s{number}"], name=f"Slice_{number}"))
    return [
        *nodes,
        helper.make_node("Concat", ["s0", "s1", "s2"], ["t2"], name="Concat_0", axis=2),
        helper.make_node("Reshape", ["t2", "framewise"], [target], name="Reshape_3"),
    ]


def _normal(rng: np.random.Generator, shape: tuple[int, ...], scale: float) -> NDArray[Any]:
    return rng.normal(0, scale, shape).astype(np.float32)
