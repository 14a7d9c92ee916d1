"""ONNX Runtime on the CPU, with exactly one execution provider."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from models.card import ModelCard
from models.errors import BackendError
from models.extras import extra, import_onnxruntime
from runtime.backends._engine import (
    closed,
    engine_errors,
    loading,
    probe_module,
)
from runtime.batches import in_fixed_batches
from runtime.closing import ClosesOnExit
from runtime.cpu import usable_cpus
from runtime.placement import Placement, all_on, short_name
from runtime.session import Probe, SessionOptions, Tensor, check_input
from runtime.settings import Value, count, over_card, resolved, switch

SETTINGS = (
    count("threads", default="the CPUs this process may use", about="Threads of the engine."),
    switch(
        "spinning",
        default="off",
        about="Let idle threads wait by spinning: burns CPUs between two runs.",
    ),
)


def probe_ort(provider: str, *, extra_name: str) -> Probe:
    """Whether ONNX Runtime loads and was built with `provider`; never raises."""

    def check(onnxruntime: Any) -> str:
        offered = onnxruntime.get_available_providers()
        if provider in offered:
            return ""
        return f"this onnxruntime {onnxruntime.__version__} has no {provider}"

    return probe_module(import_onnxruntime, "onnxruntime", extra=extra_name, check=check)


def open_ort(
    path: Path,
    card: ModelCard,
    options: SessionOptions,
    *,
    backend: str,
    extra_name: str,
    provider: str,
) -> OrtSession:
    """Load a graph on one provider.

    Raises:
        MissingExtra: ONNX Runtime is absent or broken.
        BackendError: The graph does not load, or another provider would run it.
    """
    with extra(extra_name, f"Backend {backend}"):
        onnxruntime = import_onnxruntime()

    session = ort_session(
        onnxruntime,
        path,
        over_card(options, card, backend),
        backend=backend,
        extra_name=extra_name,
        provider=provider,
    )
    ends = len(session.get_inputs()), len(session.get_outputs())
    if ends != (1, 1):
        raise BackendError(
            f"Backend {backend} takes graphs of one input and one output; {path} has"
            f" {ends[0]} and {ends[1]}.",
            hint="Convert the model again: edgecls convert",
        )
    device = short_name(provider)
    return OrtSession(
        session,
        card,
        backend=backend,
        engine=f"onnxruntime {onnxruntime.__version__} {device}",
        placement=all_on(device),
    )


def ort_session(
    onnxruntime: Any,
    path: Path,
    options: SessionOptions,
    *,
    backend: str,
    extra_name: str,
    provider: str,
) -> Any:
    """An inference session on exactly one provider.

    The providers that ONNX Runtime *offers* may still fail to load, and it then falls back in
    silence. So only one provider is asked for, and the one that runs must be it.

    Raises:
        BackendError: The graph does not load, or another provider would run it.
    """
    if options.device is not None and options.device.upper() != "CPU":
        raise BackendError(
            f"Backend {backend} has no device {options.device!r}; it runs on the CPU.",
            hint="edgecls doctor tells which backends work here.",
        )
    asked = resolved(backend, SETTINGS, options.settings.get(backend, {}))
    settings = session_settings(
        onnxruntime, threads=_threads(asked, options), spinning=bool(asked.get("spinning", False))
    )
    with engine_errors(backend, loading(path)):
        session = onnxruntime.InferenceSession(  # which would print, and try the same again
            str(path), settings, providers=[provider], enable_fallback=0
        )
    hint = f"pip install --force-reinstall 'edgecls[{extra_name}]'"
    check_provider(session, provider, backend=backend, hint=hint)
    return session


def session_settings(onnxruntime: Any, *, threads: int, spinning: bool = False) -> Any:
    """What every session is told.

    Args:
        onnxruntime: The module.
        threads: That work on one run.
        spinning: Idle ones spin: burns a whole core between two windows, wins nothing measurable.
    """
    settings = onnxruntime.SessionOptions()
    settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    settings.intra_op_num_threads = threads
    settings.inter_op_num_threads = 1
    settings.add_session_config_entry("session.intra_op.allow_spinning", str(int(spinning)))
    settings.log_severity_level = 3
    return settings


def check_provider(session: Any, provider: str, *, backend: str, hint: str) -> None:
    """Refuse a session that fell back in silence.

    Raises:
        BackendError: Another provider would run the model.
    """
    running = session.get_providers()
    if not running or running[0] != provider:
        raise BackendError(
            f"Backend {backend} asked ONNX Runtime for {provider}, but {', '.join(running)}"
            " would run the model.",
            hint=hint,
        )


def _threads(asked: Mapping[str, Value], options: SessionOptions) -> int:
    """Threads that work on one run: a pool that all runs share, and the one that called.

    Several callers bring a thread each, so the pool is that much smaller.
    """
    total = options.threads or int(asked.get("threads", 0)) or usable_cpus()
    return max(1, total - (options.parallel - 1))


def check_graph(path: Path, *, backend: str) -> None:
    """Let ONNX Runtime, where it is installed, look at a graph that another engine is to load.

    It reads a graph with care and refuses one that breaks the rules of ONNX, on which others crash.
    Takes 0.02 s for a graph of 3 MB, 0.3 s for one of 170 MB.

    Args:
        path: The graph.
        backend: The other engine, for the error.

    Raises:
        BackendError: It is not valid.
    """
    try:
        onnxruntime = import_onnxruntime()
    except ImportError:
        return  # the digest of the file has been checked; it is what was converted
    settings = onnxruntime.SessionOptions()
    settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    settings.enable_cpu_mem_arena = False
    settings.intra_op_num_threads = 1
    settings.log_severity_level = 4
    with engine_errors(backend, loading(path)):
        onnxruntime.InferenceSession(
            str(path), settings, providers=["CPUExecutionProvider"], enable_fallback=0
        )


class OrtSession(ClosesOnExit):
    """A `Session` on ONNX Runtime."""

    def __init__(
        self, session: Any, card: ModelCard, *, backend: str, engine: str, placement: Placement
    ) -> None:
        self._session = session
        self._placement = placement
        self._card = card
        self._backend = backend
        self._engine = engine
        first = session.get_inputs()[0]
        self._input = first.name
        self._output = session.get_outputs()[0].name
        batch = first.shape[0] if first.shape else None
        self._fixed_batch: int | None = batch if isinstance(batch, int) else None

    @property
    def backend(self) -> str:
        """Name of the backend."""
        return self._backend

    @property
    def engine(self) -> str:
        """E.g. "onnxruntime 1.23.2 CPU"."""
        return self._engine

    @property
    def placement(self) -> Placement:
        """Where the nodes ran."""
        return self._placement

    def run(self, clips: Tensor) -> Tensor:
        """Compute logits; see `Session.run`.

        Raises:
            UsageError: The tensor does not fit the model.
            BackendError: The engine failed, or the session is closed.
        """
        if self._session is None:
            raise closed(self._backend)
        check_input(clips, self._card)
        with engine_errors(self._backend, "run the model"):
            if self._fixed_batch is None:
                return self._compute(clips)
            return in_fixed_batches(clips, self._fixed_batch, self._compute)

    def _compute(self, clips: Tensor) -> Tensor:
        (logits,) = self._session.run([self._output], {self._input: clips})
        return np.asarray(logits, dtype=np.float32)

    def close(self) -> None:
        """Free the engine; twice is fine."""
        self._session = None
