"""One graph, compiled by OpenVINO for the batch sizes that are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from queue import SimpleQueue
from threading import Lock
from typing import Any

Folder = Callable[[str], AbstractContextManager[Path | None]]
"""Where what is compiled for a shape is kept; None where it is not."""


def kept_nowhere(shape: str) -> AbstractContextManager[None]:
    """No folder."""
    del shape
    return nullcontext()


def compiled(core: Any, model: Any, device: str, told: Mapping[str, Any], folder: Folder) -> Any:
    """Compile a graph of static shapes, or load what was compiled before."""
    shapes = ("x".join(map(str, port.get_shape())) for port in model.inputs)
    with folder(", ".join(shapes)) as path:
        kept = {} if path is None else {"CACHE_DIR": str(path)}
        return core.compile_model(model, device, {**told, **kept})


class CompiledGraph:
    """Requests of a graph, to be used by several threads.

    The compiled graph of batch 1 (or of the fixed batch size) is kept, and that of the last
    other batch size: live use needs the first, `verify` and `bench` one more.

    Args:
        core: The one core of the process.
        model: What it read.
        device: Where it runs.
        told: Properties, as OpenVINO calls them.
        parallel: Most requests that are used at the same time.
        folder: For what is compiled.
    """

    def __init__(
        self,
        core: Any,
        model: Any,
        device: str,
        told: Mapping[str, Any],
        *,
        parallel: int,
        folder: Folder = kept_nowhere,
    ) -> None:
        self._core = core
        self._model = model
        self._device = device
        self._told = dict(told)
        self._parallel = parallel
        self._folder = folder
        shape = model.input(0).get_partial_shape()
        self._clip = [axis.get_length() for axis in list(shape)[1:]]
        self.fixed_batch: int | None = shape[0].get_length() if shape[0].is_static else None
        self._idle: dict[int, SimpleQueue[Any]] = {}
        self._compiling = Lock()
        self.devices: tuple[str, ...] = (device,)

    @contextmanager
    def request(self, batch: int) -> Iterator[Any]:
        """An inference request for exactly `batch` clips, of nobody else while the block runs."""
        idle = self._idle.get(batch)
        if idle is None:
            with self._compiling:
                idle = self._idle.get(batch) or self._compiled(batch)
        request = idle.get()
        try:
            yield request
        finally:
            idle.put(request)

    def _compiled(self, batch: int) -> SimpleQueue[Any]:
        if self.fixed_batch is None:
            self._model.reshape([batch, *self._clip])
        made = compiled(self._core, self._model, self._device, self._told, self._folder)
        self.devices = tuple(made.get_property("EXECUTION_DEVICES"))
        useful = int(made.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))
        idle: SimpleQueue[Any] = SimpleQueue()
        for _ in range(max(1, min(self._parallel, useful))):
            idle.put(made.create_infer_request())
        for other in list(self._idle)[1:]:
            del self._idle[other]
        self._idle[batch] = idle
        return idle
