"""Read a file of `paddle.save` without running anything that it contains.

What `paddle.save` of Paddle 3.3 writes, and older ones wrote:

* for a dict whose values are tensors, or dicts without tensors (`Layer.state_dict()`, an
  optimizer's without master weights): a pickled dict of arrays, with the name that Paddle gave
  each parameter in an extra entry, the name table. With protocol 2 or 3 an array of more than
  1 GiB is cut into slices, which another extra entry lists;
* for anything else, such as `{"model": ..., "optimizer": ..., "epoch": 3}`: a pickle in which each
  tensor is a pair of that name and an array; nothing is cut;
* with `safetensors=True`: a safetensors file, which has no such names.

A bfloat16 tensor comes as an array of uint16 in both kinds of pickle.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.pickled import load_plain
from convert.safetensors_file import looks_like_safetensors, read_safetensors
from models.errors import CheckpointError, UnsafePickle

Weights = dict[str, NDArray[Any]]

NAME_TABLE_KEY = "StructuredToParameterName@@"
SLICES_KEY = "UnpackBigParamInfor@@"

_DAMAGE = (EOFError, IndexError, KeyError, TypeError, ValueError, OverflowError, RecursionError)
_OTHER_FILES = {
    b"PK\x03\x04": "a zip archive, as PyTorch writes its checkpoints",
    b"version https://git-lfs": "a pointer of Git LFS, not the file itself (git lfs pull)",
    b"\x1f\x8b": "a gzip archive; unpack it",
    b"\x89HDF": "an HDF5 file",
    b"<": "a web page, not the file itself",
    b"": "no pickle, which would begin with the byte 0x80",
}
_PICKLE = b"\x80"
_HEAD = 32


@dataclass(frozen=True, slots=True, eq=False)
class Tensor:
    """A tensor of a checkpoint.

    Attributes:
        array: Its values, a read-only view of the file's data; uint16 means bfloat16.
        parameter: Name that Paddle gave the parameter; None where the file has lost it.
    """

    array: NDArray[Any]
    parameter: str | None = None


def read_pdparams(path: Path) -> object:
    """Read everything that a checkpoint holds.

    Args:
        path: A file of `paddle.save`.

    Returns:
        `Tensor`s in dicts, lists and tuples, beside plain data and `convert.stand_ins.Foreign`;
        dicts keep the file's order, without the two extra entries.

    Raises:
        UnsafePickle: The pickle names something that is not part of an array.
        CheckpointError: The file is truncated, no checkpoint, or exceeds the limits of
            `convert.pickled`.
    """
    fetch = "Fetch or export the checkpoint again."
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(_HEAD)
            file.seek(0)
            if looks_like_safetensors(head, size):
                arrays = read_safetensors(file, size)
                return {name: Tensor(array) for name, array in arrays.items()}
            _refuse_other_files(head)
            return _with_tensors(load_plain(file, size))
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
    except _DAMAGE as error:
        told = isinstance(error, EOFError | ValueError)
        why = str(error) if told else "its parts do not fit together"
        raise CheckpointError(
            f"{path} ({size} bytes) is truncated or not a Paddle checkpoint: {why}.",
            hint=fetch,
        ) from error


def _refuse_other_files(head: bytes) -> None:
    if not head.startswith(_PICKLE):
        what = next(what for mark, what in _OTHER_FILES.items() if head.startswith(mark))
        raise ValueError(f"it is {what if head else 'empty'}")


def _with_tensors(value: object) -> object:
    """Make `Tensor`s of arrays and of pairs of a name and an array, at every level."""
    if isinstance(value, np.ndarray):
        return Tensor(value)
    if isinstance(value, tuple) and len(value) == 2:
        name, array = value
        if isinstance(name, str) and isinstance(array, np.ndarray):
            return Tensor(array, name)
    if isinstance(value, tuple | list):
        return type(value)(_with_tensors(item) for item in value)
    if isinstance(value, dict):
        joined = _join_slices(value)
        names = joined.pop(NAME_TABLE_KEY, {})
        return {key: _named(_with_tensors(item), key, names) for key, item in joined.items()}
    return value


def _named(value: object, key: object, names: object) -> object:
    name = names.get(key) if isinstance(names, Mapping) else None
    if isinstance(value, Tensor) and value.parameter is None and isinstance(name, str):
        return Tensor(value.array, name)
    return value


def _join_slices(content: dict[Any, Any]) -> dict[Any, Any]:
    """Put together the arrays that were cut for old protocols; they come last.

    Raises:
        CheckpointError: The list of slices does not fit the slices.
    """
    joined = dict(content)
    table = joined.pop(SLICES_KEY, {})
    if not isinstance(table, dict):
        raise CheckpointError(f"its entry {SLICES_KEY} is not a dict")
    for name, entry in table.items():
        parts = entry.get("slices") if isinstance(entry, dict) else None
        shape = entry.get("OriginShape") if isinstance(entry, dict) else None
        if not isinstance(parts, list) or not isinstance(shape, tuple | list) or name in joined:
            raise CheckpointError(f"the slices of {name!r} are listed in an unknown way")
        slices = [joined.pop(part, None) for part in parts]
        arrays = [part for part in slices if isinstance(part, np.ndarray)]
        if len(arrays) < len(slices) or not arrays:
            raise CheckpointError(f"slices of {name!r} are missing")
        if sum(part.size for part in arrays) != math.prod(shape):
            raise CheckpointError(f"the slices of {name!r} do not add up to the shape {shape}")
        joined[name] = np.concatenate([part.ravel() for part in arrays]).reshape(shape)
    return joined
