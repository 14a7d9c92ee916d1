"""What became of the rows after their values were moved: kept apart, shifted, or neither."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.graph_macs import Shape
from runtime.temporal.movement import row_axes
from runtime.temporal.rows import View, row_shape


@dataclass(frozen=True, slots=True)
class Settled:
    """Rows made of moved values.

    Attributes:
        axis: The axis of the frames.
        positions: For every value of a row, its position in the row that it comes from; None if
            the order is the same.
        deltas: Per channel: how many frames later it is taken from; empty if all are zero.
    """

    axis: int
    positions: NDArray[Any] | None
    deltas: tuple[int, ...]


def settled(view: View) -> Settled | None:
    """Read the places of moved values; None if they are neither rows nor a shift of rows.

    Every row must take the same positions of a row that is equally far away, whole channels at a
    time, and `fill` exactly where that row is outside of the clip.
    """
    places = view.all_places()
    for axis in row_axes(view.shape, view.source.frames):
        found = _along(places, axis, view)
        if found is not None:
            return found
    return None


def _along(places: NDArray[Any], axis: int, view: View) -> Settled | None:
    frames, size = view.source.frames, prod(view.source.row_shape)
    rows = np.moveaxis(places, axis, 0).reshape(frames, -1)
    here = np.arange(frames)[:, None]
    inside = rows >= 0
    if not inside.any(axis=0).all():
        return None
    first = inside.argmax(axis=0)
    taken = np.take_along_axis(rows, first[None], axis=0)[0]
    deltas = taken // size - first
    positions = taken % size
    wanted_row = here + deltas
    wanted = np.where((wanted_row >= 0) & (wanted_row < frames), wanted_row * size + positions, -1)
    if not np.array_equal(rows, wanted):
        return None
    order = None if _in_order(positions, size) else positions
    if not deltas.any():
        return Settled(axis, order, ())
    channels = _channels(row_shape(view.shape, axis), axis)
    by_channel = deltas.reshape(channels, -1)
    if (by_channel != by_channel[:, :1]).any():
        return None
    return Settled(axis, order, tuple(int(one) for one in by_channel[:, 0]))


def _channels(shape: Shape, axis: int) -> int:
    """Number of channels: the first axis of a row that is not that of the single frame."""
    rest = shape if axis == 0 else shape[: axis - 1] + shape[axis:]
    return rest[0] if rest else 1


def _in_order(positions: NDArray[Any], size: int) -> bool:
    return positions.size == size and bool((np.diff(positions) == 1).all())
