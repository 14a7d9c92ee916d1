"""`edgecls cache list` and `clear`."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from runtime.choice_cache import Outcome
from runtime.engine_cache import EngineCache, EngineKey, default_folder
from runtime.machine import remembered_races
from tests.cli.in_process import Done, called

ENGINE = EngineKey(
    backend="tensorrt",
    engine="onnxruntime 1.23.2, TensorRT 10.3.0",
    device="Orin, driver 540.4.0",
    model_sha256="ab" * 32,
    shape="1x8x3x224x224",
    settings={"fp16": "1"},
    model="pptsm\x1b[2Jv2",
)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return default_folder()


def edgecls(*words: str, monkeypatch: pytest.MonkeyPatch) -> Done:
    return called("cache", *words, monkeypatch=monkeypatch, columns=100)


def filled() -> None:
    with EngineCache().entry(ENGINE) as path:
        (path / "model.engine").write_bytes(bytes(1_500_000))
    about = EngineCache().folder / ENGINE.digest / "entry.json"
    two_hours_ago_s = time.time() - 7300
    os.utime(about, (two_hours_ago_s, two_hours_ago_s))


def test_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = edgecls("list", monkeypatch=monkeypatch)
    races = folder.parent / "backend-choices.json"
    assert done.code == 0
    assert done.out.splitlines() == [
        f"no entries, 0 bytes of 2.1 GB at most, in {folder}",
        f"no races remembered, in {races}",
    ]
    done = edgecls("clear", monkeypatch=monkeypatch)
    assert done.out == "no entries removed, 0 bytes; no races forgotten\n"
    assert (done.code, done.err) == (0, "")


def test_races(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    won = Outcome(backend="cpu", file="model.onnx", speedup=None, failed=())
    for key in ("one model", "another"):
        remembered_races().put(key, won)
    done = edgecls("list", monkeypatch=monkeypatch)
    assert done.out.splitlines()[-1].startswith("2 races remembered, in ")
    assert json.loads(edgecls("list", "--json", monkeypatch=monkeypatch).out)["races"] == 2
    done = edgecls("clear", monkeypatch=monkeypatch)
    assert done.out == "no entries removed, 0 bytes; 2 races forgotten\n"
    assert remembered_races().get("one model") is None


def test_an_entry(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled()
    done = edgecls("list", monkeypatch=monkeypatch)
    assert done.code == 0
    engine, entry, summary, _ = done.out.splitlines()
    assert engine == "tensorrt: Orin, driver 540.4.0"
    assert entry.split()[-6:] == ["1x8x3x224x224", "1.5", "MB", "2", "h", "ago"]
    assert "\x1b" not in done.out
    assert summary == f"1 entry, 1.5 MB of 2.1 GB at most, in {folder}"

    done = edgecls("list", "--json", monkeypatch=monkeypatch)
    listed = json.loads(done.out)
    assert (listed["size_bytes"], listed["folder"]) == (1_500_000, str(folder))
    (facts,) = listed["entries"]
    assert facts["settings"] == {"fp16": "1"}
    assert Path(facts["path"]) == folder / ENGINE.digest

    done = edgecls("clear", monkeypatch=monkeypatch)
    assert (done.code, done.out) == (0, "1 entry removed, 1.5 MB; no races forgotten\n")
    assert list(folder.iterdir()) == []


def test_what_is_in_use_stays(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("fcntl")
    filled()
    with EngineCache().entry(ENGINE):
        done = edgecls("clear", monkeypatch=monkeypatch)
    assert (done.code, done.out) == (0, "no entries removed, 0 bytes; no races forgotten\n")
    assert done.err == "note: 1 entry in use or not yours to remove\n"
    assert len(list(folder.iterdir())) == 1


@pytest.mark.parametrize("words", [(), ("list",), ("clear",)])
def test_help(words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    done = edgecls(*words, "--help", monkeypatch=monkeypatch)
    assert done.code == 0
    assert all(len(line) <= 100 for line in done.out.splitlines())
