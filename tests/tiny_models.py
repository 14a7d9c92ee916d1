"""A few-KB clip network built in code, with a valid bundle around it and its own reference.

The network is order sensitive: every frame goes through one small convolution, the features of
the T frames are laid side by side and weighted differently. `TinyNetwork.logits` computes the
same in numpy, independently of any engine.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from models.bundle import Bundle, expand_probe, open_bundle
from models.card import (
    CARD_NAME,
    BundleFile,
    Certificate,
    ModelCard,
    ParityCase,
    Probe,
    Provenance,
    Variant,
)
from models.spec import ClipSpec, Resize

LABELS = ("still", "pan left", "pan right", "zoom in")
CHANNELS = 4
REPEAT = 4

Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class TinyNetwork:
    """Weights of the tiny network.

    Attributes:
        kernel: float32 [CHANNELS, 3, 3, 3], stride 2, no padding.
        weight: float32 [T * CHANNELS, classes].
        bias: float32 [classes].
    """

    kernel: Array
    weight: Array
    bias: Array

    def logits(self, clips: Array) -> Array:
        """Reference result, float32 [N, classes], of clips float32 [N, T, 3, S, S]."""
        patches = sliding_window_view(clips, (3, 3), axis=(-2, -1))[:, :, :, ::2, ::2]
        maps = np.einsum("ntcyxij,kcij->ntkyx", patches, self.kernel)
        features = np.maximum(maps, 0).mean(axis=(-2, -1)).reshape(len(clips), -1)
        return np.asarray(features @ self.weight + self.bias, dtype=np.float32)


def tiny_network(*, frames: int = 4, classes: int = len(LABELS), seed: int = 0) -> TinyNetwork:
    """Random weights of a fixed seed."""
    rng = np.random.default_rng(seed)
    return TinyNetwork(
        kernel=rng.normal(0, 0.5, (CHANNELS, 3, 3, 3)).astype(np.float32),
        weight=rng.normal(0, 2.0, (frames * CHANNELS, classes)).astype(np.float32),
        bias=rng.normal(0, 0.5, classes).astype(np.float32),
    )


def write_tiny_onnx(
    path: Path,
    network: TinyNetwork,
    *,
    clip: ClipSpec,
    labels: tuple[str, ...] = LABELS,
    batch: int | None = None,
) -> None:
    """Write the graph, with the metadata that the converter stores.

    Args:
        path: File to write.
        network: Weights.
        clip: Gives the input shape; also stored in the metadata.
        labels: Stored in the metadata.
        batch: Fixed batch size of the input; None for a dynamic one.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    side, frames = clip.crop, clip.frames
    first: int | str = "N" if batch is None else batch
    constants = {
        "kernel": network.kernel,
        "weight": network.weight,
        "bias": network.bias,
        "pictures": np.array([-1, 3, side, side], dtype=np.int64),
        "flat": np.array([-1, frames * CHANNELS], dtype=np.int64),
    }
    nodes = [
        helper.make_node("Reshape", ["clips", "pictures"], ["x0"]),
        helper.make_node("Conv", ["x0", "kernel"], ["x1"], strides=[2, 2]),
        helper.make_node("Relu", ["x1"], ["x2"]),
        helper.make_node("GlobalAveragePool", ["x2"], ["x3"]),
        helper.make_node("Reshape", ["x3", "flat"], ["x4"]),
        helper.make_node("MatMul", ["x4", "weight"], ["x5"]),
        helper.make_node("Add", ["x5", "bias"], ["logits"]),
    ]
    shape = [first, frames, 3, side, side]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("clips", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [first, len(labels)])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(
        model,
        {
            "edgecls.clip": json.dumps(clip.model_dump(mode="json")),
            "edgecls.labels": json.dumps(list(labels)),
        },
    )
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())


def write_tiny_bundle(
    folder: Path,
    *,
    frames: int = 4,
    crop: int = 16,
    labels: tuple[str, ...] = LABELS,
    clip_length_s: float = 1.0,
    batch: int | None = None,
) -> Bundle:
    """Write `card.json`, `model.onnx` and `probe.npz` into `folder` and open the bundle.

    The numbers of the certificate are made up; everything else is true.
    """
    folder.mkdir(parents=True, exist_ok=True)
    clip = ClipSpec(
        frames=frames,
        crop=crop,
        resize=Resize(policy="stretch", short_side=crop, library="opencv"),
        clip_length_s=clip_length_s,
    )
    network = tiny_network(frames=frames, classes=len(labels))
    write_tiny_onnx(folder / "model.onnx", network, clip=clip, labels=labels, batch=batch)

    side = crop // REPEAT
    seeds = np.random.default_rng(1).normal(0, 1, (3, frames, 3, side, side)).astype(np.float32)
    logits = network.logits(expand_probe(seeds, REPEAT))
    np.savez(folder / "probe.npz", seeds=seeds, logits=logits)

    model_file = BundleFile.of(folder / "model.onnx")
    probe_file = BundleFile.of(folder / "probe.npz")
    spread = float(np.ptp(logits))
    card = ModelCard(
        name="tiny",
        family="tiny",
        labels=labels,
        clip=clip,
        opset=17,
        parameters=network.kernel.size + network.weight.size + network.bias.size,
        variants=(Variant(precision="fp32", **model_file.model_dump()),),
        probe=Probe(repeat=REPEAT, **probe_file.model_dump()),
        certificate=Certificate(
            reference="numpy",
            engine="none (made up for tests)",
            tolerance=1e-3,
            logit_range=spread,
            max_abs_diff=1e-6 * spread,
            max_rel_diff=1e-6,
            top1_agreement=1.0,
            order_sensitivity=0.5,
            cases=(
                ParityCase(
                    clip="random",
                    order="in_order",
                    batch=2,
                    max_abs_diff=1e-6 * spread,
                    max_rel_diff=1e-6,
                    top1_agreement=1.0,
                ),
            ),
            versions={"numpy": np.__version__},
        ),
        provenance=Provenance(
            source="tiny.pdparams",
            source_sha256="0" * 64,
            source_kind="pdparams",
            converter="edgecls 0",
        ),
    )
    (folder / CARD_NAME).write_text(card.to_json(), encoding="utf-8")
    return open_bundle(folder)
