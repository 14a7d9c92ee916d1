"""What stands in for the few names that the arrays of a checkpoint are made of.

Nothing of numpy's unpickling code and no constructor runs on the file's data: each name has a
function here, which takes exactly the arguments that an honest file gives it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from models.errors import CheckpointError, UnsafePickle

_MOST_AXES = 32
_NUMBERS = re.compile(r"f[248]|[iu][1248]|b1")


@dataclass(frozen=True, slots=True)
class Foreign:
    """An entry that is neither plain data nor an array of numbers, e.g. "an array of <U3"."""

    what: str


@dataclass(slots=True)
class StoredType:
    """Stand-in for a `numpy.dtype`."""

    code: str
    byte_order: str = "="

    def set_state(self, state: object) -> None:
        """Take the byte order, the second of the values that numpy stores."""
        if isinstance(state, tuple) and len(state) > 1 and state[1] in ("<", ">", "=", "|"):
            self.byte_order = state[1]

    def resolve(self) -> np.dtype[Any] | None:
        """The type; None where it is not one of numbers."""
        if not _NUMBERS.fullmatch(self.code):
            return None
        order: Any = "<" if self.byte_order in "=|" else self.byte_order
        dtype: np.dtype[Any] = np.dtype(self.code).newbyteorder(order)
        return dtype


@dataclass(slots=True)
class StoredArray:
    """Stand-in for a `numpy.ndarray`, or for a number of numpy's own types."""

    value: NDArray[Any] | Foreign | None = None
    scalar: bool = False

    def set_state(self, state: object) -> None:
        """Take the values that numpy stores: version, shape, type, order and data."""
        if not isinstance(state, tuple) or len(state) != 5:
            raise CheckpointError("an array is stored in an unknown way")
        _, shape, dtype, fortran, data = state
        self.value = _values(data, dtype, shape, "F" if fortran else "C")


def _values(data: object, dtype: object, shape: object, order: str) -> NDArray[Any] | Foreign:
    if not isinstance(dtype, StoredType):
        raise CheckpointError("an array is stored in an unknown way")
    resolved = dtype.resolve()
    if resolved is None:
        return Foreign(f"an array of {dtype.code[:20]}")
    if isinstance(data, str):
        data = data.encode("latin1")
    if not isinstance(data, bytes):
        raise CheckpointError("an array is stored in an unknown way")
    if (
        not isinstance(shape, tuple)
        or len(shape) > _MOST_AXES
        or not all(isinstance(side, int) and side >= 0 for side in shape)
    ):
        raise CheckpointError("an array has an impossible shape")
    flat = np.frombuffer(data, dtype=resolved)
    if math.prod(shape) != flat.size:
        raise CheckpointError(f"an array of shape {shape} holds {flat.size} numbers")
    return flat.reshape(shape, order="F" if order == "F" else "C")


def _dtype(code: object = None, *_: object) -> StoredType:
    if not isinstance(code, str):
        raise UnsafePickle(f"an array type is given as {type(code).__name__}, not by name")
    return StoredType(code)


def _reconstruct(*_: object) -> StoredArray:
    return StoredArray()


def _from_buffer(data: object, dtype: object, shape: object, order: object) -> StoredArray:
    return StoredArray(_values(data, dtype, shape, "F" if order == "F" else "C"))


def _scalar(dtype: object, data: object = b"") -> StoredArray:
    return StoredArray(_values(data, dtype, (), "C"), scalar=True)


def _latin1(text: object, encoding: object) -> bytes:
    if not isinstance(text, str) or encoding != "latin1":
        raise UnsafePickle("bytes are encoded in an unexpected way")
    return text.encode("latin1")


def _bytes(content: object = b"") -> bytes:
    """Protocol 2 writes empty bytes as a call without arguments; `bytes(10**12)` is an attack."""
    if not isinstance(content, bytes):
        raise UnsafePickle("bytes are built in an unexpected way")
    return content


def _tuple(content: object = ()) -> tuple[Any, ...]:
    if not isinstance(content, tuple | list):
        raise UnsafePickle("a tuple is built in an unexpected way")
    return tuple(content)


def mapping(pairs: object = ()) -> dict[Any, Any]:
    """A dict of pairs, with keys that are safe to hash."""
    if not isinstance(pairs, tuple | list) or not all(
        isinstance(pair, tuple | list) and len(pair) == 2 for pair in pairs
    ):
        raise UnsafePickle("a dict is built in an unexpected way")
    return {_key(key): value for key, value in pairs}


def _key(key: object) -> object:
    """Keys must be hashable without descending: a deep tuple would overflow the C stack."""
    parts = key if isinstance(key, tuple) else (key,)
    if not all(part is None or isinstance(part, str | int | float | bytes) for part in parts):
        raise CheckpointError(f"a dict has a {type(key).__name__} as a key")
    return key


def _set(content: object = ()) -> Foreign:
    del content
    return Foreign("a set")


def _not_callable(*_: object) -> NoReturn:
    raise UnsafePickle("it calls the class of arrays itself")


STAND_INS: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy", "dtype"): _dtype,
    ("numpy", "ndarray"): _not_callable,
    ("_codecs", "encode"): _latin1,
    ("builtins", "tuple"): _tuple,
    ("__builtin__", "tuple"): _tuple,
    ("builtins", "bytearray"): _bytes,
    ("__builtin__", "bytearray"): _bytes,
    ("__builtin__", "bytes"): _bytes,
    ("builtins", "set"): _set,
    ("__builtin__", "set"): _set,
    ("collections", "OrderedDict"): mapping,
}
for _core in ("numpy.core", "numpy._core"):
    STAND_INS[_core + ".multiarray", "_reconstruct"] = _reconstruct
    STAND_INS[_core + ".multiarray", "scalar"] = _scalar
    STAND_INS[_core + ".numeric", "_frombuffer"] = _from_buffer
