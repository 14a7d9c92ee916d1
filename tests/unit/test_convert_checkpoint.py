"""From whatever a training saved to the weights of one network."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from convert.checkpoint import Checkpoint, read_checkpoint
from convert.pdparams import NAME_TABLE_KEY
from models.errors import CheckpointError, FamilyError, UnsafePickle

Tensors = dict[str, NDArray[Any]]

WEIGHTS: Tensors = {
    "backbone.conv.weight": np.arange(12, dtype=np.float32).reshape(3, 4) / 8,
    "backbone.bn._mean": np.array([0.5, -1.0], np.float32),
    "head.fc.weight": np.eye(2, dtype=np.float32),
    "head.fc.bias": np.zeros(2, np.float32),
}
OPTIMIZER: dict[str, Any] = {
    "conv2d_0.w_0_velocity_0": np.ones((3, 4), np.float32),
    "linear_0.b_0_moment1_0": np.ones(2, np.float32),
    "linear_0.b_0_beta1_pow_acc_0": np.ones(1, np.float32),
    "linear_0.w_0_fp32_master_0": np.ones(2, np.float32),
    "master_weights": {"linear_0.w_0": np.ones(2, np.float32)},
    "LR_Scheduler": {"last_epoch": 3, "last_lr": 0.1},
}


def pairs(tensors: Mapping[str, NDArray[Any]]) -> dict[str, tuple[str, NDArray[Any]]]:
    """As `paddle.save` writes tensors inside anything but a flat dict."""
    return {name: (f"{name}_0", array) for name, array in tensors.items()}


def doubled(tensors: Mapping[str, NDArray[Any]]) -> Tensors:
    return {name: array * 2 for name, array in tensors.items()}


def prefixed(prefix: str, tensors: Mapping[str, NDArray[Any]]) -> Tensors:
    return {prefix + name: array for name, array in tensors.items()}


def numbered(tensors: Mapping[str, NDArray[Any]]) -> Tensors:
    return {
        name.replace("backbone.", "0.", 1).replace("head.", "1.", 1): array
        for name, array in tensors.items()
    }


def bare(tensors: Mapping[str, NDArray[Any]]) -> Tensors:
    return {name.removeprefix("backbone."): array for name, array in tensors.items()}


def read(folder: Path, content: object, part: str = "auto", name: str = "x.pdparams") -> Checkpoint:
    path = folder / name
    path.write_bytes(pickle.dumps(content, protocol=4))
    return read_checkpoint(path, part=part)


def assert_weights(found: Checkpoint, expected: Mapping[str, NDArray[Any]] = WEIGHTS) -> None:
    assert list(found.weights) == list(expected)
    for name, array in expected.items():
        assert found.weights[name].dtype == np.float32
        np.testing.assert_array_equal(found.weights[name], array)


DISTILLED = prefixed("Teacher.", numbered(doubled(WEIGHTS))) | prefixed(
    "Student.", numbered(WEIGHTS)
)
FORMS: dict[str, tuple[object, tuple[str, ...]]] = {
    "flat": (WEIGHTS, ()),
    "flat with a table": (WEIGHTS | {NAME_TABLE_KEY: {"head.fc.bias": "linear_0.b_0"}}, ()),
    "nested": ({"model": pairs(WEIGHTS), "optimizer": OPTIMIZER, "epoch": 3}, ()),
    "state_dict": ({"state_dict": WEIGHTS}, ()),
    "net": ({"net": WEIGHTS}, ()),
    "weights": ({"weights": WEIGHTS}, ()),
    "model_state_dict": ({"model_state_dict": WEIGHTS}, ()),
    "twice nested": ({"model": {"state_dict": pairs(WEIGHTS)}}, ()),
    "with ema": (
        {"ema": {"ema_state_dict": doubled(WEIGHTS), "decay": 0.99}, "model": WEIGHTS},
        ("model was taken; the checkpoint also holds ema (--part ema)",),
    ),
    "flat with ema": (
        WEIGHTS | {"model_ema": doubled(WEIGHTS)},
        ("model was taken; the checkpoint also holds ema (--part ema)",),
    ),
    "ema alone": ({"ema_state_dict": WEIGHTS}, ("ema was taken, the only network",)),
    "wrapped": (prefixed("module._layers.model.", WEIGHTS), ("'module._layers.model.'",)),
    "without backbone": (bare(WEIGHTS), ("lack 'backbone.'",)),
    "distilled": (
        DISTILLED,
        ("student was taken; the checkpoint also holds teacher (--part teacher)", "layers 0 and 1"),
    ),
    "distilled, in parallel": (prefixed("module.", DISTILLED), ("student was taken", "0 and 1")),
    "distilled, with more": (
        DISTILLED | {"loss.centres": np.ones(3), "epoch": 3} | OPTIMIZER,
        (
            "student was taken",
            "6 entries",
            "2 entries that are no weights: loss.centres",
            "0 and 1",
        ),
    ),
    "nested distilled": ({"model": DISTILLED, "epoch": 1}, ("student was taken", "0 and 1")),
    "student and teacher": (
        {"Teacher": doubled(WEIGHTS), "Student": WEIGHTS},
        ("student was taken",),
    ),
    "student alone": (numbered(WEIGHTS), ("layers 0 and 1",)),
    "with the optimizer's state": (
        WEIGHTS | OPTIMIZER,
        ("left out the optimizer's state, 6 entries",),
    ),
    "with counters": (
        WEIGHTS | {"backbone.bn.num_batches_tracked": np.array(7), "epoch": 3, "note": "best"},
        ("left out 3 entries that are no weights: backbone.bn.num_batches_tracked, epoch",),
    ),
    "with foreign entries": (
        WEIGHTS | {"labels": np.array(["a", "b"]), 7: None},
        ("left out 2 entries that are no weights: labels, 7",),
    ),
    "doubles": ({name: array.astype(np.float64) for name, array in WEIGHTS.items()}, ()),
    "big endian": ({name: array.astype(">f4") for name, array in WEIGHTS.items()}, ()),
    "halves": (
        {name: array.astype(np.float16) for name, array in WEIGHTS.items()},
        ("4 of 4 tensors are float16",),
    ),
    "bfloat16": (
        {
            name: (array.view(np.uint32) >> 16).astype(np.uint16) if "fc" in name else array
            for name, array in WEIGHTS.items()
        },
        ("2 of 4 tensors are bfloat16",),
    ),
}


@pytest.mark.parametrize("form", list(FORMS))
def test_every_form_gives_the_same_weights(tmp_path: Path, form: str) -> None:
    content, notes = FORMS[form]
    found = read(tmp_path, content)
    assert_weights(found)
    assert len(found.notes) == len(notes)
    for told, note in zip(found.notes, notes, strict=True):
        assert note in told
    assert found.renamed == (form == "without backbone")


@pytest.mark.parametrize(
    ("form", "part", "factor"),
    [
        ("flat", "model", 1),
        ("nested", "model", 1),
        ("with ema", "model", 1),
        ("with ema", "ema", 2),
        ("flat with ema", "ema", 2),
        ("ema alone", "ema", 1),
        ("distilled", "student", 1),
        ("distilled", "teacher", 2),
        ("distilled, in parallel", "teacher", 2),
        ("nested distilled", "teacher", 2),
        ("student and teacher", "teacher", 2),
    ],
)
def test_a_part_that_was_asked_for(tmp_path: Path, form: str, part: str, factor: int) -> None:
    found = read(tmp_path, FORMS[form][0], part)
    assert_weights(found, {name: array * factor for name, array in WEIGHTS.items()})
    assert not any("was taken" in note for note in found.notes)


@pytest.mark.parametrize(
    ("form", "part", "there"),
    [
        ("flat", "ema", "model"),
        ("with ema", "student", "model, ema"),
        ("ema alone", "model", "ema"),
        ("distilled", "model", "student, teacher"),
        ("student alone", "teacher", "model"),
    ],
)
def test_a_part_that_is_not_there(tmp_path: Path, form: str, part: str, there: str) -> None:
    with pytest.raises(CheckpointError, match=f"holds no part '{part}'; it holds: {there}") as got:
        read(tmp_path, FORMS[form][0], part)
    assert got.value.hint == f"--part {there.split(',')[0]}"


def test_an_ema_file_is_read_like_any_other(tmp_path: Path) -> None:
    assert_weights(read(tmp_path, WEIGHTS, name="best_model.pdema"))


def test_an_ema_of_a_distillation(tmp_path: Path) -> None:
    content = {"model": DISTILLED, "ema": {"model": DISTILLED}}
    with pytest.raises(CheckpointError, match="it holds: student, ema, teacher"):
        read(tmp_path, content, "model")
    assert_weights(read(tmp_path, content, "ema"))


def test_names_of_parameters(tmp_path: Path) -> None:
    named = read(tmp_path, {"model": pairs(bare(WEIGHTS))})
    assert named.parameter_names == {
        name: f"{name.removeprefix('backbone.')}_0" for name in WEIGHTS
    }
    table = {"head.fc.bias": "linear_0.b_0", "head.fc.weight": "eager_tmp_12"}
    assert read(tmp_path, WEIGHTS | {NAME_TABLE_KEY: table}).parameter_names == {
        "head.fc.bias": "linear_0.b_0"
    }


FC = {"head.fc.bias": WEIGHTS["head.fc.bias"]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], "holds a list of 2, not a dict"),
        (3, "holds a value of type int, not a dict"),
        (("name", np.ones(1)), r"holds a tensor \[1\] of float64, not a dict"),
        ({}, "no tensors that are weights .it is empty"),
        ({"w": "text"}, "no tensors that are weights .w: a value of type str"),
        ({"w": np.array(["a"])}, "w: an array of U1"),
        ({1: np.ones(1)}, "entry 1 is not named by text"),
        ({"generator": WEIGHTS, "epoch": 1}, "generator: a dict of 4, epoch: a value of type int"),
        (WEIGHTS | {"head.index": np.arange(4)}, r"whole numbers .*: head\.index \(int64\)"),
        (WEIGHTS | {"head.mask": np.ones(4, bool)}, r"whole numbers .*: head\.mask \(bool\)"),
        (WEIGHTS | {"head.none": np.zeros((1 << 40, 0))}, r"are empty: head\.none"),
        ({"a": np.array([1.0, -1e300])}, r"a holds 1e\+300, which float32 cannot"),
        ({"model": WEIGHTS, "state_dict": FC}, "model and state_dict both hold a network"),
        ({"model": WEIGHTS, "Model": FC}, "model and Model both hold a network"),
    ],
)
def test_what_is_refused(tmp_path: Path, content: object, message: str) -> None:
    with pytest.raises(CheckpointError, match=message) as caught:
        read(tmp_path, content)
    assert str(tmp_path / "x.pdparams") in caught.value.message


def test_a_network_under_an_unknown_name_says_how_to_get_it_out(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError) as caught:
        read(tmp_path, {"epoch": 1, "generator": WEIGHTS})
    assert "paddle.load(FILE)['generator']" in caught.value.hint


def test_infinite_doubles_stay_infinite(tmp_path: Path) -> None:
    """The values are judged where the network is known, not here."""
    found = read(tmp_path, {"backbone.a": np.array([np.inf, np.nan, 1.0])})
    np.testing.assert_array_equal(found.weights["backbone.a"], [np.inf, np.nan, 1.0])


def test_whole_numbers_of_a_known_network_are_named_by_it(tmp_path: Path) -> None:
    swin = {
        "backbone.patch_embed.proj.weight": np.ones(1, np.float32),
        "backbone.layers.0.blocks.0.attn.relative_position_bias_table": np.ones(1, np.float32),
        "backbone.layers.0.blocks.0.attn.relative_position_index": np.arange(4),
    }
    with pytest.raises(FamilyError, match="weights of a Swin Transformer"):
        read(tmp_path, swin)


@pytest.mark.parametrize("name", ["x.pdopt", "x.pdstates", "x.pdparams"])
@pytest.mark.parametrize("content", [OPTIMIZER, [OPTIMIZER, OPTIMIZER]], ids=["one", "list"])
def test_the_state_of_an_optimizer(tmp_path: Path, name: str, content: object) -> None:
    with pytest.raises(CheckpointError, match=r"holds the state of (an|the) .* only") as caught:
        read(tmp_path, content, name=name)
    assert ("x.pdparams" if name != "x.pdparams" else "saved with it") in caught.value.hint
    beside = tmp_path / "y.pdparams"
    beside.write_bytes(b"")
    with pytest.raises(CheckpointError) as caught:
        read(tmp_path, content, name="y.pdopt")
    assert caught.value.hint.endswith(f"edgecls convert {beside} -o BUNDLE")


def test_unsafe_files_stay_unsafe(tmp_path: Path) -> None:
    with pytest.raises(UnsafePickle, match="Nothing in it was executed"):
        read(tmp_path, {"model": WEIGHTS, "config": tmp_path})


WRAP: dict[str, Callable[[Tensors], object]] = {
    "flat": dict,
    "pairs": pairs,
    "model": lambda tensors: {"model": pairs(tensors), "optimizer": OPTIMIZER},
    "state_dict": lambda tensors: {"epoch": 1, "state_dict": tensors},
    "ema": lambda tensors: {"ema": pairs(tensors)},
    "module": lambda tensors: prefixed("module.", tensors),
    "student": lambda tensors: prefixed("Student.", tensors),
    "numbered": numbered,
    "bare": bare,
}
TYPES: dict[str, Callable[[NDArray[Any]], NDArray[Any]]] = {
    "float32": np.copy,
    "float64": lambda array: array.astype(np.float64),
    "float16": lambda array: array.astype(np.float16),
    "bfloat16": lambda array: (array.view(np.uint32) >> 16).astype(np.uint16),
    "fortran": np.asfortranarray,
}


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    values=st.lists(st.integers(-128, 128), min_size=12, max_size=12),
    inner=st.sampled_from(["flat", "numbered", "bare"]),
    prefix=st.sampled_from(["flat", "student", "module"]),
    outer=st.sampled_from(["flat", "pairs", "model", "state_dict", "ema"]),
    dtype=st.sampled_from(list(TYPES)),
    protocol=st.sampled_from([2, 3, 4]),
)
def test_any_combination_gives_the_same_weights(
    tmp_path: Path,
    values: list[int],
    inner: str,
    prefix: str,
    outer: str,
    dtype: str,
    protocol: int,
) -> None:
    """Whole numbers up to 128 are exact in every type."""
    first = np.array(values, np.float32).reshape(3, 4)
    tensors = {"backbone.a": first, "backbone.b.c": first[0], "head.d": first[1]}
    content: Any = {name: TYPES[dtype](array) for name, array in tensors.items()}
    for form in (inner, prefix, outer):
        content = WRAP[form](content)
    path = tmp_path / "x.pdparams"
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    assert_weights(read_checkpoint(path), tensors)
