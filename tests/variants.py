"""Further graphs for a bundle, without the calibration that would make them."""

from __future__ import annotations

import shutil
from typing import Any

from models.bundle import Bundle, open_bundle
from models.card import CARD_NAME, BundleFile, Int8, Variant

RECORD = Int8(
    writer="onnxruntime 1.31.1",
    method="minmax",
    granularity="per_channel",
    activations="u8",
    reduced_range=False,
    fp32_layers=(),
    samples=128,
    random_data=False,
    held_out=125,
    top1_agreement=0.992,
    accuracy_drop_points=None,
    speedup={},
)
"""Of an INT8 graph that was calibrated on video."""


def add_graph(bundle: Bundle, file: str, **facts: Any) -> Bundle:
    """Add a copy of the fp32 graph under another name and precision.

    Args:
        bundle: To add to, on disk.
        file: Its name; one in `.xml` gets weights beside it.
        facts: Fields of its entry in the card.
    """
    path = bundle.path / file
    shutil.copyfile(bundle.path / "model.onnx", path)
    if path.suffix == ".xml":
        weights = path.with_suffix(".bin")
        weights.write_bytes(b"weights")
        facts = {"weights": BundleFile.of(weights), **facts}
    variant = Variant(**{**BundleFile.of(path).model_dump(), **facts})
    card = bundle.card.model_copy(update={"variants": (*bundle.card.variants, variant)})
    (bundle.path / CARD_NAME).write_text(card.to_json(), encoding="utf-8")
    return open_bundle(bundle.path)


def add_int8(bundle: Bundle, file: str = "model.int8.onnx", **facts: Any) -> Bundle:
    """Add what the card says is an INT8 graph; one in `.xml` is for OpenVINO alone."""
    engine = "openvino" if file.endswith(".xml") else "any"
    return add_graph(
        bundle, file, **{"precision": "int8", "engine": engine, "int8": RECORD, **facts}
    )
