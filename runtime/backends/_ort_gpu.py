"""ONNX Runtime on an NVIDIA GPU: one provider asked for, a profile of where the nodes ran.

ONNX Runtime always has its CPU provider to fall back on, node by node and in silence. So a session
is first opened with a profile and run; what the profile shows is its placement, and a provider on
which nothing ran is refused. A second session, without a profile, then does the work.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import logging
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from models.card import ModelCard
from models.errors import BackendError
from models.extras import extra, import_onnxruntime
from models.messages import telling_line
from runtime.backends._engine import engine_errors, loading, probe_module
from runtime.backends._ort import OrtSession, check_provider, session_settings
from runtime.backends._ort_binding import OnGpu
from runtime.backends._ort_profile import placement_of
from runtime.cpu import usable_cpus
from runtime.nvidia import gpus
from runtime.placement import Placement, short_name
from runtime.session import Probe, SessionOptions, Tensor

logger = logging.getLogger(__name__)

EXTRA = "gpu"
CUDA = "CUDAExecutionProvider"

_PROFILED_RUNS = 3
"""The first chooses algorithms; the quickest of the others is the time of a node."""

ProviderOptions = dict[str, str]
Compute = Callable[[Tensor], Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuPlan:
    """How a graph is to run on a GPU.

    Attributes:
        backend: Name of the backend.
        provider: ONNX Runtime's provider that must run it.
        providers: All that may, with their options, the one above first.
        device: Number of the GPU.
        batch: Clips at a time where that is fixed; None for any number.
        graph: Further options of the provider that make it record its launches as a CUDA graph;
            None to launch the kernels one by one.
        io_binding: Inputs and results keep their place in the memory of the GPU.
    """

    backend: str
    provider: str
    providers: tuple[tuple[str, ProviderOptions], ...]
    device: int
    batch: int | None = None
    graph: ProviderOptions | None = None
    io_binding: bool = True


def probe_gpu(provider: str) -> Probe:
    """Whether ONNX Runtime was built with `provider` and there is a GPU; never raises."""

    def check(onnxruntime: Any) -> str:
        try:
            gpus()
        except BackendError as error:
            return error.message
        if provider not in onnxruntime.get_available_providers():
            return f"this onnxruntime {onnxruntime.__version__} has no {provider}"
        _load_libraries(onnxruntime)
        return _what_is_missing(onnxruntime, provider)

    found = probe_module(import_onnxruntime, "onnxruntime", extra=EXTRA, check=check)
    if found.ok:
        return found
    found = replace(found, hint=found.hint or "edgecls doctor")
    try:
        gpus()
    except BackendError:
        return replace(found, expected=False)
    return found


def _load_libraries(onnxruntime: Any) -> None:
    """Load CUDA and cuDNN from wheels beside the engine, where they were installed as such."""
    if not hasattr(onnxruntime, "preload_dlls"):  # before 1.21
        return
    with contextlib.redirect_stdout(io.StringIO()) as told:
        onnxruntime.preload_dlls()
    for line in filter(None, told.getvalue().splitlines()):
        logger.info("onnxruntime: %s", line)


def _what_is_missing(onnxruntime: Any, provider: str) -> str:
    """Why the library of a provider does not load; empty when it does.

    ONNX Runtime says so on stderr only, and goes on with the CPU.
    """
    folder = Path(onnxruntime.__file__).parent / "capi"
    name = short_name(provider).lower()
    library = folder / f"libonnxruntime_providers_{name}.so"
    if not library.is_file():  # where providers are built otherwise, the session tells
        return ""
    try:
        ctypes.CDLL(str(folder / "libonnxruntime_providers_shared.so"), mode=ctypes.RTLD_GLOBAL)
        ctypes.CDLL(str(library))
    except OSError as error:
        return f"{short_name(provider)} does not load: {telling_line(error)}"
    return ""


def loaded_onnxruntime(backend: str) -> Any:
    """ONNX Runtime, its libraries loaded.

    Raises:
        MissingExtra: It is absent or broken.
    """
    with extra(EXTRA, f"Backend {backend}"):
        onnxruntime = import_onnxruntime()
    _load_libraries(onnxruntime)
    return onnxruntime


def open_gpu(
    onnxruntime: Any, path: Path, card: ModelCard, options: SessionOptions, plan: GpuPlan
) -> OrtSession:
    """Load a graph, look where it runs, and make it quick.

    Raises:
        BackendError: The graph does not load, or nothing of it runs on the provider.
    """
    loader = _Loader(onnxruntime, path, options, plan)
    with engine_errors(plan.backend, loading(path)):
        placement = loader.placement(card)
        session, compute = _quick(loader, card, placement, options)
    device = short_name(plan.provider)
    return GpuSession(
        session,
        card,
        backend=plan.backend,
        engine=f"onnxruntime {onnxruntime.__version__} {device}, {gpus()[plan.device].name}",
        placement=placement,
        batch=plan.batch,
        compute=compute,
    )


def _quick(
    loader: _Loader, card: ModelCard, placement: Placement, options: SessionOptions
) -> tuple[Any, Compute | None]:
    """A session and how clips are run on it: launches recorded, where that works.

    A CUDA graph takes every node on one provider, and one run at a time.
    """
    plan = loader.plan
    if plan.graph is not None and len(placement.shares) == 1 and options.parallel == 1:
        recorded = _recorded(loader, card, plan.graph)
        if recorded is not None:
            return recorded
    session = loader.session()
    if not plan.io_binding:
        return session, None
    return session, OnGpu(loader.onnxruntime, session, device=plan.device, graph=False).run


def _recorded(
    loader: _Loader, card: ModelCard, graph: ProviderOptions
) -> tuple[Any, Compute] | None:
    """A session that replays its launches; None, and nothing of it left, where it cannot."""
    session = loader.session(graph=graph)
    recorded = OnGpu(loader.onnxruntime, session, device=loader.plan.device, graph=True)
    try:
        recorded.run(loader.noise(session, card))
    except Exception as error:  # whatever the engine raises
        logger.info("launches are not recorded as a CUDA graph: %s", telling_line(error))
        return None
    return session, recorded.run


class _Loader:
    """Opens a graph, with a profile and without."""

    def __init__(
        self, onnxruntime: Any, path: Path, options: SessionOptions, plan: GpuPlan
    ) -> None:
        self.onnxruntime = onnxruntime
        self.plan = plan
        self._path = path
        self._threads = options.threads or usable_cpus()

    def placement(self, card: ModelCard) -> Placement:
        """Run on noise with a profile.

        Raises:
            BackendError: Nothing ran on the provider.
        """
        with tempfile.TemporaryDirectory(prefix="edgecls-profile-") as folder:
            session = self.session(profile=Path(folder) / "run")
            try:
                clips = self.noise(session, card)
                for _ in range(_PROFILED_RUNS):
                    session.run(None, {session.get_inputs()[0].name: clips})
            finally:
                profile = session.end_profiling()
            found = placement_of(Path(profile))
        provider = short_name(self.plan.provider)
        if found is None or not found.node_share(provider):
            ran = "no node" if found is None else found.line()
            raise BackendError(
                f"Backend {self.plan.backend} loaded {self._path}, but nothing of it ran on"
                f" {provider} ({ran}).",
                hint="edgecls doctor",
            )
        return found

    def noise(self, session: Any, card: ModelCard) -> Tensor:
        """A batch of the size that a session takes."""
        axis = session.get_inputs()[0].shape[0]
        batch = self.plan.batch or (axis if isinstance(axis, int) else 1)
        shape = card.clip.input_shape(batch)
        return np.random.default_rng(0).standard_normal(shape, dtype=np.float32)

    def session(self, *, profile: Path | None = None, graph: ProviderOptions | None = None) -> Any:
        """An inference session.

        Args:
            profile: Path that the profile's begins with; None for none.
            graph: Further options of the provider.

        Raises:
            BackendError: The session did not get the provider.
        """
        plan, onnxruntime = self.plan, self.onnxruntime
        settings = session_settings(onnxruntime, threads=self._threads)
        if plan.batch is not None:
            settings.add_free_dimension_override_by_name("N", plan.batch)
        if profile is not None:
            settings.enable_profiling = True
            settings.profile_file_prefix = str(profile)
        first, *others = plan.providers
        session = onnxruntime.InferenceSession(
            str(self._path),
            settings,
            providers=[(first[0], {**first[1], **(graph or {})}), *others],
            enable_fallback=0,
        )
        check_provider(session, plan.provider, backend=plan.backend, hint="edgecls doctor")
        return session


class GpuSession(OrtSession):
    """A `Session` whose tensors may stay on the GPU.

    Args:
        session: ONNX Runtime's.
        card: Of the model.
        backend: Name of the backend.
        engine: Engine, version and device.
        placement: Where nodes ran.
        batch: Clips at a time where that is fixed.
        compute: Runs clips; None to let ONNX Runtime move every tensor itself.
    """

    def __init__(
        self,
        session: Any,
        card: ModelCard,
        *,
        backend: str,
        engine: str,
        placement: Placement,
        batch: int | None,
        compute: Compute | None,
    ) -> None:
        super().__init__(session, card, backend=backend, engine=engine, placement=placement)
        self._fixed_batch = batch or self._fixed_batch
        self._on_gpu = compute

    def _compute(self, clips: Tensor) -> Tensor:
        return super()._compute(clips) if self._on_gpu is None else self._on_gpu(clips)

    def close(self) -> None:
        """Free the engine; twice is fine."""
        self._on_gpu = None
        super().close()
