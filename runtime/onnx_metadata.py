"""Read the metadata of an ONNX file without an engine and without the `onnx` package.

An ONNX file is one protobuf message. Its key-value metadata are the entries of field 14 of that
message, each with a key (field 1) and a value (field 2); the graph, which is nearly the whole
file, is another field and is skipped.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from models.errors import BundleError

_METADATA_PROPS = 14
_MOST_FIELDS = 100_000
"""A model has a few dozen; a file of nothing but empty ones would keep us busy for minutes."""
_KEY = 1
_VALUE = 2

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def onnx_metadata(path: Path) -> dict[str, str]:
    """The key-value metadata of the model at `path`.

    Raises:
        BundleError: The file cannot be read, or is not a protobuf message.
    """
    try:
        content = memoryview(path.read_bytes())
        metadata: dict[str, str] = {}
        for field, entry in _fields(content):
            if field == _METADATA_PROPS:
                parts = {number: bytes(text).decode() for number, text in _fields(entry)}
                metadata[parts.get(_KEY, "")] = parts.get(_VALUE, "")
    except OSError as error:
        raise BundleError(f"{path} cannot be read: {error.strerror or error}.") from error
    except ValueError as error:
        raise BundleError(f"{path} is not an ONNX model: {error}.") from error
    return metadata


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Numbers and contents of the length-delimited fields of a message; others are skipped."""
    at = count = 0
    while at < len(message):
        count += 1
        if count > _MOST_FIELDS:
            raise ValueError(f"a message of more than {_MOST_FIELDS} fields")
        tag, at = _varint(message, at)
        kind = tag & 7
        if kind == _VARINT:
            _, at = _varint(message, at)
            continue
        if kind == _BYTES:
            length, at = _varint(message, at)
        elif kind in {_FIXED64, _FIXED32}:
            length = 8 if kind == _FIXED64 else 4
        else:
            raise ValueError(f"wire type {kind} at byte {at}")
        if at + length > len(message):
            raise ValueError(f"a field of {length} bytes at byte {at} runs past the end")
        if kind == _BYTES:
            yield tag >> 3, message[at : at + length]
        at += length


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """A variable-length integer and the position after it."""
    value = 0
    for position in range(at, min(at + 10, len(message))):
        byte = message[position]
        value |= (byte & 0x7F) << (7 * (position - at))
        if byte < 0x80:
            return value, position + 1
    raise ValueError(f"no integer at byte {at}")
