"""Reading checkpoints without trusting them."""

from __future__ import annotations

import os
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from convert.pdparams import NAME_TABLE_KEY, read_pdparams
from models.errors import CheckpointError, EdgeclsError, UnsafePickle

ARRAYS: dict[str, np.ndarray[Any, Any]] = {
    "a.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    "b": np.array(3.5, dtype=np.float64),
    "c.half": np.ones((3, 2), np.float16),
    "d.count": np.array([1, -2], np.int64),
    "e.fortran": np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3)),
    "f.big_endian": np.arange(3, dtype=">f4"),
    "g.empty": np.zeros((0, 4), np.float32),
}


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("container", [dict, OrderedDict])
def test_arrays_survive(tmp_path: Path, protocol: int, container: type) -> None:
    path = tmp_path / "x.pdparams"
    path.write_bytes(pickle.dumps(container(ARRAYS), protocol=protocol))
    read = read_pdparams(path)
    assert list(read) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert read[name].dtype == array.dtype
        np.testing.assert_array_equal(read[name], array)


def test_bookkeeping_of_paddle_save_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "x.pdparams"
    content = {"w": ("linear_0.w_0", np.ones(2, np.float32)), NAME_TABLE_KEY: {"w": "linear_0.w_0"}}
    path.write_bytes(pickle.dumps(content, protocol=4))
    assert list(read_pdparams(path)) == ["w"]


class Exploit:
    """What an attacker would put in a checkpoint."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.marker}",)


class EvalExploit(Exploit):
    def __reduce__(self) -> tuple[Any, ...]:
        return eval, (f"open({str(self.marker)!r}, 'w')",)


class NumpyLoadExploit(Exploit):
    """Through a function of numpy itself: arrays of arbitrary size or files."""

    def __reduce__(self) -> tuple[Any, ...]:
        return np.save, (str(self.marker), [1])


@pytest.mark.parametrize("exploit", [Exploit, EvalExploit, NumpyLoadExploit])
@pytest.mark.parametrize("nested", [False, True])
def test_exploits_are_refused_and_not_executed(
    tmp_path: Path, exploit: type[Exploit], nested: bool
) -> None:
    marker = tmp_path / "owned"
    payload = exploit(marker)
    content: Any = {"w": np.ones(2, np.float32), "x": payload} if nested else payload
    path = tmp_path / "evil.pdparams"
    path.write_bytes(pickle.dumps(content, protocol=4))
    with pytest.raises(UnsafePickle, match="Nothing in it was executed") as caught:
        read_pdparams(path)
    assert caught.value.exit_code == 5
    assert not list(tmp_path.glob("owned*"))


def test_the_array_class_cannot_be_called(tmp_path: Path) -> None:
    """`ndarray((10**12,))` would reserve terabytes; the stand-in for the class is no callable."""
    path = tmp_path / "huge.pdparams"
    path.write_bytes(b"\x80\x04cnumpy\nndarray\n(J\xff\xff\xff\x7fJ\xff\xff\xff\x7ftR.")
    with pytest.raises(CheckpointError):
        read_pdparams(path)


@pytest.mark.parametrize("keep", [0, 1, 10, 200, -1])
def test_truncated(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "x.pdparams"
    path.write_bytes(pickle.dumps(ARRAYS, protocol=4)[:keep])
    with pytest.raises(CheckpointError, match="truncated or not a Paddle checkpoint"):
        read_pdparams(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], "a list, not a dict"),
        ({}, "no tensors"),
        ({"w": "text"}, "'w' is not a tensor"),
        ({1: np.ones(1)}, "1 is not a tensor"),
        ({"w": np.array(["a"])}, "not a number"),
        ({"w": {"nested": np.ones(1)}}, "'w' is not a tensor"),
    ],
)
def test_other_contents(tmp_path: Path, content: object, message: str) -> None:
    path = tmp_path / "x.pdparams"
    path.write_bytes(pickle.dumps(content, protocol=4))
    with pytest.raises(CheckpointError, match=message):
        read_pdparams(path)


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_mutated_files_end_in_arrays_or_a_clean_error(tmp_path: Path, data: st.DataObject) -> None:
    content = bytearray(pickle.dumps(ARRAYS, protocol=4))
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "x.pdparams"
    path.write_bytes(content)
    try:
        read = read_pdparams(path)
    except EdgeclsError:
        return
    assert all(isinstance(array, np.ndarray) for array in read.values())
