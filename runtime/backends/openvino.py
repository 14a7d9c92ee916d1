"""OpenVINO on the CPU, through its own API (not through ONNX Runtime).

Choices, each measured on an 8-frame mobile network, batch 1, 2 threads, Sapphire Rapids:

* precision hint f32: left alone, OpenVINO computes in bfloat16 on CPUs that can (30 ms instead
  of 76 ms), and the logits no longer match the certificate;
* a graph reshaped to the batch size at hand: 76 ms against 83 ms with a dynamic one;
* no thread pinning: same speed, and two processes on one box do not fight for the same cores;
* ONNX Runtime looks at the graph first: OpenVINO 2026.4 crashes on some that are damaged;
* no compile cache: it saves about 0.1 s of a 0.25 s load and can go stale.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from models.card import ModelCard
from models.extras import extra, import_openvino
from models.stages import Stage
from runtime.backends._engine import (
    closed,
    engine_errors,
    loading,
    probe_module,
)
from runtime.backends._openvino_stage import OpenVinoStageSession
from runtime.backends._ort import check_graph
from runtime.batches import in_fixed_batches
from runtime.closing import ClosesOnExit
from runtime.cpu import allowed_cpus, usable_cpus
from runtime.placement import Placement, all_on
from runtime.session import Backend, Probe, Session, SessionOptions, Tensor, check_input
from runtime.stage_session import StageSession

_NAME = "openvino"
_EXTRA = "cpu"
_DEVICE = "CPU"


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
        devices = shared_core(openvino).available_devices
        if _DEVICE in devices:
            return ""
        return f"openvino {_release(openvino)} offers no {_DEVICE} device, only {devices}"

    return probe_module(import_openvino, "openvino", extra=_EXTRA, check=check)


def _open(path: Path, card: ModelCard, options: SessionOptions) -> Session:
    with extra(_EXTRA, f"Backend {_NAME}"):
        openvino = import_openvino()

    if path.suffix != ".xml":  # OpenVINO's own format is its own to check
        check_graph(path, backend=_NAME)
    with engine_errors(_NAME, loading(path)):
        core = shared_core(openvino)
        graph = _Graph(core, core.read_model(str(path)), _settings(options))
        graph.request(graph.fixed_batch or 1)
    return OpenVinoSession(graph, card, engine=f"openvino {_release(openvino)} {_DEVICE}")


def _open_stage(path: Path, stage: Stage, options: SessionOptions) -> StageSession:
    with extra(_EXTRA, f"Backend {_NAME}"):
        openvino = import_openvino()

    check_graph(path, backend=_NAME)
    return OpenVinoStageSession(
        openvino,
        shared_core(openvino),
        path,
        stage,
        settings={**_settings(options), **_shared_threads(options)},
        engine=f"{_NAME} {_release(openvino)} {_DEVICE}",
    )


def _shared_threads(options: SessionOptions) -> dict[str, Any]:
    """Let stage graphs, which run one after another, share their threads.

    With threads for each, workers that are busy elsewhere leave tasks behind that nobody collects:
    on a busy machine with 2 cores memory grew by 2 KB with every inference (OpenVINO 2026.4.1), and
    a step took 12.4 ms instead of 11.5. Shared threads are as many as the process has CPUs, so
    this is left out where fewer are asked for.
    """
    if (options.threads or usable_cpus()) < allowed_cpus():
        return {}
    return {"EXCLUSIVE_ASYNC_REQUESTS": True}


def _settings(options: SessionOptions) -> dict[str, Any]:
    return {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": options.threads or usable_cpus(),
        "INFERENCE_PRECISION_HINT": "f32",
        "ENABLE_CPU_PINNING": False,
    }


def _release(openvino: Any) -> str:
    """Short version: `2026.4.1` of `2026.4.1-22982-e213a147257-releases/2026/4`."""
    return str(openvino.__version__).split("-")[0]


class _Graph:
    """One graph, compiled for the batch sizes that are asked for.

    The compiled graph of batch 1 (or of the fixed batch size) is kept, and that of the last
    other batch size: live use needs the first, `verify` and `bench` one more.
    """

    def __init__(self, core: Any, model: Any, settings: dict[str, Any]) -> None:
        self._core = core
        self._model = model
        self._settings = settings
        shape = model.input(0).get_partial_shape()
        self._shape = shape
        self.fixed_batch: int | None = shape[0].get_length() if shape[0].is_static else None
        self._requests: dict[int, Any] = {}

    def request(self, batch: int) -> Any:
        """Inference request for exactly `batch` clips."""
        if batch not in self._requests:
            if self.fixed_batch is None:
                self._model.reshape([batch, *(axis.get_length() for axis in list(self._shape)[1:])])
            compiled = self._core.compile_model(self._model, _DEVICE, self._settings)
            for other in list(self._requests)[1:]:
                del self._requests[other]
            self._requests[batch] = compiled.create_infer_request()
        return self._requests[batch]


class OpenVinoSession(ClosesOnExit):
    """A `Session` on OpenVINO."""

    def __init__(self, graph: _Graph, card: ModelCard, *, engine: str) -> None:
        self._graph: _Graph | None = graph
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
        return all_on(_DEVICE)

    def run(self, clips: Tensor) -> Tensor:
        """Compute logits; see `Session.run`.

        A batch size other than 1 compiles the graph again on its first use.

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


def _compute(graph: _Graph, clips: Tensor) -> Tensor:
    """Run without copying the input; the result is copied out of the engine's buffer."""
    request = graph.request(len(clips))
    request.infer({0: np.ascontiguousarray(clips)}, share_inputs=True)
    return np.array(request.get_output_tensor(0).data, dtype=np.float32)


BACKEND = Backend(name=_NAME, extra=_EXTRA, probe=_probe, open=_open, open_stage=_open_stage)
