"""Damage to any protobuf message, field by field: ONNX graphs and Paddle 2 programs alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random
from typing import Any

_INTEGERS = (0, 1, -1, 2, 3, 7, 8, 16, 127, 255, 1000, 2**31 - 1, -(2**31), 2**62, -(2**63))
_FLOATS = (0.0, -1.0, 1e-30, 1e30, float("nan"), float("inf"))
_STRINGS = ("", "x", "input", "Conv", "Loop", "../../x", "a" * 3000, "\u202e", "\x00", "%n", "N")
_BYTES = (b"", b"\x00", b"\xff" * 7, b"zeros", b"SAME_UPPER", b"../../x", b"\x00" * 4096)
_FAILED = (ValueError, TypeError, OverflowError, RecursionError)
"""What protobuf raises for a value that a field cannot take; that edit is then left out."""

Field = tuple[Any, Any]
"""A message, and the descriptor of one of its fields."""


def edit_message(rng: Random, message: Any) -> None:
    """Damage a message in one to three places, in place."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        fields = list(_fields(message))
        if not fields:
            return
        # By kind of message first: else the many nodes would take all the damage.
        kinds = sorted({holder.DESCRIPTOR.name for holder, _ in fields})
        kind = rng.choice(kinds)
        holder, field = rng.choice([one for one in fields if one[0].DESCRIPTOR.name == kind])
        try:
            rng.choice(_EDITS)(rng, holder, field)
        except _FAILED:
            holder.ClearField(field.name)


def _fields(message: Any) -> Iterator[Field]:
    for field, value in message.ListFields():
        yield message, field
        if field.type == field.TYPE_MESSAGE:
            for inner in value if _is_list(message, field) else (value,):
                yield from _fields(inner)


def _is_list(holder: Any, field: Any) -> bool:
    return not hasattr(getattr(holder, field.name), "ListFields") and hasattr(
        getattr(holder, field.name), "append"
    )


def _odd_value(rng: Random, field: Any) -> Any:
    if field.type == field.TYPE_STRING:
        return rng.choice(_STRINGS)
    if field.type == field.TYPE_BYTES:
        return rng.choice(_BYTES)
    if field.type in (field.TYPE_FLOAT, field.TYPE_DOUBLE):
        return rng.choice(_FLOATS)
    if field.type == field.TYPE_BOOL:
        return rng.random() < 0.5
    if field.type == field.TYPE_ENUM:
        return rng.choice([value.number for value in field.enum_type.values])
    return rng.choice(_INTEGERS)


def _set(rng: Random, holder: Any, field: Any) -> None:
    """Another value; of a list, in one of its places; of a message, an empty one."""
    if field.type == field.TYPE_MESSAGE:
        _exchange(rng, holder, field)
    elif _is_list(holder, field):
        values = getattr(holder, field.name)
        values[rng.randrange(len(values))] = _odd_value(rng, field)
    else:
        setattr(holder, field.name, _odd_value(rng, field))


def _nudge(rng: Random, holder: Any, field: Any) -> None:
    """A number or a text that is nearly the same."""
    if field.type == field.TYPE_MESSAGE:
        _drop(rng, holder, field)
        return
    listed = _is_list(holder, field)
    values = getattr(holder, field.name)
    at = rng.randrange(len(values)) if listed else 0
    value = values[at] if listed else values
    if isinstance(value, str):
        value = rng.choice((value + "x", value[:-1], value.upper()))
    elif isinstance(value, bytes):
        cut = rng.randrange(len(value) + 1)
        value = rng.choice((value[:cut], value + b"\x00", value[:cut] + b"\xff" + value[cut + 1 :]))
    else:
        value = type(value)(rng.choice((value + 1, value - 1, -value, value * 2)))
    if listed:
        values[at] = value
    else:
        setattr(holder, field.name, value)


def _clear(rng: Random, holder: Any, field: Any) -> None:
    holder.ClearField(field.name)


def _drop(rng: Random, holder: Any, field: Any) -> None:
    """One entry of a list less."""
    if _is_list(holder, field):
        values = getattr(holder, field.name)
        del values[rng.randrange(len(values))]
    else:
        holder.ClearField(field.name)


def _repeat(rng: Random, holder: Any, field: Any) -> None:
    """One entry of a list many times."""
    if not _is_list(holder, field):
        _set(rng, holder, field)
        return
    values = getattr(holder, field.name)
    entry = values[rng.randrange(len(values))]
    values.extend([entry] * rng.choice((1, 2, 60)))


def _exchange(rng: Random, holder: Any, field: Any) -> None:
    """Two entries change places, or one takes the place of another."""
    if not _is_list(holder, field):
        holder.ClearField(field.name)
        return
    values = getattr(holder, field.name)
    first, second = rng.randrange(len(values)), rng.randrange(len(values))
    if field.type != field.TYPE_MESSAGE:
        values[first], values[second] = values[second], values[first]
        return
    copy = type(values[first])()
    copy.CopyFrom(values[first])
    values[first].CopyFrom(values[second])
    if rng.random() < 0.6:
        values[second].CopyFrom(copy)


_EDITS: tuple[Callable[[Random, Any, Any], None], ...] = (
    *(_set, _set, _set, _nudge, _nudge, _clear, _drop, _drop, _repeat, _exchange),
)
