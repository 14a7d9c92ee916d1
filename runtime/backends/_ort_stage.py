"""Stage graphs on ONNX Runtime: inputs and outputs are bound to memory of the caller."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from models.extras import extra, import_onnxruntime
from models.stages import Stage
from runtime.backends._engine import check_stage_ends, closed, engine_errors
from runtime.backends._ort import ort_session
from runtime.closing import ClosesOnExit
from runtime.placement import short_name
from runtime.session import SessionOptions
from runtime.stage_session import Array, stage_inputs, stage_outputs

_TYPES = {
    "tensor(float)": "float32",
    "tensor(uint8)": "uint8",
    "tensor(int8)": "int8",
    "tensor(int64)": "int64",
}


def open_ort_stage(
    path: Path,
    stage: Stage,
    options: SessionOptions,
    *,
    backend: str,
    extra_name: str,
    provider: str,
) -> OrtStageSession:
    """Load a stage graph on one provider that computes in the memory of the CPU.

    Raises:
        MissingExtra: ONNX Runtime is absent or broken.
        BackendError: The graph does not load, or is not what the card says.
    """
    with extra(extra_name, f"Backend {backend}"):
        onnxruntime = import_onnxruntime()
    session = ort_session(
        onnxruntime, path, options, backend=backend, extra_name=extra_name, provider=provider
    )
    found = [
        {end.name: _TYPES.get(end.type, end.type) for end in ends}
        for ends in (session.get_inputs(), session.get_outputs())
    ]
    check_stage_ends(path, stage, inputs=found[0], outputs=found[1])
    device = short_name(provider)
    return OrtStageSession(
        session, stage, backend=backend, engine=f"onnxruntime {onnxruntime.__version__} {device}"
    )


class OrtStageSession(ClosesOnExit):
    """A `StageSession` on ONNX Runtime."""

    def __init__(self, session: Any, stage: Stage, *, backend: str, engine: str) -> None:
        self._session = session
        self._binding = session.io_binding()
        self._bound: dict[str, Array] = {}
        self._inputs = tuple(stage_inputs(stage))
        self._outputs = tuple(stage_outputs(stage))
        self._doing = f"run the {stage.title} stage"
        self._backend = backend
        self._engine = engine

    @property
    def engine(self) -> str:
        """E.g. "onnxruntime 1.23.2 CPU"."""
        return self._engine

    def prepare(self, counts: Collection[int], *, slots: int) -> None:
        """Nothing to do: every number of rows takes the same way.

        Raises:
            BackendError: The session is closed.
        """
        del counts, slots
        self._check_open()

    def compute(self, inputs: Sequence[Array], outputs: Sequence[Array]) -> None:
        """Compute rows; see `StageSession.compute`.

        Raises:
            BackendError: The engine failed, or the session is closed.
        """
        self._check_open()
        binding = self._binding
        with engine_errors(self._backend, self._doing):
            for name, array in zip(self._inputs, inputs, strict=True):
                if self._bound.get(name) is not array:  # caches are the same in every call
                    self._bound[name] = array
                    binding.bind_input(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)
            for name, array in zip(self._outputs, outputs, strict=True):
                binding.bind_output(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)
            self._session.run_with_iobinding(binding)

    def close(self) -> None:
        """Free the engine; twice is fine."""
        self._session = self._binding = None
        self._bound.clear()

    def _check_open(self) -> None:
        if self._session is None:
            raise closed(self._backend)
