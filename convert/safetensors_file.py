"""Read a safetensors file: a JSON table of contents, then the values one after the other.

Format: 8 bytes with the length of the table (little endian), the table, the data. The table gives
each tensor its `dtype`, its `shape` and its `data_offsets` in the data.
"""

from __future__ import annotations

import json
import math
import struct
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from models.errors import CheckpointError

_LENGTH = struct.Struct("<Q")
_LONGEST_TABLE = 100 << 20
_METADATA = "__metadata__"
_TYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "BF16": "<u2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "i1",
    "U8": "u1",
    "BOOL": "b1",
}
"""Types by name; bfloat16 is read as uint16, as Paddle itself stores it in a pickle."""


def looks_like_safetensors(head: bytes, size: int) -> bool:
    """Whether a file that begins with `head` can only be a safetensors file.

    No pickle begins so: its first byte is an instruction, and none is followed by seven bytes of
    a plausible length and a brace.
    """
    if len(head) <= _LENGTH.size or head[_LENGTH.size : _LENGTH.size + 1] != b"{":
        return False
    (length,) = _LENGTH.unpack_from(head)
    return 2 <= int(length) <= min(_LONGEST_TABLE, size - _LENGTH.size)


def read_safetensors(file: IO[bytes], size: int) -> dict[str, NDArray[Any]]:
    """Read all tensors.

    Args:
        file: The file, at its beginning.
        size: Its length in bytes.

    Returns:
        Arrays by name, in the table's order: read-only views; bfloat16 as uint16.

    Raises:
        CheckpointError: The table does not fit the data, or a type is none of numbers.
        ValueError: The table is not JSON.
    """
    (length,) = _LENGTH.unpack(file.read(_LENGTH.size))
    table = json.loads(file.read(length))
    if not isinstance(table, dict):
        raise CheckpointError("its table of contents is not a dict")
    table.pop(_METADATA, None)
    data = file.read(size - _LENGTH.size - length)
    tensors = {name: _tensor(name, entry, data) for name, entry in table.items()}
    if sum(tensor.nbytes for tensor in tensors.values()) > len(data):
        raise CheckpointError("its tensors share their data")
    return tensors


def _tensor(name: str, entry: Any, data: bytes) -> NDArray[Any]:
    try:
        kind, shape, (begin, end) = str(entry["dtype"]), entry["shape"], entry["data_offsets"]
        sides = [int(side) for side in shape]
        begin, end = int(begin), int(end)
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"the tensor {name[:80]} is listed in an unknown way") from error
    if kind not in _TYPES:
        raise CheckpointError(f"the tensor {name[:80]} has the type {kind[:20]}")
    dtype = np.dtype(_TYPES[kind])
    expected = math.prod(sides) * dtype.itemsize
    if min(sides, default=0) < 0 or not 0 <= begin <= end <= len(data) or end - begin != expected:
        raise CheckpointError(f"the values of the tensor {name[:80]} do not fit its shape {sides}")
    return np.frombuffer(data, dtype, count=math.prod(sides), offset=begin).reshape(sides)
