"""Which device OpenVINO is to use, and what it is told there. Loads nothing.

Choices for the CPU, each measured on an 8-frame mobile network, batch 1, 2 threads, on Sapphire
Rapids:

* precision hint f32: left alone, OpenVINO computes in bfloat16 on CPUs that can (30 ms instead
  of 76 ms), and the logits no longer match the certificate;
* no thread pinning: same speed, and two processes on one box do not fight for the same cores;
* no compile cache: of a load of 1 s (ResNet-50, 97 MB) it saves 0.3 s, of one of 0.4 s (24 MB)
  0.1 s, and costs as much disk as the model.

GPUs and NPUs: from OpenVINO's documents, never run. A GPU computes in half precision unless told
otherwise, and an NPU always does; compiling for them takes long, so that it is kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from models.errors import BackendError
from runtime.cpu import usable_cpus
from runtime.session import SessionOptions
from runtime.settings import Value, count, one_of, switch

SETTINGS = (
    one_of(
        "hint",
        ("latency", "throughput"),
        default="latency; throughput where several threads run the model",
        about="What the engine is tuned for.",
    ),
    count("streams", default="what fits the hint", about="Runs that are computed side by side."),
    count("threads", default="the CPUs this process may use", about="Threads of the CPU."),
    one_of(
        "precision",
        ("f32", "f16", "bf16", "auto"),
        default="f32; on a GPU that of the graph, on an NPU its own",
        about="What is computed in; auto leaves it to the engine.",
    ),
    switch(
        "cache", default="on for GPU and NPU, off for CPU", about="Keep what the engine compiles."
    ),
)

CPU = "CPU"


def device_named(asked: str | None, available: Sequence[str]) -> str:
    """The device that is meant, in the words of OpenVINO.

    Args:
        asked: As on the command line; None for the CPU.
        available: E.g. ["CPU", "GPU.0", "GPU.1", "NPU"].

    Raises:
        BackendError: It is not there, or is no device but a policy of OpenVINO's over several.
    """
    device = CPU if asked is None else asked.upper()
    plain = [one for one in available if "." not in one]
    known = {*available, *(f"{one}.0" for one in plain), *(one.split(".")[0] for one in available)}
    if device in known:
        return device
    there = ", ".join(available) or "none"
    raise BackendError(
        f"Backend openvino has no device {asked!r} here; there is {there}.",
        hint="edgecls doctor tells why a GPU or NPU is not found.",
    )


def properties(
    device: str,
    values: Mapping[str, Value],
    options: SessionOptions,
    *,
    precision: str = "fp32",
) -> dict[str, Any]:
    """What OpenVINO is told when it compiles a graph.

    Args:
        device: From `device_named`.
        values: What was set, see `SETTINGS`.
        options: As asked for.
        precision: Of the graph.
    """
    hint = str(values.get("hint", "throughput" if options.parallel > 1 else "latency"))
    told: dict[str, Any] = {"PERFORMANCE_HINT": hint.upper()}
    if hint == "throughput" and options.parallel > 1:
        told["PERFORMANCE_HINT_NUM_REQUESTS"] = options.parallel
    if "streams" in values:
        told["NUM_STREAMS"] = values["streams"]
    computed_in = values.get("precision", _precision(device, precision))
    if computed_in != "auto":
        told["INFERENCE_PRECISION_HINT"] = computed_in
    if device == CPU:
        told["INFERENCE_NUM_THREADS"] = threads(values, options)
        told["ENABLE_CPU_PINNING"] = False
    return told


def threads(values: Mapping[str, Value], options: SessionOptions) -> int:
    """Threads of the CPU."""
    return options.threads or int(values.get("threads", 0)) or usable_cpus()


def is_cached(device: str, values: Mapping[str, Value]) -> bool:
    """Whether what is compiled is kept."""
    return bool(values.get("cache", device != CPU))


def _precision(device: str, graph: str) -> str:
    """What a device computes in by default."""
    if device.startswith("NPU"):
        return "auto"
    return "f16" if device.startswith("GPU") and graph == "fp16" else "f32"
