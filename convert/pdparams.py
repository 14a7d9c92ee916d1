"""Read a `.pdparams` without running anything that it contains.

A `.pdparams` is a pickle, and a pickle is a program. This reader resolves only the handful of
names that arrays are made of, and each of them to a stand-in of our own: nothing of numpy's
unpickling code, and no constructor, runs on the file's data. Any other name is refused before
it is looked up.
"""

from __future__ import annotations

import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import CheckpointError, UnsafePickle

Weights = dict[str, NDArray[Any]]

NAME_TABLE_KEY = "StructuredToParameterName@@"
"""Bookkeeping entry that `paddle.save` adds; not a tensor."""

_NUMERIC_KINDS = frozenset("fiub")


class _StoredType:
    """Stand-in for `numpy.dtype`."""

    def __init__(self, code: object = "", *_: object) -> None:
        if not isinstance(code, str):
            raise UnsafePickle(f"an array type is given as {type(code).__name__}, not by name")
        self.code = code
        self.byte_order = "="

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        if len(state) > 1 and state[1] in {"<", ">", "=", "|"}:
            self.byte_order = state[1]

    def resolve(self) -> np.dtype[Any]:
        dtype = np.dtype(self.code)
        if dtype.kind not in _NUMERIC_KINDS:
            raise CheckpointError(f"an array has the type {dtype}, not a number")
        order: Any = "<" if self.byte_order in "=|" else self.byte_order
        ordered: np.dtype[Any] = dtype.newbyteorder(order)
        return ordered


class _StoredArray:
    """Stand-in for `numpy.ndarray` while its state is being read."""

    def __init__(self) -> None:
        self.value: NDArray[Any] | None = None

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, fortran, data = state
        self.value = _array(data, dtype, shape, "F" if fortran else "C")


class _ArrayClass:
    """Stand-in for the class `numpy.ndarray`: may be named, may not be called."""


def _reconstruct(*_: object) -> _StoredArray:
    return _StoredArray()


def _from_buffer(data: object, dtype: object, shape: object, order: object) -> _StoredArray:
    stored = _StoredArray()
    stored.value = _array(data, dtype, shape, "F" if order == "F" else "C")
    return stored


def _scalar(dtype: object, data: object) -> _StoredArray:
    stored = _StoredArray()
    stored.value = _array(data, dtype, (), "C")
    return stored


def _latin1(text: object, encoding: object) -> bytes:
    if not isinstance(text, str) or encoding != "latin1":
        raise UnsafePickle("bytes are encoded in an unexpected way")
    return text.encode("latin1")


def _no_bytes(*content: object) -> bytes:
    """Protocol 2 writes empty bytes as a call without arguments; `bytes(10**12)` is an attack."""
    if content:
        raise UnsafePickle("bytes are built in an unexpected way")
    return b""


def _bytearray(content: object = b"") -> bytearray:
    if not isinstance(content, bytes):
        raise UnsafePickle("bytes are built in an unexpected way")
    return bytearray(content)


def _array(data: object, dtype: object, shape: object, order: str) -> NDArray[Any]:
    if isinstance(data, str):
        data = data.encode("latin1")
    if not isinstance(dtype, _StoredType) or not isinstance(data, bytes | bytearray):
        raise CheckpointError("an array is stored in an unknown way")
    if not isinstance(shape, tuple) or not all(isinstance(side, int) for side in shape):
        raise CheckpointError(f"an array has the shape {shape!r}")
    flat = np.frombuffer(data, dtype=dtype.resolve())
    if any(side < 0 for side in shape) or int(np.prod(shape, dtype=np.int64)) != flat.size:
        raise CheckpointError(f"an array of shape {shape} holds {flat.size} numbers")
    return flat.reshape(shape, order="F" if order == "F" else "C")


_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy", "dtype"): _StoredType,
    ("numpy", "ndarray"): _ArrayClass(),
    ("_codecs", "encode"): _latin1,
    ("builtins", "tuple"): tuple,
    ("builtins", "bytearray"): _bytearray,
    ("__builtin__", "bytes"): _no_bytes,
    ("collections", "OrderedDict"): OrderedDict,
}
for _core in ("numpy.core", "numpy._core"):
    _ALLOWED[_core + ".multiarray", "_reconstruct"] = _reconstruct
    _ALLOWED[_core + ".multiarray", "scalar"] = _scalar
    _ALLOWED[_core + ".numeric", "_frombuffer"] = _from_buffer


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise UnsafePickle(f"it names {module}.{name}, which is no part of an array") from None

    def persistent_load(self, pid: object) -> Any:
        raise UnsafePickle(f"it refers to an outside object {pid!r}")


def read_pdparams(path: Path) -> Weights:
    """Read the tensors of a checkpoint.

    Args:
        path: A `.pdparams` file: a pickled flat dict of arrays.

    Returns:
        Arrays by name, in the file's order; read-only views of the file's data.

    Raises:
        UnsafePickle: The pickle names something that is not part of an array.
        CheckpointError: The file is truncated, not a pickle, or not a dict of arrays.
    """
    fetch = "Fetch or export the checkpoint again."
    try:
        with path.open("rb") as file:
            content = _Unpickler(file).load()
        tensors = _tensors(content)
    except UnsafePickle as error:
        raise UnsafePickle(
            f"{path} was not loaded: {error}. Nothing in it was executed.",
            hint="Do not open this file with paddle.load or pickle.load unless you trust it.",
        ) from error
    except CheckpointError as error:
        raise CheckpointError(f"{path} cannot be used: {error}.", hint=fetch) from error
    except MemoryError as error:
        raise CheckpointError(f"{path} does not fit into memory.", hint=fetch) from error
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}.") from error
    except Exception as error:  # a broken pickle can raise almost anything
        size = path.stat().st_size
        raise CheckpointError(
            f"{path} ({size} bytes) is truncated or not a Paddle checkpoint:"
            f" {type(error).__name__}: {error}.",
            hint=fetch,
        ) from error
    return tensors


def _tensors(content: object) -> Weights:
    if not isinstance(content, dict):
        raise CheckpointError(f"it holds a {type(content).__name__}, not a dict of tensors")
    tensors: Weights = {}
    for name, value in content.items():
        if name == NAME_TABLE_KEY:
            continue
        if isinstance(value, tuple) and len(value) == 2:  # (name in the program, array)
            value = value[1]
        if not isinstance(name, str) or not isinstance(value, _StoredArray) or value.value is None:
            raise CheckpointError(f"its entry {name!r} is not a tensor")
        tensors[name] = value.value
    if not tensors:
        raise CheckpointError("it holds no tensors")
    return tensors
