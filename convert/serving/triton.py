"""The configuration of a model for NVIDIA Triton: `config.pbtxt`, run by its ONNX Runtime backend.

Names of fields and values are those of `model_config.proto` of triton-inference-server/common, the
parameters of accelerators those that triton-inference-server/onnxruntime_backend documents.
"""

from __future__ import annotations

from convert.serving.pbtxt import EnumName, Field, Message, to_pbtxt
from convert.serving.request import ExportRequest
from convert.serving.served_graph import ServedGraph
from models.card import ModelCard

CONFIG, LABELS = "config.pbtxt", "labels.txt"

ENGINE_FOLDER = "/var/cache/triton"
"""Where TensorRT keeps what it builds, inside the container; a volume is to be mounted there."""

_WORKSPACE_BYTES = 2 << 30
_DELAY_MS = 5.0
_KINDS = {"auto": "KIND_AUTO", "cpu": "KIND_CPU", "gpu": "KIND_GPU"}


def triton_config(request: ExportRequest, card: ModelCard, graph: ServedGraph) -> str:
    """The text of `config.pbtxt`.

    Args:
        request: What was asked for.
        card: Of the bundle.
        graph: The graph that is served. Where its batch size is fixed, Triton cannot put requests
            together, and every request holds exactly that many clips.
    """
    clip, classes = list(card.clip.input_shape()[1:]), [card.classes]
    free = graph.batch is None
    fixed = [] if graph.batch is None else [graph.batch]
    config: dict[str, Field] = {
        "name": request.name,
        "backend": "onnxruntime",
        "max_batch_size": request.most_clips if free else 0,
        "input": [{"name": graph.input, "data_type": EnumName("TYPE_FP32"), "dims": fixed + clip}],
        "output": [
            {
                "name": graph.output,
                "data_type": EnumName("TYPE_FP32"),
                "dims": fixed + classes,
                "label_filename": LABELS,
            }
        ],
        "instance_group": [{"count": request.instances, "kind": EnumName(_kind(request))}],
    }
    if free and request.most_clips > 1:
        delay_ms = _DELAY_MS if request.batch_delay_ms is None else request.batch_delay_ms
        config["dynamic_batching"] = {"max_queue_delay_microseconds": round(delay_ms * 1000)}
    if request.accelerator is not None:
        config["optimization"] = {"execution_accelerators": _accelerators(request, card, graph)}
    sizes = sorted({1, request.most_clips}) if free else [1]
    config["model_warmup"] = [_warm_up(size, graph.input, fixed + clip) for size in sizes]
    return to_pbtxt(config)


def _kind(request: ExportRequest) -> str:
    """Triton's name of the device."""
    by_accelerator = {"tensorrt": "gpu", "openvino": "cpu", None: "auto"}
    return _KINDS[request.device or by_accelerator[request.accelerator]]


def _accelerators(request: ExportRequest, card: ModelCard, graph: ServedGraph) -> Message:
    if request.accelerator == "openvino":
        return {"cpu_execution_accelerator": [{"name": "openvino"}]}
    parameters = {
        "precision_mode": request.precision.upper(),
        "max_workspace_size_bytes": str(_WORKSPACE_BYTES),
        "trt_engine_cache_enable": "true",
        "trt_engine_cache_path": ENGINE_FOLDER,
        "trt_timing_cache_enable": "true",
        "trt_timing_cache_path": ENGINE_FOLDER,
    }
    if graph.batch is None:  # one engine for all batch sizes, rather than one for each that comes
        for which, batch in (("min", 1), ("opt", request.most_clips), ("max", request.most_clips)):
            shape = "x".join(str(length) for length in card.clip.input_shape(batch))
            parameters[f"trt_profile_{which}_shapes"] = f"{graph.input}:{shape}"
    entries = [{"key": key, "value": value} for key, value in parameters.items()]
    return {"gpu_execution_accelerator": [{"name": "tensorrt", "parameters": entries}]}


def _warm_up(batch: int, name: str, dims: list[int]) -> Message:
    """A request that Triton makes before it calls the model ready."""
    noise: Message = {"data_type": EnumName("TYPE_FP32"), "dims": dims, "random_data": True}
    return {
        "name": f"{batch} clip{'s' if batch > 1 else ''}",
        "batch_size": batch,
        "inputs": [{"key": name, "value": noise}],
    }
