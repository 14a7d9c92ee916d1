"""The rows of a stage in memory: written by the engine, read by the stage after as a whole."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from models.errors import BackendError
from models.stages import StageTensor
from runtime.stage_session import Array


class RowCache:
    """The tensors that a stage puts out, [slots, ...] each.

    Args:
        tensors: What is kept of a row.
        slots: Rows.

    Raises:
        BackendError: There is not that much memory.
    """

    def __init__(self, tensors: Sequence[StageTensor], *, slots: int) -> None:
        try:
            self.tensors: tuple[Array, ...] = tuple(
                np.zeros((slots, *tensor.shape), np.dtype(tensor.dtype)) for tensor in tensors
            )
        except MemoryError as error:
            size = sum(tensor.row_bytes for tensor in tensors) * slots
            raise BackendError(
                f"There is no memory for {slots} rows of a stage, {size >> 20} MiB.",
                hint="Run without keeping rows: --reuse off",
            ) from error
        self._aside: list[Array] = []

    @property
    def memory_bytes(self) -> int:
        """Bytes of all slots."""
        return sum(tensor.nbytes for tensor in self.tensors)

    def destination(self, slots: Sequence[int]) -> list[Array]:
        """Where to write rows: their slots themselves if they lie together, else memory aside.

        Args:
            slots: In ascending order, at least one.

        Returns:
            C-contiguous arrays of that many rows; valid until the next call.
        """
        if _together(slots):
            return [tensor[slots[0] : slots[-1] + 1] for tensor in self.tensors]
        count = len(slots)
        if not self._aside or len(self._aside[0]) < count:
            self._aside = [np.empty((count, *each.shape[1:]), each.dtype) for each in self.tensors]
        return [each[:count] for each in self._aside]

    def settle(self, slots: Sequence[int], rows: Sequence[Array]) -> None:
        """Put rows that were written to `destination` into their slots, if they are not there."""
        if _together(slots):
            return
        for tensor, written in zip(self.tensors, rows, strict=True):
            tensor[slots] = written


def _together(slots: Sequence[int]) -> bool:
    return slots[-1] - slots[0] == len(slots) - 1
