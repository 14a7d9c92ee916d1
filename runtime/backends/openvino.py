"""OpenVINO, through its own API (not through ONNX Runtime): CPU, Intel GPU, NPU.

What it is told is in `_openvino_device`. Besides, measured as told there: a graph reshaped to the
batch size at hand takes 76 ms, one of a free batch size 83 ms. ONNX Runtime looks at the graph
first: OpenVINO 2026.4 crashes on some that are damaged.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from models.bundle_file import sha256_of
from models.card import ModelCard
from models.extras import extra, import_openvino
from models.stages import Stage
from runtime.backends._engine import closed, engine_errors, loading, probe_module
from runtime.backends._openvino_device import (
    CPU,
    SETTINGS,
    device_named,
    is_cached,
    properties,
    threads,
)
from runtime.backends._openvino_graph import CompiledGraph, Folder, kept_nowhere
from runtime.backends._openvino_stage import OpenVinoStageSession
from runtime.backends._ort import check_graph
from runtime.batches import in_fixed_batches
from runtime.closing import ClosesOnExit
from runtime.cpu import allowed_cpus
from runtime.engine_cache import EngineCache, EngineKey
from runtime.placement import Placement, all_on
from runtime.session import Backend, Probe, Session, SessionOptions, Tensor, check_input
from runtime.settings import asked_of, resolved
from runtime.stage_session import StageSession

_NAME = "openvino"
_EXTRA = "cpu"


@cache
def shared_core(openvino: Any) -> Any:
    """The one core of this process; it is never let go.

    A core's CPU plugin sets up a stack for signal handlers, and puts the former one back when it is
    unloaded. With several cores that may be one that is gone, and then the next signal, such as
    Ctrl-C, is a segmentation fault (OpenVINO 2026.4.1).

    Args:
        openvino: The module.
    """
    return openvino.Core()


def _probe() -> Probe:
    def check(openvino: Any) -> str:
        if shared_core(openvino).available_devices:
            return ""
        return f"openvino {_release(openvino)} offers no device"

    return probe_module(import_openvino, "openvino", extra=_EXTRA, check=check)


def _open(path: Path, card: ModelCard, options: SessionOptions) -> Session:
    with extra(_EXTRA, f"Backend {_NAME}"):
        openvino = import_openvino()

    values = asked_of(_NAME, SETTINGS, card, options)
    core, device = _core_and_device(openvino, options)
    if path.suffix != ".xml":  # OpenVINO's own format is its own to check
        check_graph(path, backend=_NAME)
    told = properties(device, values, options, precision=card.precision_of(path.name))
    with engine_errors(_NAME, loading(path)):
        folder = _folder(openvino, device, told, path=path, kept=is_cached(device, values))
        model, parallel = core.read_model(str(path)), options.parallel
        graph = CompiledGraph(core, model, device, told, parallel=parallel, folder=folder)
        with graph.request(graph.fixed_batch or 1):
            engine = _engine(openvino, graph.devices)
    return OpenVinoSession(graph, card, engine=engine)


def _open_stage(path: Path, stage: Stage, options: SessionOptions) -> StageSession:
    with extra(_EXTRA, f"Backend {_NAME}"):
        openvino = import_openvino()

    values = resolved(_NAME, SETTINGS, options.settings.get(_NAME, {}))
    core, device = _core_and_device(openvino, options)
    check_graph(path, backend=_NAME)
    told = properties(device, values, options)
    if device == CPU:
        told |= _shared_threads(threads(values, options))
    with engine_errors(_NAME, loading(path)):
        folder = _folder(openvino, device, told, path=path, kept=is_cached(device, values))
        engine = _engine(openvino, (device,))
    return OpenVinoStageSession(
        openvino, core, path, stage, device=device, settings=told, engine=engine, folder=folder
    )


def _core_and_device(openvino: Any, options: SessionOptions) -> tuple[Any, str]:
    with engine_errors(_NAME, "look for devices"):
        core = shared_core(openvino)
        return core, device_named(options.device, core.available_devices)


def _shared_threads(count: int) -> dict[str, Any]:
    """Let stage graphs, which run one after another, share their threads.

    With threads for each, workers that are busy elsewhere leave tasks behind that nobody collects:
    on a busy machine with 2 cores memory grew by 2 KB with every inference (OpenVINO 2026.4.1), and
    a step took 12.4 ms instead of 11.5. Shared threads are as many as the process has CPUs, so
    this is left out where fewer are asked for.
    """
    return {} if count < allowed_cpus() else {"EXCLUSIVE_ASYNC_REQUESTS": True}


def _release(openvino: Any) -> str:
    """Short version: `2026.4.1` of `2026.4.1-22982-e213a147257-releases/2026/4`."""
    return str(openvino.__version__).split("-")[0]


def _engine(openvino: Any, devices: tuple[str, ...]) -> str:
    """E.g. "openvino 2026.4.1 CPU"; a GPU or NPU with its name."""
    core = shared_core(openvino)
    names = [
        one if one == CPU else f"{one}, {core.get_property(one, 'FULL_DEVICE_NAME')}"
        for one in devices
    ]
    return f"{_NAME} {_release(openvino)} {' and '.join(names)}"


def _folder(
    openvino: Any, device: str, told: Mapping[str, Any], *, path: Path, kept: bool
) -> Folder:
    """Where what is compiled of a graph is kept, by the shape of its input."""
    if not kept:
        return kept_nowhere
    weights = [path.with_suffix(".bin")] if path.suffix == ".xml" else []
    key = EngineKey(
        backend=_NAME,
        engine=f"openvino {openvino.__version__}",
        device=f"{device}, {shared_core(openvino).get_property(device, 'FULL_DEVICE_NAME')}",
        model_sha256=" ".join(sha256_of(file) for file in (path, *weights)),
        shape="",
        settings={name: str(value) for name, value in told.items()},
        model=f"{path.parent.name}/{path.name}",
    )
    return lambda shape: EngineCache().entry(replace(key, shape=shape))


class OpenVinoSession(ClosesOnExit):
    """A `Session` on OpenVINO."""

    def __init__(self, graph: CompiledGraph, card: ModelCard, *, engine: str) -> None:
        self._graph: CompiledGraph | None = graph
        self._placement = all_on(" and ".join(graph.devices))
        self._card = card
        self._engine = engine

    @property
    def backend(self) -> str:
        """Name of the backend."""
        return _NAME

    @property
    def engine(self) -> str:
        """E.g. "openvino 2026.4.1 CPU"."""
        return self._engine

    @property
    def placement(self) -> Placement:
        """All on the device, which is the only one of the compiled graph."""
        return self._placement

    def run(self, clips: Tensor) -> Tensor:
        """Compute logits; see `Session.run`.

        A batch size other than 1 compiles the graph again on its first use. As many threads as
        were announced run the model side by side, further ones take turns.

        Raises:
            UsageError: The tensor does not fit the model.
            BackendError: The engine failed, or the session is closed.
        """
        if self._graph is None:
            raise closed(_NAME)
        check_input(clips, self._card)
        with engine_errors(_NAME, "run the model"):
            graph, fixed_batch = self._graph, self._graph.fixed_batch
            if fixed_batch is None:
                return _compute(graph, clips)
            return in_fixed_batches(clips, fixed_batch, lambda part: _compute(graph, part))

    def close(self) -> None:
        """Free the engine; twice is fine."""
        self._graph = None


def _compute(graph: CompiledGraph, clips: Tensor) -> Tensor:
    """Run without copying the input; the result is copied out of the engine's buffer."""
    with graph.request(len(clips)) as request:
        request.infer({0: np.ascontiguousarray(clips)}, share_inputs=True)
        return np.array(request.get_output_tensor(0).data, dtype=np.float32)


BACKEND = Backend(
    name=_NAME,
    extra=_EXTRA,
    probe=_probe,
    open=_open,
    open_stage=_open_stage,
    settings=SETTINGS,
)
