"""Reading checkpoints without trusting them."""

from __future__ import annotations

import os
import pickle
import time
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from convert import pickled
from convert.pdparams import NAME_TABLE_KEY, SLICES_KEY, Tensor, read_pdparams
from convert.stand_ins import Foreign
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


def read_back(path: Path, content: object, protocol: int = 4) -> Any:
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    return read_pdparams(path)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("container", [dict, OrderedDict])
def test_arrays_survive(tmp_path: Path, protocol: int, container: type) -> None:
    read = read_back(tmp_path / "x.pdparams", container(ARRAYS), protocol)
    assert list(read) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert read[name].array.dtype == array.dtype
        np.testing.assert_array_equal(read[name].array, array)


def test_names_of_parameters_come_from_pairs_and_from_the_table(tmp_path: Path) -> None:
    values = np.ones(2, np.float32)
    content = {
        "pair": ("linear_0.w_0", values),
        "listed": values,
        "neither": values,
        NAME_TABLE_KEY: {"pair": "other", "listed": "linear_1.w_0", "absent": "x"},
    }
    read = read_back(tmp_path / "x.pdparams", content)
    assert {name: tensor.parameter for name, tensor in read.items()} == {
        "pair": "linear_0.w_0",
        "listed": "linear_1.w_0",
        "neither": None,
    }


@pytest.mark.parametrize("protocol", [2, 4])
def test_a_whole_training_checkpoint(tmp_path: Path, protocol: int) -> None:
    weights = {"w": ("linear_0.w_0", np.ones(2, np.float32))}
    content = {
        "model": OrderedDict(weights),
        "optimizer": {"LR_Scheduler": {"last_epoch": 3, "last_lr": 0.1}},
        "epoch": 3,
        "best": np.float32(0.5),
        "best_at": np.int64(7),
        "big": 1 << 70,
        "flags": [True, None, (1, "two", b"three"), -1.5],
        "seen": {1, 2},
        "labels": np.array(["walk", "run"]),
        "things": np.array([{}, []], dtype=object),
        7: "seven",
    }
    read = read_back(tmp_path / "x.pdparams", content, protocol)
    assert list(read) == list(content)
    assert read["model"]["w"].parameter == "linear_0.w_0"
    for name in ("optimizer", "epoch", "best", "best_at", "big", "flags", 7):
        assert read[name] == content[name]
    assert (type(read["best"]), type(read["best_at"])) == (float, int)
    assert read["seen"] == Foreign("a set")
    assert read["labels"] == Foreign("an array of U4")
    assert isinstance(read["things"], Foreign)


def sliced(**changes: object) -> dict[str, object]:
    """What `paddle.save` writes for tensors of more than 1 GiB and protocols 2 and 3."""
    return {
        "a": np.zeros(1, np.float32),
        NAME_TABLE_KEY: {"a": "a_0", "w": "w_0"},
        "w@@.0": np.arange(4, dtype=np.float32),
        "w@@.1": np.arange(4, 6, dtype=np.float32),
        SLICES_KEY: {"w": {"OriginShape": (3, 2), "slices": ["w@@.0", "w@@.1"], **changes}},
    }


def test_slices_of_big_tensors_are_put_together(tmp_path: Path) -> None:
    read = read_back(tmp_path / "x.pdparams", sliced(), 2)
    assert list(read) == ["a", "w"]
    np.testing.assert_array_equal(read["w"].array, np.arange(6).reshape(3, 2))
    assert read["w"].parameter == "w_0"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"slices": ["w@@.0"]}, "do not add up"),
        ({"slices": ["w@@.0", "w@@.2"]}, "are missing"),
        ({"slices": ["w@@.0", "w@@.0"]}, "are missing"),
        ({"slices": []}, "are missing"),
        ({"slices": 3}, "unknown way"),
        ({"OriginShape": 6}, "unknown way"),
    ],
)
def test_slices_that_do_not_fit(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        read_back(tmp_path / "x.pdparams", sliced(**changes))


def test_a_slice_table_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="is not a dict"):
        read_back(tmp_path / "x.pdparams", {SLICES_KEY: 3})
    with pytest.raises(CheckpointError, match="'a' are listed in an unknown way"):
        read_back(tmp_path / "x.pdparams", {**sliced(), SLICES_KEY: {"a": {"slices": []}}})


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


class Described:
    """Any class but arrays: a configuration, for example."""


def test_objects_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(
        UnsafePickle, match=r"it names tests\.unit\.\w+\.Described, which is no part"
    ):
        read_back(tmp_path / "x.pdparams", {"model": {"w": np.ones(1)}, "config": Described()})


