"""From the file of a checkpoint to the weights of one network, under canonical names."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.known_networks import known_network, what_to_do
from convert.pdparams import Tensor, Weights, read_pdparams
from convert.stand_ins import Foreign
from convert.tensor_names import DISTILLED, canonical, distilled_parts, unwrapped
from models.errors import CheckpointError, FamilyError

PART_KEYS = {
    "model": ("model", "state_dict", "net", "weights", "model_state_dict"),
    "student": ("student",),
    "ema": ("ema", "model_ema", "ema_model", "ema_state_dict", "state_dict_ema"),
    "teacher": ("teacher",),
}
"""Parts, the one that "auto" takes first, and the entries of a checkpoint that hold them."""

OPTIMIZER_SUFFIXES = (".pdopt", ".pdstates")

_ACCUMULATORS = re.compile(
    r"_(moment[12]?|moment2_max|velocity|beta[12]_pow(_acc)?|inf_norm|momentum|mean_square"
    r"|mean_grad|_avg_squared_(grad|update)|momentum_decay_pow|mu_product|rho|prevs"
    r"|learning_rates|fp32_master)_\d+$|\.[wb]_\d+_[dmy]_\d+$"
)
"""How the names of an optimizer's tensors end, for every optimizer of Paddle 3.3."""
_OPTIMIZER_KEYS = frozenset({"LR_Scheduler", "master_weights", "optimizer"})
_COUNTERS = frozenset({"num_batches_tracked", "epoch", "step", "global_step", "iter"})
_NO_NAME = re.compile(r"(eager_tmp|generated_tensor)_\d+")
"""Names of tensors that were made anew, for example by `astype`: they tell nothing."""
_DEEPEST = 4
_SHOWN = 5

