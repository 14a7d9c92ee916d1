"""Reading safetensors files, whole and damaged."""

from __future__ import annotations

import io
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convert.checkpoint import read_checkpoint
from convert.pdparams import read_pdparams
from convert.safetensors_file import looks_like_safetensors, read_safetensors
from models.errors import CheckpointError

VALUES = np.arange(6, dtype="<f4").tobytes()
ENTRY = {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}


def packed(table: object, data: bytes = VALUES) -> bytes:
    text = json.dumps(table).encode()
    return struct.pack("<Q", len(text)) + text + data


def unpacked(content: bytes) -> dict[str, Any]:
    assert looks_like_safetensors(content[:32], len(content))
    return read_safetensors(io.BytesIO(content), len(content))


def test_arrays_and_metadata() -> None:
    read = unpacked(packed({"__metadata__": {"format": "pt"}, "w": ENTRY}))
    assert list(read) == ["w"]
    np.testing.assert_array_equal(read["w"], np.arange(6).reshape(2, 3))


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [("F64", "f8"), ("F16", "f2"), ("BF16", "u2"), ("I64", "i8"), ("U8", "u1"), ("BOOL", "?")],
)
def test_types(kind: str, dtype: str) -> None:
    size = np.dtype(dtype).itemsize
    table = {"w": {"dtype": kind, "shape": [], "data_offsets": [0, size]}}
    read = unpacked(packed(table, bytes(size)))
    assert (read["w"].dtype, read["w"].shape) == (np.dtype(dtype), ())


def test_an_empty_tensor() -> None:
    table = {"w": {"dtype": "F32", "shape": [0, 4], "data_offsets": [0, 0]}}
    assert unpacked(packed(table, b""))["w"].shape == (0, 4)


def test_as_a_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "x.pdparams"
    path.write_bytes(packed({"module.backbone.w": ENTRY}))
    found = read_checkpoint(path)
    assert list(found.weights) == ["backbone.w"]
    assert found.parameter_names == {}


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"w": {**ENTRY, "shape": [2, 4]}}, "do not fit its shape"),
        ({"w": {**ENTRY, "shape": [-2, -3]}}, "do not fit its shape"),
        ({"w": {**ENTRY, "data_offsets": [4, 28]}}, "do not fit its shape"),
        ({"w": {**ENTRY, "data_offsets": [24, 0]}}, "do not fit its shape"),
        ({"w": {**ENTRY, "data_offsets": [0]}}, "unknown way"),
        ({"w": {**ENTRY, "shape": "x"}}, "unknown way"),
        ({"w": {**ENTRY, "dtype": "F8_E4M3"}}, "has the type F8_E4M3"),
        ({"w": {**ENTRY, "dtype": ["F32"]}}, "has the type"),
        ({"w": 3}, "unknown way"),
        ({"v": ENTRY, "w": ENTRY}, "share their data"),
    ],
)
def test_tables_that_do_not_fit(tmp_path: Path, table: object, message: str) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(packed(table))
    with pytest.raises(CheckpointError, match=message):
        read_pdparams(path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        struct.pack("<Q", 90) + b"{}",
        struct.pack("<Q", 1 << 60) + b"{}" * 9,
        b"\x80\x04}.",
    ],
)
def test_other_files_do_not_look_like_one(content: bytes) -> None:
    assert not looks_like_safetensors(content[:32], len(content))


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_mutated_files_end_in_arrays_or_a_clean_error(data: st.DataObject) -> None:
    content = bytearray(packed({"w": ENTRY, "deep": [[[[1]]]]}))
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(8, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        read = read_safetensors(io.BytesIO(bytes(content)), len(content))
    except (CheckpointError, ValueError):
        return
    assert all(isinstance(array, np.ndarray) for array in read.values())
