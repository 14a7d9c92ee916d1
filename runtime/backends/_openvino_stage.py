"""Stage graphs on OpenVINO: compiled for the numbers of rows that recur.

A graph of static shapes is faster than a dynamic one, and memory does not grow with every number
of rows that is met. Numbers that do not recur, such as that of the first clip, are computed in
pieces of those that do.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from models.stages import Stage
from runtime.backends._engine import check_stage_ends, closed, engine_errors, loading
from runtime.backends._openvino_graph import Folder, compiled, kept_nowhere
from runtime.batches import recurring_pieces
from runtime.closing import ClosesOnExit
from runtime.stage_session import Array, stage_inputs, stage_outputs


class OpenVinoStageSession(ClosesOnExit):
    """A `StageSession` on OpenVINO.

    Args:
        openvino: The module.
        core: The one core of the process.
        path: The stage graph.
        stage: What the card says of it.
        device: Where it runs.
        settings: Of the compiled graphs.
        engine: Name of the engine.
        folder: For what is compiled.

    Raises:
        BackendError: The graph does not load, or is not what the card says.
    """

    def __init__(
        self,
        openvino: Any,
        core: Any,
        path: Path,
        stage: Stage,
        *,
        device: str,
        settings: dict[str, Any],
        engine: str,
        folder: Folder = kept_nowhere,
    ) -> None:
        self._backend = engine.split()[0]
        self._engine = engine
        self._doing = f"run the {stage.title} stage"
        self._tensor = openvino.Tensor
        self._core = core
        self._device = device
        self._settings = settings
        self._folder = folder
        self._slots = 0
        self._requests: dict[int, tuple[Any, dict[int, Array]]] = {}
        with engine_errors(self._backend, loading(path)):
            self._model = core.read_model(str(path))
            ends = [_ends(self._model.inputs), _ends(self._model.outputs)]
        check_stage_ends(path, stage, inputs=ends[0], outputs=ends[1])
        self._names = tuple(stage_inputs(stage))
        self._inputs = [list(ends[0]).index(name) for name in self._names]
        self._outputs = [list(ends[1]).index(name) for name in stage_outputs(stage)]

    @property
    def engine(self) -> str:
        """E.g. "openvino 2026.4.1 CPU"."""
        return self._engine

    def prepare(self, counts: Collection[int], *, slots: int) -> None:
        """Compile for these numbers of rows, and for no others.

        Raises:
            BackendError: The engine failed, or the session is closed.
        """
        if self._model is None:
            raise closed(self._backend)
        if slots != self._slots:
            self._requests.clear()
            self._slots = slots
        with engine_errors(self._backend, self._doing):
            for count in set(self._requests).difference(counts):
                del self._requests[count]
            for count in sorted(set(counts).difference(self._requests)):
                self._requests[count] = (self._compiled(count), {})

    def compute(self, inputs: Sequence[Array], outputs: Sequence[Array]) -> None:
        """Compute rows; see `StageSession.compute`.

        Raises:
            BackendError: The engine failed, or the session is closed.
        """
        slots = 0 if len(inputs) == 1 else len(inputs[0])
        if self._model is None or not self._requests or slots != self._slots:
            self.prepare((1,), slots=slots)
        *caches, rows = inputs
        with engine_errors(self._backend, self._doing):
            for start, count in recurring_pieces(len(rows), tuple(self._requests)):
                part = rows[start : start + count]
                parts = [array[start : start + count] for array in outputs]
                if len(part) == count:
                    self._infer((*caches, part), parts)
                    continue
                last = part[-1:].repeat(count - len(part), axis=0)
                whole = [np.empty((count, *each.shape[1:]), each.dtype) for each in parts]
                self._infer((*caches, np.concatenate([part, last])), whole)
                for array, computed in zip(parts, whole, strict=True):
                    array[:] = computed[: len(array)]

    def close(self) -> None:
        """Free the engine; twice is fine."""
        self._requests.clear()
        self._model = None

    def _compiled(self, count: int) -> Any:
        """An inference request for so many rows."""
        shapes = {}
        for name in self._names:
            shape = list(self._model.input(name).get_partial_shape())
            first = count if name == self._names[-1] else self._slots
            shapes[name] = [first, *(axis.get_length() for axis in shape[1:])]
        self._model.reshape(shapes)
        made = compiled(self._core, self._model, self._device, self._settings, self._folder)
        return made.create_infer_request()

    def _infer(self, inputs: Sequence[Array], outputs: Sequence[Array]) -> None:
        request, bound = self._requests[len(inputs[-1])]
        for index, array in zip(self._inputs, inputs, strict=True):
            if bound.get(index) is not array:  # caches are the same in every call
                bound[index] = array
                request.set_input_tensor(index, self._tensor(array, shared_memory=True))
        for index, array in zip(self._outputs, outputs, strict=True):
            request.set_output_tensor(index, self._tensor(array, shared_memory=True))
        request.infer()


def _ends(ports: Sequence[Any]) -> dict[str, str]:
    """Types of inputs or outputs by name, in their order."""
    return {
        port.get_any_name(): port.get_element_type().to_dtype().name  # "float32"
        for port in ports
    }
