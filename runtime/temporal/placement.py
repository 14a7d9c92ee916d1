"""Move a shift along operators that keep channels apart, to where its tensor is smallest.

`f(shift(x))` is `shift(f(x))` when `f` works on every channel by itself; what is outside of the
clip is then not 0 but what `f` makes of 0. The further the shift goes, the more is computed once
per frame instead of once per shifted frame.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from runtime.temporal.constants import Constants
from runtime.temporal.row_rules import QUANTIZERS, UNARY, attributes
from runtime.temporal.rows import Apply, Operation, Row, Shift, operands

_KEEP_CONSTANTS = frozenset({"GlobalAveragePool", "GlobalMaxPool", "MaxPool"})
"""Pools of a picture that has one value everywhere: they give that value."""

_WITH_CONSTANTS = frozenset({"Add", "Div", "Max", "Min", "Mul", "PRelu", "Pow", "Sub"})


@dataclass(frozen=True, slots=True)
class _Place:
    """A shift after some operators.

    Attributes:
        row: What the shift puts out there.
        shift: Channels, and what is outside; its source is not yet made.
        size: Bytes of a row of the source.
    """

    row: Row
    deltas: tuple[int, ...]
    outside: NDArray[np.generic]
    size: int


def place_shifts(
    operations: dict[Row, Operation], constants: Constants, wanted: Collection[Row]
) -> dict[Row, Operation]:
    """Move every shift to where the rows that it takes have the fewest bytes.

    Args:
        operations: How rows are made; not changed.
        constants: Of the graph.
        wanted: Rows that are read from outside, and have to stay what they are.

    Returns:
        How rows are made now; rows that are still there are the same as before.
    """
    moved = dict(operations)
    readers = _readers(moved)
    for row, operation in operations.items():
        if isinstance(operation, Shift):
            _place(row, operation, moved, constants, readers, frozenset(wanted))
    return _sorted(moved)


def _readers(operations: dict[Row, Operation]) -> dict[Row, list[Row]]:
    readers: dict[Row, list[Row]] = {}
    for row, operation in operations.items():
        for one in operands(operation):
            readers.setdefault(one, []).append(row)
    return readers


def _place(
    row: Row,
    shift: Shift,
    operations: dict[Row, Operation],
    constants: Constants,
    readers: dict[Row, list[Row]],
    wanted: frozenset[Row],
) -> None:
    places = [_Place(row, shift.deltas, shift.outside, shift.source.row_bytes)]
    while places[-1].row not in wanted and len(readers.get(places[-1].row, [])) == 1:
        (reader,) = readers[places[-1].row]
        further = _further(places[-1], reader, operations[reader], constants)
        if further is None:
            break
        places.append(further)
    best = min(places, key=lambda place: (place.size, -places.index(place)))
    original = _quantized(shift, operations)
    if original is not None and original.row_bytes < best.size:
        _before_dequantizing(row, shift, original, operations, constants)
        return
    source = shift.source
    for place in places[1 : places.index(best) + 1]:
        operation = operations.pop(place.row)
        if not isinstance(operation, Apply):
            raise TypeError(f"{place.row.name} is no operator")
        clone = replace(place.row, name=f"{place.row.name}.unshifted", level=source.level)
        operations[clone] = Apply(operation.node, (source, *operation.inputs[1:]))
        source = clone
    if source is not shift.source:
        del operations[row]
        operations[best.row] = Shift(source, best.deltas, best.outside)


def _quantized(shift: Shift, operations: dict[Row, Operation]) -> Row | None:
    """What the source was dequantized from, with one scale for all channels."""
    before = operations[shift.source]
    if not isinstance(before, Apply) or before.node.op_type != "DequantizeLinear":
        return None
    original = before.inputs[0]
    return original if isinstance(original, Row) else None


def _before_dequantizing(
    row: Row,
    shift: Shift,
    original: Row,
    operations: dict[Row, Operation],
    constants: Constants,
) -> None:
    """Shift the integers: outside is the one that stands for what was outside."""
    before = operations[shift.source]
    if not isinstance(before, Apply):
        return
    numbers = [constants.value(str(one)) for one in before.inputs[1:]]
    scale = numbers[0]
    zero = numbers[1] if len(numbers) > 1 else np.zeros((), np.uint8)
    if scale is None or zero is None or scale.size != 1 or shift.outside.any():
        return
    integers = Row(
        name=f"{row.name}.quantized", level=row.level, shape=original.shape,
        axis=original.axis, elem_type=original.elem_type,
    )  # fmt: skip
    outside = np.full(len(shift.deltas), zero.reshape(-1)[0], zero.dtype)
    operations[integers] = Shift(original, shift.deltas, outside)
    operations[row] = Apply(before.node, (integers, *before.inputs[1:]))


def _further(
    place: _Place, reader: Row, operation: Operation, constants: Constants
) -> _Place | None:
    """The shift behind one more operator; None if that mixes channels, or cannot be told."""
    if not isinstance(operation, Apply) or operation.inputs[0] is not place.row or reader.axis != 0:
        return None
    if any(isinstance(one, Row) for one in operation.inputs[1:]):
        return None
    kind = operation.node.op_type
    deltas, outside = place.deltas, place.outside
    if kind in UNARY | QUANTIZERS | _WITH_CONSTANTS:
        found = _pointwise(operation, outside, reader, constants)
    elif kind == "Conv":
        return _depthwise(place, reader, operation, constants)
    elif kind in _KEEP_CONSTANTS or (kind == "AveragePool" and not _counts_padding(operation)):
        found = outside
    else:
        return None
    return None if found is None else _Place(reader, deltas, found, reader.row_bytes)


def _counts_padding(operation: Apply) -> bool:
    given = attributes(operation.node)
    return bool(given.get("count_include_pad")) and any(given.get("pads", ()))


def _pointwise(
    operation: Apply, outside: NDArray[np.generic], reader: Row, constants: Constants
) -> NDArray[np.generic] | None:
    """What the operator makes of the values outside, if that does not depend on the place."""
    rank = len(reader.shape)
    column = outside.reshape((1, -1, *[1] * (rank - 2)))
    values = [None if not one else constants.value(str(one)) for one in operation.inputs[1:]]
    if any(one and value is None for one, value in zip(operation.inputs[1:], values, strict=True)):
        return None
    if operation.node.op_type in QUANTIZERS and values[0] is not None and values[0].size != 1:
        return None
    results = constants.run(operation.node, [column, *values])
    if results is None or results[0].shape != column.shape:
        return None
    return results[0].reshape(-1)


def _depthwise(place: _Place, reader: Row, operation: Apply, constants: Constants) -> _Place | None:
    """A convolution of every channel with its own kernels. Of zeros it makes its bias."""
    groups = attributes(operation.node).get("group", 1)
    channels, results = len(place.deltas), reader.shape[1]
    if groups != channels or results % channels or place.outside.any():
        return None
    each = results // channels
    outside = np.zeros(results, place.outside.dtype)
    if len(operation.inputs) > 2 and operation.inputs[2]:
        bias = constants.value(str(operation.inputs[2]))
        if bias is None:
            return None
        outside = bias.astype(place.outside.dtype)
    deltas = tuple(delta for delta in place.deltas for _ in range(each))
    return _Place(reader, deltas, outside, reader.row_bytes)


def _sorted(operations: dict[Row, Operation]) -> dict[Row, Operation]:
    """Every row behind those that it is made of."""
    done: dict[Row, Operation] = {}
    left = Counter(operations.keys())
    waiting = list(reversed(operations))
    while waiting:
        row = waiting.pop()
        if row in done:
            continue
        missing = [one for one in operands(operations[row]) if one not in done and left[one]]
        if missing:
            waiting.append(row)
            waiting.extend(missing)
        else:
            done[row] = operations[row]
    return done
