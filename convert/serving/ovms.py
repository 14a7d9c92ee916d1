"""The configuration of OpenVINO Model Server: `config.json`.

Names of fields are those of its schema (openvinotoolkit/model_server, src/schema.cpp).
"""

from __future__ import annotations

import json

from convert.serving.request import ExportRequest
from models.card import ModelCard

CONFIG = "config.json"


def ovms_shape(request: ExportRequest, card: ModelCard) -> tuple[str, ...]:
    """Lengths of the axes of the input: of clips, "1:8" where a request may hold up to 8."""
    batch = "1" if request.most_clips == 1 else f"1:{request.most_clips}"
    return (batch, *(str(length) for length in card.clip.input_shape()[1:]))


def plugin_config(request: ExportRequest) -> dict[str, str]:
    """How OpenVINO is to run the model.

    The arithmetic is pinned: left alone, OpenVINO computes in bfloat16 on CPUs that can, and in
    float16 on GPUs, and the scores are no longer those of the certificate.
    """
    device = request.device or "CPU"
    settings = {"PERFORMANCE_HINT": "LATENCY" if request.instances == 1 else "THROUGHPUT"}
    if device.startswith(("CPU", "GPU")):
        settings["NUM_STREAMS"] = str(request.instances)
        half = device.startswith("GPU") and request.precision == "fp16"
        settings["INFERENCE_PRECISION_HINT"] = "f16" if half else "f32"
    return settings


def ovms_config(request: ExportRequest, card: ModelCard, *, fixed_batch: bool) -> str:
    """The text of `config.json`; the folder of the model lies beside it.

    Args:
        request: What was asked for.
        card: Of the bundle.
        fixed_batch: The batch size of the graph is fixed, and is not touched.
    """
    config: dict[str, object] = {
        "name": request.name,
        "base_path": request.name,
        "target_device": request.device or "CPU",
        "nireq": request.instances,
        "plugin_config": plugin_config(request),
    }
    if not fixed_batch:
        config["shape"] = f"({','.join(ovms_shape(request, card))})"
    return json.dumps({"model_config_list": [{"config": config}]}, indent=2) + "\n"