Entries = Mapping[Any, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """The weights of one network.

    Attributes:
        weights: Arrays float32 by canonical name (`backbone.…`, `head.…`), in the file's order.
        parameter_names: Name that Paddle gave a parameter, by the name of the tensor; empty
            where the file has lost them.
        renamed: The names had no `backbone.`; it was added.
        notes: What was chosen, left out or renamed on the way, one sentence each.
    """

    weights: Weights
    parameter_names: Mapping[str, str]
    renamed: bool
    notes: tuple[str, ...]


def read_checkpoint(path: Path, *, part: str = "auto") -> Checkpoint:
    """Read the weights of one network.

    Args:
        path: A file of `paddle.save`: a dict of tensors, or a training checkpoint of several.
        part: Which network of the file, one of `convert.request.PARTS`. "auto" is the model's own
            weights and, of a distillation, the student.

    Raises:
        UnsafePickle: The file would run code; see `convert.pdparams`.
        FamilyError: It holds a network that is known and that is none of ours.
        CheckpointError: It holds no such part, or something that cannot be weights.
    """
    if path.suffix in OPTIMIZER_SUFFIXES:
        raise optimizer_only(path)
    content = read_pdparams(path)
    if _is_optimizer(content):
        raise optimizer_only(path)
    try:
        parts = _parts(_entries(content), 0)
        chosen = _choose(parts, part)
        tensors, notes = _tensors(parts[chosen])
        return _checkpoint(tensors, (*_about_parts(parts, chosen, part), *notes))
    except FamilyError:
        raise
    except CheckpointError as error:
        raise CheckpointError(f"{path} cannot be used: {error}.", hint=error.hint) from error


def optimizer_only(path: Path) -> CheckpointError:
    """The error for a file of the optimizer's or the training's state; names the weights."""
    weights = path.with_suffix(".pdparams")
    if weights == path:
        hint = "Convert the .pdparams that the training saved with it."
    elif weights.is_file():
        hint = f"Convert the weights beside it: edgecls convert {weights} -o BUNDLE"
    else:
        hint = f"Convert {weights.name}, which the training saved with it."
    what = "the training" if path.suffix == ".pdstates" else "an optimizer"
    return CheckpointError(
        f"{path} holds the state of {what} only, no weights of a network.", hint=hint
    )


def _entries(content: object) -> Entries:
    if not isinstance(content, dict):
        raise CheckpointError(f"it holds {_kind(content)}, not a dict of tensors")
    return content


def _parts(content: Entries, depth: int) -> dict[str, Entries]:
    """The networks of a checkpoint by part, in the order in which "auto" takes them."""
    if depth >= _DEEPEST:
        return {"model": content}
    inner = {part: _nested(content, keys) for part, keys in PART_KEYS.items()}
    parts: dict[str, Entries] = {}
    for part, entry in inner.items():
        if entry is None:
            continue
        nested = _parts(entry, depth + 1)
        if part == "model":  # may itself be a distillation
            parts.update(nested)
        else:
            parts[part] = nested[next(iter(nested))]
    if inner["model"] is None:
        taken = [entry for entry in inner.values() if entry is not None]
        own = {
            key: value
            for key, value in content.items()
            if not any(value is entry for entry in taken)
        }
        if not parts or _weights_in(own):
            parts = {**_distilled(own), **parts}
    return {part: parts[part] for part in PART_KEYS if part in parts}


def _nested(content: Entries, keys: tuple[str, ...]) -> Entries | None:
    found = {
        key: value
        for key, value in content.items()
        if isinstance(key, str) and key.lower() in keys and _holds_tensors(value, 0)
    }
    if len(found) > 1:
        raise CheckpointError(
            f"its entries {' and '.join(found)} both hold a network, and nothing tells which is"
            " meant"
        )
    return next(iter(found.values()), None)


def _distilled(entries: Entries) -> dict[str, Entries]:
    """Take the networks of a distillation apart, whose names begin with their part."""
    keys = [key for key in entries if isinstance(key, str)]
    weights = [key for key in keys if isinstance(entries[key], Tensor) and not _left_out(key)]
    names = dict(zip(weights, unwrapped(weights), strict=True))
    found = distilled_parts(names.values())
    if not found:
        return {"model": entries}
    parts: dict[str, Entries] = {}
    for part in found:
        prefix = DISTILLED[part]
        own = {
            name.removeprefix(prefix): entries[key]
            for key, name in names.items()
            if name.startswith(prefix)
        }
        parts[part] = {**own, **_of_neither(entries, names)}
    return parts


def _of_neither(entries: Entries, names: Mapping[Any, str]) -> Entries:
    """What a distillation holds beside its networks: no weights, whatever it is."""
    networks = tuple(DISTILLED.values())
    return {
        key: Foreign("a tensor of neither network") if key in names else value
        for key, value in entries.items()
        if not names.get(key, "").startswith(networks)
    }


def _choose(parts: Mapping[str, Entries], asked: str) -> str:
    if asked == "auto":
        return next(iter(parts))
    if asked not in parts:
        raise CheckpointError(
            f"it holds no part '{asked}'; it holds: {', '.join(parts)}",
            hint=f"--part {next(iter(parts))}",
        )
    return asked


def _about_parts(parts: Mapping[str, Entries], chosen: str, asked: str) -> tuple[str, ...]:
    if asked != "auto" or (chosen == "model" and len(parts) == 1):
        return ()
    others = [f"{part} (--part {part})" for part in parts if part != chosen]
    if not others:
        return (f"{chosen} was taken, the only network in the checkpoint",)
    return (f"{chosen} was taken; the checkpoint also holds {' and '.join(others)}",)


def _tensors(entries: Entries) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """The tensors that are weights, and a note about the entries that are not."""
    weights: dict[str, Tensor] = {}
    others: list[str] = []
    optimizer = 0
    for key, value in entries.items():
        if _left_out(key):
            optimizer += 1
        elif isinstance(value, Tensor) and not _is_counter(key, value):
            if not isinstance(key, str):
                raise CheckpointError(f"its entry {key!r} is not named by text")
            weights[key] = value
        else:
            others.append(str(key))
    if not weights:
        listed = ", ".join(f"{key}: {_kind(value)}" for key, value in entries.items())
        nested = [key for key, value in entries.items() if _holds_tensors(value, 0)]
        raise CheckpointError(
            f"it holds no tensors that are weights ({listed[:300] or 'it is empty'})",
            hint=f"Save the network alone: paddle.save(paddle.load(FILE)[{nested[0]!r}], ...)"
            if nested
            else "",
        )
    notes = []
    if optimizer:
        notes.append(f"left out the optimizer's state, {_counted(optimizer)}")
    if others:
        notes.append(f"left out {_counted(len(others))} that are no weights: {_list(others)}")
    return weights, tuple(notes)


def _checkpoint(tensors: Mapping[str, Tensor], notes: tuple[str, ...]) -> Checkpoint:
    renamed = canonical(list(tensors))
    names = dict(zip(tensors, renamed.names, strict=True))
    empty = [name for name, one in tensors.items() if one.array.size == 0]
    if empty:
        raise CheckpointError(f"tensors are empty: {_list(empty)}")
    strange = [name for name, one in tensors.items() if not _may_be_weights(one.array)]
    if strange:
        known = known_network(renamed.names)
        if known is not None:
            raise FamilyError(
                f"The checkpoint holds weights of {known}, which is none of the families.",
                hint=what_to_do(known),
            )
        types = [f"{name} ({tensors[name].array.dtype})" for name in strange]
        raise CheckpointError(f"tensors of whole numbers cannot be weights: {_list(types)}")
    weights = {names[old]: _float32(old, one.array) for old, one in tensors.items()}
    return Checkpoint(
        weights=weights,
        parameter_names={
            names[old]: one.parameter
            for old, one in tensors.items()
            if one.parameter is not None and not _NO_NAME.fullmatch(one.parameter)
        },
        renamed=renamed.bare,
        notes=(*notes, *renamed.notes, *_about_types(tensors)),
    )


def _about_types(tensors: Mapping[str, Tensor]) -> tuple[str, ...]:
    kinds = Counter(
        "bfloat16" if one.array.dtype == np.uint16 else one.array.dtype.name
        for one in tensors.values()
    )
    return tuple(
        f"{kinds[half]} of {len(tensors)} tensors are {half}, and were widened to float32"
        for half in ("float16", "bfloat16")
        if kinds[half]
    )


def _may_be_weights(array: NDArray[Any]) -> bool:
    return array.dtype.kind == "f" or array.dtype == np.uint16


def _float32(name: str, array: NDArray[Any]) -> NDArray[np.float32]:
    """Values as float32; uint16 holds the upper half of a float32's bits."""
    if array.dtype == np.uint16:
        bits: NDArray[np.uint32] = np.left_shift(array, 16, dtype=np.uint32)
        return bits.reshape(array.shape).view(np.float32)
    if array.dtype.itemsize > 4:
        finite = array[np.isfinite(array)]
        largest = float(np.abs(finite).max(initial=0))
        if largest > float(np.finfo(np.float32).max):
            raise CheckpointError(f"{name} holds {largest:g}, which float32 cannot")
    return array.astype(np.float32, copy=False)


def _left_out(key: object) -> bool:
    return isinstance(key, str) and (
        key in _OPTIMIZER_KEYS or _ACCUMULATORS.search(key) is not None
    )


def _is_counter(key: object, tensor: Tensor) -> bool:
    return tensor.array.size == 1 and str(key).rpartition(".")[2] in _COUNTERS


def _is_optimizer(content: object) -> bool:
    """Whether a value is the state of one or several optimizers."""
    if isinstance(content, list | tuple):
        return len(content) > 0 and all(_is_optimizer(one) for one in content)
    return isinstance(content, dict) and len(content) > 0 and all(map(_left_out, content))


def _weights_in(entries: Entries) -> bool:
    return any(
        isinstance(value, Tensor) and not _left_out(key) and not _is_counter(key, value)
        for key, value in entries.items()
    )


def _holds_tensors(value: object, depth: int) -> bool:
    return (
        isinstance(value, dict)
        and depth < _DEEPEST
        and any(
            isinstance(item, Tensor) or _holds_tensors(item, depth + 1) for item in value.values()
        )
    )


def _kind(value: object) -> str:
    if isinstance(value, Tensor):
        return f"a tensor {list(value.array.shape)} of {value.array.dtype}"
    if isinstance(value, Foreign):
        return value.what
    if isinstance(value, dict | list | tuple):
        return f"a {type(value).__name__} of {len(value)}"
    return f"a value of type {type(value).__name__}"


def _counted(entries: int) -> str:
    return "1 entry" if entries == 1 else f"{entries} entries"


def _list(items: Sequence[str]) -> str:
    more = f" and {len(items) - _SHOWN} more" if len(items) > _SHOWN else ""
    return ", ".join(items[:_SHOWN]) + more
