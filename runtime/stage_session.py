"""The boundary to the engines for a model that is cut into stages, see `models.stages`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from models.stages import Stage
from runtime.closing import Closeable

Array = NDArray[Any]


class StageSession(Closeable, Protocol):
    """One stage graph, loaded. It keeps no rows between two calls: the caches are the caller's.

    Think twice before widening it: whatever is added here, every engine and every fake owes.
    """

    @property
    def engine(self) -> str:
        """Engine, version and device that really run, as of a `Session`."""

    def prepare(self, counts: Collection[int], *, slots: int) -> None:
        """Get ready for some numbers of rows, so that the first one of them takes no longer.

        Others work as well, but may be computed in pieces.

        Args:
            counts: Rows at once that will recur, each at least 1.
            slots: Rows of the caches that will be read; 0 for the frame stage.

        Raises:
            BackendError: The engine failed, or the session is closed.
        """

    def compute(self, inputs: Sequence[Array], outputs: Sequence[Array]) -> None:
        """Compute M rows, at least one; nothing is copied where the engine allows it.

        Args:
            inputs: C-contiguous, in the order of `stage_inputs`: `frames`, or the caches and
                `rows`. Not modified; an array that was given before may have other content now,
                but must not have been resized in place.
            outputs: Written to: C-contiguous arrays of M rows, in the order of `stage_outputs`,
                sharing no memory with the inputs.

        Raises:
            BackendError: The engine failed, or the session is closed.
        """


def stage_inputs(stage: Stage) -> dict[str, np.dtype[Any]]:
    """Names and types of the inputs of a stage graph; the last one has a row for every result."""
    if stage.kind == "frame":
        return {"frames": np.dtype(np.float32)}
    caches = {tensor.name: np.dtype(tensor.dtype) for tensor in stage.inputs}
    return {**caches, "rows": np.dtype(np.int64)}


def stage_outputs(stage: Stage) -> dict[str, np.dtype[Any]]:
    """Names and types of the outputs of a stage graph."""
    if stage.kind == "window":
        return {"logits": np.dtype(np.float32)}
    return {tensor.name: np.dtype(tensor.dtype) for tensor in stage.outputs}
