"""Operators that only move values: followed value by value, whatever they are called.

Exporters write a temporal shift in many ways: padding and slices, slices and concatenation,
assignment to slices. All of them move values and do nothing else. So the values are numbered, the
numbers are sent through the same operators, and what arrives tells what is done.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from runtime.graph_macs import STANDARD_DOMAINS, Shape
from runtime.temporal.constants import Constants
from runtime.temporal.row_rules import attributes
from runtime.temporal.rows import Row, View, plain_places

if TYPE_CHECKING:
    from onnx import NodeProto

_SAME_ORDER = frozenset({"Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze"})
"""Operators that keep the order of the values."""

_DATA: dict[str, Callable[[int], tuple[int, ...]]] = {
    "Concat": lambda inputs: tuple(range(inputs)),
    "ScatterND": lambda _: (0, 2),
    "ScatterElements": lambda _: (0, 2),
    "Where": lambda _: (1, 2),
    **dict.fromkeys(
        (
            *("DepthToSpace", "Expand", "Gather", "GatherElements", "GatherND", "Pad", "Slice"),
            *("SpaceToDepth", "Split", "Tile", "Transpose"),
        ),
        lambda _: (0,),
    ),
}
"""Which inputs of an operator are moved; the others say how, and must be constants."""

_RESHAPES = _SAME_ORDER | {"Transpose"}
MOST_VALUES = 1 << 26
"""Tensors of more values per clip are not followed: 16 times as many as those of a ResNet."""


def moves(node: NodeProto) -> bool:
    """Whether a node does nothing but move values."""
    return node.domain in STANDARD_DOMAINS and (
        node.op_type in _SAME_ORDER or node.op_type in _DATA
    )


def moved(
    node: NodeProto, inputs: Sequence[View | str], shape: Shape, constants: Constants
) -> list[View] | None:
    """Where the values of the outputs of a node come from.

    Args:
        node: One that `moves`.
        inputs: Views, or names of constants ("" for one left out).
        shape: Of the first output.
        constants: Of the graph.

    Returns:
        One view per output; None where it cannot be told.
    """
    first = inputs[0]
    if node.op_type in _SAME_ORDER and isinstance(first, View):
        axis = _kept_axis(first, shape)
        if axis is not None:
            return [View(first.source, shape, axis, fill=first.fill, origin=first.origin)]
    data = _DATA[node.op_type](len(inputs)) if node.op_type in _DATA else (0,)
    views = [one for at in data if at < len(inputs) and isinstance(one := inputs[at], View)]
    source = views[0].source if views else None
    if source is None or any(view.source is not source for view in views):
        return None
    if max(prod(view.shape) for view in views) > MOST_VALUES or prod(shape) > MOST_VALUES:
        return None
    fill = _common_fill(node, inputs, data, constants)
    values = _numbered(node, inputs, data, constants)
    if fill is None or values is None:
        return None
    results = _scattered(values) if node.op_type == "ScatterND" else constants.run(node, values)
    if results is None:
        return None
    origin = views[0].origin if node.op_type in _RESHAPES else node.name
    return [_view(source, places, fill, origin) for places in results]


def _kept_axis(view: View, shape: Shape) -> int | None:
    """Where the frames are in another shape with the same order; None if that cannot be told."""
    if view.axis is None or any(side != 1 for side in view.shape[: view.axis]):
        return None
    for axis, side in enumerate(shape[:2]):
        if side != 1:
            return axis if side == view.source.frames else None
    return None


def _common_fill(
    node: NodeProto, inputs: Sequence[View | str], data: Sequence[int], constants: Constants
) -> float | None:
    """The one value that does not come from rows; None if there are several."""
    fills = set()
    for at in data:
        one = inputs[at]
        if isinstance(one, View):
            if one.places is not None and one.places.min() < 0:
                fills.add(one.fill)
        else:
            value = constants.value(one)
            if value is None:
                return None
            fills.update(np.unique(value).tolist()[:2])
    if node.op_type == "Pad" and attributes(node).get("mode", b"constant") == b"constant":
        name = inputs[2] if len(inputs) > 2 else ""
        value = constants.value(name) if isinstance(name, str) and name else np.zeros(1)
        if value is None:
            return None
        fills.add(float(value.reshape(-1)[0]))
    if len(fills) > 1:
        return None
    return float(fills.pop()) if fills else 0.0


def _numbered(
    node: NodeProto, inputs: Sequence[View | str], data: Sequence[int], constants: Constants
) -> list[NDArray[Any] | None] | None:
    """Inputs of the node with numbers for values."""
    values: list[NDArray[Any] | None] = []
    for at, one in enumerate(inputs):
        if isinstance(one, View):
            if at not in data:
                return None
            values.append(one.all_places())
        elif not one:
            values.append(None)
        else:
            value = constants.value(one)
            if value is None:
                return None
            values.append(np.full(value.shape, -1, np.int32) if at in data else value)
    if node.op_type == "Pad":
        values = [*values[:2], np.array(-1, np.int32), *values[3:]]
    return values


def _scattered(values: Sequence[NDArray[Any] | None]) -> list[NDArray[Any]] | None:
    """`ScatterND`, for which the reference implementation is too slow."""
    data, indices, updates = values
    if data is None or indices is None or updates is None:
        return None
    result = data.copy()
    result[tuple(np.moveaxis(indices, -1, 0))] = updates
    return [result]


def _view(source: Row, places: NDArray[Any], fill: float, origin: str) -> View:
    """A view, recognised where it is the rows in another shape."""
    shape = tuple(places.shape)
    if places.size == prod(source.shape):
        for axis in row_axes(shape, source.frames):
            if np.array_equal(places, plain_places(source, shape, axis)):
                return View(source, shape, axis, fill=fill, origin=origin)
    return View(source, shape, None, places=places, fill=fill, origin=origin)


def row_axes(shape: Shape, frames: int) -> list[int]:
    """Axes that may be those of the frames: the first, or another behind a batch of one."""
    return [
        axis
        for axis, side in enumerate(shape)
        if side == frames and (axis == 0 or (shape[0] == 1 and frames != 1))
    ]
