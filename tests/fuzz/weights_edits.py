"""Damage to `.pdiparams` files and to safetensors files that is aimed at their headers.

A `.pdiparams` of Paddle is one record per tensor, little endian: uint32 version, uint64 number of
levels of detail (each with its own length), uint32 version, int32 length of a `TensorDesc`
message, the message (type as field 1, sides as field 2), the values. Source: `SerializeToStream`
in `paddle/fluid/framework/lod_tensor.cc`.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

from tests.fuzz.byte_edits import edit_bytes
from tests.fuzz.tree_edits import edit_tree, json_text

_SIZES = {0: 1, 1: 2, 2: 4, 3: 8, 4: 2, 5: 4, 6: 8, 20: 1, 21: 1, 22: 2}
"""Bytes of a value by number of its type in `framework.proto`."""

_FLOAT = 5


def edit_pdiparams(rng: Random, content: bytes, *, other: bytes) -> bytes:
    """A `.pdiparams` that is wrong in some way."""
    records = list(_records(content))
    if rng.random() < 0.4 or not records:
        return edit_bytes(rng, content, other=other)
    at = rng.randrange(len(records))
    records[at] = rng.choice(_EDITS)(rng, records[at])
    if rng.random() < 0.2:
        other_at = rng.randrange(len(records))
        records[at], records[other_at] = records[other_at], records[at]
    return b"".join(records)


def _records(content: bytes) -> Iterator[bytes]:
    at = 0
    while at + 20 <= len(content):
        length = struct.unpack_from("<i", content, at + 16)[0]
        kind, sides = _described(content[at + 20 : at + 20 + length])
        count = 1
        for side in sides:
            count *= side
        end = at + 20 + length + count * _SIZES.get(kind, 4)
        yield content[at:end]
        at = end


def _described(message: bytes) -> tuple[int, list[int]]:
    """Type and sides of a `TensorDesc`; all its fields are varints."""
    kind, sides, at = _FLOAT, [], 0
    while at < len(message):
        tag, at = _varint(message, at)
        value, at = _varint(message, at)
        if tag >> 3 == 1:
            kind = value
        else:
            sides.append(value)
    return kind, sides


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(message):
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            break
    return value, at


def _as_varint(value: int) -> bytes:
    value &= 2**64 - 1
    pieces = bytearray()
    while value > 0x7F:
        pieces.append(value & 0x7F | 0x80)
        value >>= 7
    pieces.append(value)
    return bytes(pieces)


def _with_description(record: bytes, kind: int, sides: list[int]) -> bytes:
    length = struct.unpack_from("<i", record, 16)[0]
    message = b"\x08" + _as_varint(kind)
    message += b"".join(b"\x10" + _as_varint(side) for side in sides)
    return record[:16] + struct.pack("<i", len(message)) + message + record[20 + length :]


def _sides(rng: Random, record: bytes) -> bytes:
    length = struct.unpack_from("<i", record, 16)[0]
    kind, sides = _described(record[20 : 20 + length])
    sides = rng.choice(
        (
            [*sides, 1],
            sides[1:],
            [],
            sides[::-1],
            [2**31, *sides],
            [2**62, 2**62],
            [-1, *sides[1:]],
            [0],
            [10**12],
            [1] * 100,
            [side + 1 for side in sides],
        )
    )
    return _with_description(record, kind, sides)


def _type(rng: Random, record: bytes) -> bytes:
    length = struct.unpack_from("<i", record, 16)[0]
    _, sides = _described(record[20 : 20 + length])
    return _with_description(record, rng.choice((0, 3, 4, 6, 7, 22, 23, 99, 2**31)), sides)


def _header(rng: Random, record: bytes) -> bytes:
    """One of the integers before the message."""
    at, form = rng.choice(((0, "<I"), (4, "<Q"), (12, "<I"), (16, "<i")))
    value = rng.choice((0, 1, 2, 1000, 2**31 - 1))
    if form == "<Q":
        value = rng.choice((1, 2**32, 2**60, 2**64 - 1))
    elif form == "<i" and rng.random() < 0.3:
        value = rng.choice((-1, -(2**31)))
    return record[:at] + struct.pack(form, value) + record[at + struct.calcsize(form) :]


def _values(rng: Random, record: bytes) -> bytes:
    """The last values become something that is hardly a weight."""
    odd = rng.choice((float("nan"), float("inf"), -float("inf"), 1e38, 1e-40, 0.0))
    count = rng.choice((1, 4))
    return record[: -4 * count] + struct.pack("<f", odd) * count


_EDITS: tuple[Callable[[Random, bytes], bytes], ...] = (
    *(_sides, _sides, _type, _header, _header, _values),
    lambda _, record: b"",
    lambda _, record: record * 2,
    lambda rng, record: record[: rng.randrange(1, len(record))],
)


def edit_safetensors(rng: Random, content: bytes, *, other: bytes) -> bytes:
    """A safetensors file that is wrong in some way."""
    if rng.random() < 0.4:
        return edit_bytes(rng, content, other=other)
    (length,) = struct.unpack_from("<Q", content)
    table: Any = json.loads(content[8 : 8 + length])
    if rng.random() < 0.3:
        entry = table[rng.choice(list(table))]
        entry["shape"], entry["data_offsets"] = rng.choice(
            (([2**40], [0, 2**42]), ([-1], [0, 4]), ([], [0, 4]), ([1] * 70, [0, 4]), ([0], [9, 9]))
        )
    else:
        table = edit_tree(rng, table)
    text = json_text(rng, table)
    said = len(text) if rng.random() < 0.85 else rng.choice((0, 1, 2**31, 2**63, 2**64 - 1))
    return struct.pack("<Q", said) + text + content[8 + length :]
