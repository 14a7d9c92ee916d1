"""A graph seen as work on rows: one row per frame of a clip."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from runtime.graph_macs import Shape

if TYPE_CHECKING:
    from onnx import NodeProto

WINDOW = 1 << 20
"""Level of rows that depend on all frames of the clip."""


class NoStage(Exception):
    """A graph cannot be cut, or not at this level; the text says why."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Row:
    """A tensor that has one row per frame.

    Attributes:
        name: Its name in a stage graph.
        level: See `models.stages`.
        shape: For one clip of T frames.
        axis: Which axis has length T. If it is not the first one, the first one is the batch, of
            length 1.
        elem_type: As in `onnx.TensorProto.DataType`.
    """

    name: str
    level: int
    shape: Shape
    axis: int
    elem_type: int

    @property
    def frames(self) -> int:
        """T."""
        return self.shape[self.axis]

    @property
    def row_shape(self) -> Shape:
        """Shape of one row, without the axis of the rows."""
        return row_shape(self.shape, self.axis)

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return prod(self.row_shape) * numpy_type(self.elem_type).itemsize


def numpy_type(elem_type: int) -> np.dtype[Any]:
    """The type of arrays for an `onnx.TensorProto.DataType`."""
    from onnx import helper

    dtype: np.dtype[Any] = np.dtype(helper.tensor_dtype_to_np_dtype(elem_type))
    return dtype


def row_shape(shape: Shape, axis: int) -> Shape:
    """Shape of one row: T becomes 1 unless it is the axis of the rows itself."""
    return tuple(1 if at == axis else side for at, side in enumerate(shape) if at)


@dataclass(frozen=True, slots=True, eq=False)
class Frames:
    """The pictures themselves."""


@dataclass(frozen=True, slots=True, eq=False)
class Opaque:
    """Rows that a node makes of all frames of the clip; they are not taken further apart."""


@dataclass(frozen=True, slots=True, eq=False)
class Apply:
    """A node that computes each row from the same row of its inputs.

    Attributes:
        node: Its operator and attributes; the names of its inputs and outputs do not count.
        inputs: Rows, names of constants, or "" for one that is left out.
    """

    node: NodeProto
    inputs: tuple[Row | str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Arrange:
    """The values of each row in another shape or order.

    Attributes:
        source: Rows.
        positions: For every value of a new row, its position in the old one; None if the order
            stays.
    """

    source: Row
    positions: NDArray[Any] | None


@dataclass(frozen=True, slots=True, eq=False)
class Shift:
    """Each channel taken from a row nearby.

    Attributes:
        source: Rows [T, C, ...].
        deltas: Per channel: how many frames later the row stands that the channel comes from.
        outside: Per channel: its value where there is no such row, [C].
    """

    source: Row
    deltas: tuple[int, ...]
    outside: NDArray[Any]


Operation = Frames | Opaque | Apply | Arrange | Shift


def operands(operation: Operation) -> tuple[Row, ...]:
    """Rows that an operation reads, repeated where it reads them twice."""
    if isinstance(operation, Apply):
        return tuple(one for one in operation.inputs if isinstance(one, Row))
    if isinstance(operation, Arrange | Shift):
        return (operation.source,)
    return ()


@dataclass(frozen=True, slots=True)
class View:
    """How a tensor of the graph follows from rows.

    Attributes:
        source: The rows.
        shape: Of the tensor, for one clip.
        axis: The axis of the frames, where the tensor is the rows in another shape and nothing
            else; None where values stand elsewhere.
        places: Of every value, its place among those of the rows (frames first), -1 for `fill`;
            None where `axis` says it all.
        fill: Value of what comes from no row.
        origin: Name of the node that last moved values, "" if none did.
    """

    source: Row
    shape: Shape
    axis: int | None
    places: NDArray[Any] | None = None
    fill: float = 0.0
    origin: str = ""

    def all_places(self) -> NDArray[Any]:
        """Places of all values, int32 of `shape`."""
        if self.places is not None:
            return self.places
        return plain_places(self.source, self.shape, self.axis or 0)


def plain_places(source: Row, shape: Shape, axis: int) -> NDArray[Any]:
    """Places of the values of rows in a shape that has the frames on an axis."""
    rest = tuple(side for at, side in enumerate(shape) if at != axis)
    places = np.arange(prod(shape), dtype=np.int32).reshape(source.frames, *rest)
    return np.moveaxis(places, 0, axis)


@dataclass(frozen=True, slots=True, kw_only=True)
class RowGraph:
    """A graph, taken apart.

    Attributes:
        frames: The rows that are the pictures.
        operations: How rows are made, in an order in which they can be.
        views: Tensors of the graph that follow from rows.
        macs: Multiply-accumulates per clip, by the first output of the node.
    """

    frames: Row
    operations: dict[Row, Operation] = field(default_factory=dict)
    views: dict[str, View] = field(default_factory=dict)
    macs: Mapping[str, int]
