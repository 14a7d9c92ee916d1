"""ONNX Runtime on an NVIDIA GPU through cuDNN and cuBLAS.

Defaults: float32 arithmetic without TF32, so that results are those of the certificate;
convolution algorithms found by measuring them at the first run; the launches of a run recorded as
a CUDA graph where every node runs on the GPU. None of it has been run: no machine with a GPU was at
hand, see scripts/gpu_check.
"""

from __future__ import annotations

from pathlib import Path

from models.card import ModelCard
from runtime.backends._ort_gpu import (
    CUDA,
    EXTRA,
    GpuPlan,
    loaded_onnxruntime,
    open_gpu,
    probe_gpu,
)
from runtime.nvidia import gpu_number
from runtime.session import Backend, Probe, Session, SessionOptions
from runtime.settings import MOST_MIB, asked_of, count, one_of, switch

_NAME = "cuda"

_SETTINGS = (
    switch("graph", default="on", about="Record the launches of a run and replay them together."),
    switch("io_binding", default="on", about="Keep inputs and results in place on the GPU."),
    switch("tf32", default="off", about="Round the factors of products to 10 bits: quicker."),
    one_of(
        "conv_search",
        ("exhaustive", "heuristic", "default"),
        default="exhaustive",
        about="How cuDNN's algorithm for a convolution is chosen.",
    ),
    count(
        "memory_mib",
        default="all there is",
        about="Memory of the GPU that may be taken.",
        most=MOST_MIB,
    ),
)


def _probe() -> Probe:
    return probe_gpu(CUDA)


def _open(path: Path, card: ModelCard, options: SessionOptions) -> Session:
    onnxruntime = loaded_onnxruntime(_NAME)
    asked = asked_of(_NAME, _SETTINGS, card, options)
    device = gpu_number(options.device, backend=_NAME)
    told = cuda_options(device, tf32=bool(asked.get("tf32", False)))
    told["cudnn_conv_algo_search"] = str(asked.get("conv_search", "exhaustive")).upper()
    if "memory_mib" in asked:
        told["gpu_mem_limit"] = str(int(asked["memory_mib"]) << 20)
    plan = GpuPlan(
        backend=_NAME,
        provider=CUDA,
        providers=((CUDA, told),),
        device=device,
        graph={"enable_cuda_graph": "1"} if asked.get("graph", True) else None,
        io_binding=bool(asked.get("io_binding", True)),
    )
    return open_gpu(onnxruntime, path, card, options, plan)


def cuda_options(device: int, *, tf32: bool) -> dict[str, str]:
    """Options of ONNX Runtime's CUDA provider that both backends on a GPU share."""
    return {"device_id": str(device), "use_tf32": str(int(tf32))}


BACKEND = Backend(
    name=_NAME, extra=EXTRA, probe=_probe, open=_open, settings=_SETTINGS, provider="CUDA"
)