@pytest.mark.parametrize(
    ("program", "message"),
    [
        # `ndarray((2**31 - 1, 2**31 - 1))` would reserve terabytes
        (b"cnumpy\nndarray\n(J\xff\xff\xff\x7fJ\xff\xff\xff\x7ftR.", "class of arrays itself"),
        (b"c__builtin__\nbytes\nJ\xff\xff\xff\x7f\x85R.", "bytes are built"),
        (b"cbuiltins\ntuple\n}\x85R.", "a tuple is built"),
        (b"ccollections\nOrderedDict\n]K\x01a\x85R.", "a dict is built"),
        (b"c_codecs\nencode\nX\x01\x00\x00\x00aX\x04\x00\x00\x00ut-8\x86R.", "bytes are encoded"),
        (b"cnumpy\ndtype\nK\x01\x85R.", "given as int"),
        (b"Pname\n.", "PERSID"),
        (b"S'text'\n.", "STRING"),
        (b"]K\x01\x85R.", "calls something that is not a name"),
        (b"]}b.", "sets the state of a list"),
        (b"cbuiltins\ntuple\n}b.", "sets the state of a _Name"),
        (b"}Pid\n.", "PERSID"),
        (b"\x8c\x02os\x8c\x06system\x93.", r"os\.system"),
        (b"K\x01K\x02\x93.", "not a name"),
        (b"\x82\x01.", "EXT1"),
        (b"(cos\nsystem\nX\x01\x00\x00\x00ao.", r"os\.system"),
        (b"(ios\nsystem\n.", "INST"),
        (b"cbuiltins\ntuple\n)\x81.", "NEWOBJ"),
    ],
)
def test_programs_that_do_more_than_data_needs(
    tmp_path: Path, program: bytes, message: str
) -> None:
    path = tmp_path / "evil.pdparams"
    path.write_bytes(b"\x80\x04" + program)
    with pytest.raises(UnsafePickle, match=message):
        read_pdparams(path)


def laughs(levels: int) -> list[Any]:
    nested: list[Any] = []
    for _ in range(levels):
        nested = [nested] * 10
    return nested


ONCE = np.ones(100_000, np.float32)
BOMBS = {
    "a list in a list, and so on": (b"]" + b"]" * 10_000 + b"a" * 10_000 + b".", "levels deep"),
    "a list that contains itself": (b"]\x94h\x00a.", "contains itself"),
    "a dict that contains itself": (b"}\x94X\x01\x00\x00\x00ah\x00s.", "contains itself"),
    "a deep tuple as a key": (b"})" + b"\x85" * 300_000 + b"K\x01s.", "a tuple as a key"),
    "ten to the twentieth lists": (pickle.dumps(laughs(20), 4), "entries"),
    "endless instructions": (b"N" * 2100 + b".", "instructions"),
    "one array ten thousand times": (
        pickle.dumps(dict.fromkeys(range(10000), ONCE), 4),
        "times larger",
    ),
    "one text encoded again and again": (
        b"X\x00\x00\x10\x00"
        + b"a" * (1 << 20)
        + b"\x940(c_codecs\nencode\n\x94X\x06\x00\x00\x00latin1\x940"
        + b"h\x01h\x00h\x02\x86R" * 200
        + b"t.",
        "unpacks to more than it holds",
    ),
    "a huge memo": (b"]r\xff\xff\xff\x7f.", "a list of 0"),
    "a huge length": (b"\x8e" + b"\xff" * 7 + b"\x0f.", "ends after"),
    "a line without an end": (b"c" + b"a" * 5000, "does not end"),
    "an array larger than its data": (
        pickle.dumps(np.ones(2, np.float32), 2).replace(b"K\x02\x85", b"J\xff\xff\xff\x7f\x85"),
        "holds 2 numbers",
    ),
}


