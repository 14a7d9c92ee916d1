"""Runs of ONNX Runtime whose tensors keep their place in the memory of a GPU."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np

from runtime.session import Tensor

_BATCH_SIZES = 2
"""Batch sizes whose tensors on the GPU are kept: live use needs one, a check one more."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Tensors on the GPU for one batch size.

    Attributes:
        clips: Copied to.
        binding: Of both.
        options: Of a run; hold the number of the recorded graph.
    """

    clips: Any
    binding: Any
    options: Any


class OnGpu:
    """Runs with inputs and results that keep their place in the memory of the GPU.

    A recorded graph of launches needs that: it is replayed with the same addresses. ONNX Runtime
    records one per number in `gpu_graph_id`, so every batch size has its own.

    Args:
        onnxruntime: The module.
        session: Its session, of one input and one output.
        device: Number of the GPU.
        graph: The session records its launches.
    """

    def __init__(self, onnxruntime: Any, session: Any, *, device: int, graph: bool) -> None:
        self._onnxruntime = onnxruntime
        self._session = session
        self._device = device
        self._graph = graph
        self._input, self._output = session.get_inputs()[0], session.get_outputs()[0]
        self._places: dict[int, _Place] = {}
        self._one_at_a_time = Lock()

    def run(self, clips: Tensor) -> Tensor:
        """Logits of clips; from several threads one after another."""
        with self._one_at_a_time:
            place = self._place(clips)
            place.clips.update_inplace(np.ascontiguousarray(clips))
            self._session.run_with_iobinding(place.binding, place.options)
            (logits,) = place.binding.copy_outputs_to_cpu()
        return np.asarray(logits, dtype=np.float32)

    def _place(self, clips: Tensor) -> _Place:
        batch = len(clips)
        if batch not in self._places:
            # A recorded graph goes on using its tensors, so those of all batch sizes are kept.
            for other in [] if self._graph else list(self._places)[_BATCH_SIZES - 1 :]:
                del self._places[other]
            self._places[batch] = self._made(clips)
        return self._places[batch]

    def _made(self, clips: Tensor) -> _Place:
        ort, where = self._onnxruntime, ("cuda", self._device)
        source = ort.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(clips), *where)
        classes = self._output.shape[-1]
        result = ort.OrtValue.ortvalue_from_shape_and_type(
            [len(clips), classes], np.float32, *where
        )
        binding = self._session.io_binding()
        binding.bind_ortvalue_input(self._input.name, source)
        binding.bind_ortvalue_output(self._output.name, result)
        options = ort.RunOptions()
        if self._graph:
            options.add_run_config_entry("gpu_graph_id", str(len(clips)))
        return _Place(source, binding, options)
