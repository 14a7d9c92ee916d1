"""TensorRT through ONNX Runtime; what it does not take runs on CUDA.

Building an engine takes seconds on a large GPU and minutes on a Jetson, so engines and the timings
of their layers are kept, see `runtime.engine_cache`. An engine is built for one batch size and the
shape in the card.

Never run: no machine with TensorRT was at hand. What runs without one is tested with a made-up
ONNX Runtime.
"""

from __future__ import annotations

import ctypes
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from models.bundle_file import sha256_of
from models.card import ModelCard
from models.messages import telling_line
from runtime.backends._engine import engine_errors, loading
from runtime.backends._ort_gpu import (
    CUDA,
    EXTRA,
    GpuPlan,
    loaded_onnxruntime,
    open_gpu,
    probe_gpu,
)
from runtime.backends.cuda import cuda_options
from runtime.engine_cache import EngineCache, EngineKey
from runtime.nvidia import gpu_number, gpus
from runtime.session import Backend, Probe, Session, SessionOptions
from runtime.settings import MOST_MIB, Value, asked_of, count, switch

logger = logging.getLogger(__name__)

_NAME = "tensorrt"
_TENSORRT = "TensorrtExecutionProvider"
_TF32 = "NVIDIA_TF32_OVERRIDE"
"""Variable that NVIDIA's libraries read when they start: 0 turns TF32 off."""

_LIBRARIES = ("libnvinfer.so.10", "libnvonnxparser.so.10")
"""Those that ONNX Runtime from 1.18 on is built against; JetPack 6 has them."""

_SETTINGS = (
    count("batch", default="1", about="Clips at a time; the engine is built for this number."),
    switch("fp16", default="on for fp16 graphs", about="Let layers compute in float16: quicker."),
    switch("tf32", default="off", about="Round the factors of products to 10 bits: quicker."),
    switch("graph", default="on", about="Record the launches of a run and replay them together."),
    switch("io_binding", default="on", about="Keep inputs and results in place on the GPU."),
    count(
        "workspace_mib",
        default="all there is",
        about="Memory that building may take.",
        most=MOST_MIB,
    ),
    count("level", default="3", about="How long to search for quick kernels.", least=0, most=5),
    switch("cache", default="on", about="Keep the engine for the next start."),
    switch("timing_cache", default="on", about="Keep what building measured of layers, too."),
    count(
        "dla_core",
        default="none",
        about="Deep-learning accelerator of a Jetson.",
        least=0,
        most=15,
    ),
)


def _probe() -> Probe:
    found = probe_gpu(_TENSORRT)
    if not found.ok:
        return found
    try:
        _library()
    except OSError as error:
        reason = f"TensorRT's library does not load: {telling_line(error)}"
        return Probe(ok=False, reason=reason, hint="edgecls doctor")
    return found


@cache
def _library() -> ctypes.CDLL:
    """TensorRT's own library; loaded, so that the provider finds it even where it is a wheel.

    Raises:
        OSError: It is missing, or something that it needs is.
    """
    wheel = find_spec("tensorrt_libs")
    folders = wheel.submodule_search_locations if wheel is not None else None
    paths = [str(Path(folders[0]) / name) if folders else name for name in _LIBRARIES]
    library, _ = [ctypes.CDLL(path, mode=ctypes.RTLD_GLOBAL) for path in paths]
    return library


def _open(path: Path, card: ModelCard, options: SessionOptions) -> Session:
    onnxruntime = loaded_onnxruntime(_NAME)
    asked = asked_of(_NAME, _SETTINGS, card, options)
    device = gpu_number(options.device, backend=_NAME)
    told = _told(asked, precision=card.precision_of(path.name), device=device)
    if not asked.get("tf32", False):
        os.environ.setdefault(_TF32, "0")  # the provider has no option for it
    batch = int(asked.get("batch", 1))
    with engine_errors(_NAME, loading(path)):
        key = EngineKey(
            backend=_NAME,
            engine=f"onnxruntime {onnxruntime.__version__},"
            f" TensorRT {_library().getInferLibVersion()}",
            device=gpus()[device].identity,
            model_sha256=sha256_of(path),
            shape="x".join(map(str, card.clip.input_shape(batch))),
            settings={**told, _TF32: os.environ.get(_TF32, "")},
            model=card.name,
        )
    with _kept(key, asked) as kept:
        plan = GpuPlan(
            backend=_NAME,
            provider=_TENSORRT,
            providers=(
                (_TENSORRT, {**told, **kept}),
                (CUDA, cuda_options(device, tf32=bool(asked.get("tf32", False)))),
            ),
            device=device,
            batch=batch,
            graph={"trt_cuda_graph_enable": "1"} if asked.get("graph", True) else None,
            io_binding=bool(asked.get("io_binding", True)),
        )
        return open_gpu(onnxruntime, path, card, options, plan)


@contextmanager
def _kept(key: EngineKey, asked: Mapping[str, Value]) -> Iterator[dict[str, str]]:
    """Options that make the provider keep engines and timings, and find them again."""
    if not asked.get("cache", True):
        yield {}
        return
    with EngineCache().entry(key) as folder:
        if not any(folder.iterdir()):
            logger.warning(
                "TensorRT builds an engine for %s, which can take minutes; it is kept for the next"
                " start",
                key.model,
            )
        yield {
            "trt_engine_cache_enable": "1",
            "trt_engine_cache_path": str(folder),
            "trt_timing_cache_enable": str(int(asked.get("timing_cache", True))),
            "trt_timing_cache_path": str(folder),
        }


def _told(asked: Mapping[str, Value], *, precision: str, device: int) -> dict[str, str]:
    """What the provider is told besides where to keep things; an engine depends on all of it.

    An INT8 graph says itself, by its quantize nodes, what is computed in INT8 and with which
    scales, so no calibration table is given.
    """
    told = {
        "device_id": str(device),
        "trt_fp16_enable": str(int(asked.get("fp16", precision == "fp16"))),
        "trt_int8_enable": str(int(precision == "int8")),
        "trt_builder_optimization_level": str(asked.get("level", 3)),
    }
    if "workspace_mib" in asked:
        told["trt_max_workspace_size"] = str(int(asked["workspace_mib"]) << 20)
    if "dla_core" in asked:
        told |= {"trt_dla_enable": "1", "trt_dla_core": str(asked["dla_core"])}
    return told


BACKEND = Backend(
    name=_NAME, extra=EXTRA, probe=_probe, open=_open, settings=_SETTINGS, provider="TensorRT"
)