@pytest.mark.parametrize("name", list(BOMBS))
def test_bombs_end_quickly(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    program, message = BOMBS[name]
    if name == "endless instructions":
        monkeypatch.setattr(pickled, "MAX_INSTRUCTIONS", 2000)
    if name == "ten to the twentieth lists":
        monkeypatch.setattr(pickled, "MAX_NODES", 50_000)
    path = tmp_path / "bomb.pdparams"
    path.write_bytes(program if program.startswith(b"\x80") else b"\x80\x04" + program)
    started = time.perf_counter()
    if name == "a huge memo":
        assert read_pdparams(path) == []
    else:
        with pytest.raises(CheckpointError, match=message):
            read_pdparams(path)
    assert time.perf_counter() - started < 5


@pytest.mark.parametrize("keep", [0, 1, 10, 200, -1])
def test_truncated(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "x.pdparams"
    path.write_bytes(pickle.dumps(ARRAYS, protocol=4)[:keep])
    with pytest.raises(CheckpointError, match="truncated or not a Paddle checkpoint"):
        read_pdparams(path)


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (b"PK\x03\x04rest", "a zip archive, as PyTorch"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a pointer of Git LFS"),
        (b"<!DOCTYPE html>", "a web page"),
        (b"\x1f\x8b\x08", "a gzip archive"),
        (b"nonsense", "no pickle"),
        (b"", "it is empty"),
    ],
)
def test_other_files_are_named(tmp_path: Path, head: bytes, message: str) -> None:
    path = tmp_path / "x.pdparams"
    path.write_bytes(head)
    with pytest.raises(CheckpointError, match=f"not a Paddle checkpoint: .*{message}"):
        read_pdparams(path)


def test_unreadable(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="No such file"):
        read_pdparams(tmp_path / "absent.pdparams")


def test_python_2_wrote_bytes_as_text(tmp_path: Path) -> None:
    """Paddle 1 and 2.0 ran on Python 2, whose arrays hold their values as `str`."""
    program = (
        b"\x80\x02}U\x01wcnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        b"(K\x01K\x01\x85cnumpy\ndtype\nU\x02f4K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff"
        b"\xff\xffK\x00tb\x89U\x04\x00\x00\x80\xbftbs."
    )
    path = tmp_path / "x.pdparams"
    path.write_bytes(program)
    read = read_pdparams(path)
    assert isinstance(read, dict)
    assert read["w"].array.tolist() == [-1.0]


WHOLE = {
    "model": OrderedDict((name, (f"{name}_0", array)) for name, array in ARRAYS.items()),
    "epoch": 3,
    "best": np.float64(0.5),
    "history": [(1, "a", None, True), {"x": b"y"}],
}


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_mutated_files_end_in_data_or_a_clean_error(tmp_path: Path, data: st.DataObject) -> None:
    protocol = data.draw(st.sampled_from([2, 4]))
    content = bytearray(pickle.dumps(data.draw(st.sampled_from([ARRAYS, WHOLE])), protocol))
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "x.pdparams"
    path.write_bytes(content)
    try:
        read = read_pdparams(path)
    except EdgeclsError:
        return
    assert_plain(read)


def assert_plain(value: object) -> None:
    """Nothing but data, tensors and what stands for everything else."""
    if isinstance(value, dict):
        for key, item in value.items():
            assert_plain(key)
            assert_plain(item)
    elif isinstance(value, list | tuple):
        for item in value:
            assert_plain(item)
    elif isinstance(value, Tensor):
        assert isinstance(value.array, np.ndarray)
        assert value.array.dtype.kind in "fiub"
    else:
        assert value is None or isinstance(value, str | int | float | bytes | Foreign)


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=20,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=PLAIN, protocol=st.sampled_from([2, 3, 4, 5]))
def test_plain_data_survives(tmp_path: Path, content: object, protocol: int) -> None:
    assert read_back(tmp_path / "x.pdparams", content, protocol) == content


@pytest.mark.parametrize("side", [8, 200])
def test_a_byte_that_is_lost_or_added_never_goes_unnoticed(tmp_path: Path, side: int) -> None:
    """In the middle of an array it shifts all values behind it; protocol 4 can tell by its frames.

    Arrays of more than 64 KiB stand outside of frames.
    """
    honest = {name: np.full((side, side), 1.5, np.float32) for name in ("a", "b", "c")}
    content = pickle.dumps(honest, protocol=4)
    path = tmp_path / "x.pdparams"
    for at in range(2, len(content), 1 + len(content) // 500):
        for damaged in (content[:at] + content[at + 1 :], content[:at] + b"?" + content[at:]):
            path.write_bytes(damaged)
            try:
                read: Any = read_pdparams(path)
            except CheckpointError:
                continue
            assert list(read) == list(honest)
            assert all((read[name].array == honest[name]).all() for name in honest), at


@pytest.mark.parametrize(
    "content",
    [
        b"\x80\x04\x95\xff\x00\x00\x00\x00\x00\x00\x00}.",
        b"\x80\x04\x95\x01\x00\x00\x00\x00\x00\x00\x00K\x05.",
        b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00\x95\x01\x00\x00\x00\x00\x00\x00\x00}.",
    ],
    ids=["too long", "ends inside an instruction", "inside another"],
)
def test_frames_that_lie(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.pdparams").write_bytes(content)
    with pytest.raises(CheckpointError, match="truncated or not a Paddle checkpoint"):
        read_pdparams(tmp_path / "x.pdparams")
