"""Engines that compile ahead of time, in a process that can be ended."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from models.bundle import Bundle
from models.errors import BackendError, BundleError, OutputError, UsageError
from runtime.build import build, graphs_to_build
from runtime.build_worker import built
from runtime.engine_request import EngineRequest
from tests.tiny_models import write_tiny_bundle

KEPT = EngineRequest(backend="openvino", threads=1, settings={"openvino": {"cache": "on"}})


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bundle:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return write_tiny_bundle(tmp_path / "tiny")


def worker(code: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put another program in the place of the worker."""
    path = folder / "worker.py"
    path.write_text(code)
    real = subprocess.Popen
    monkeypatch.setattr(
        subprocess, "Popen", lambda _, **how: real([sys.executable, str(path)], **how)
    )


def test_only_what_a_start_would_open(bundle: Bundle) -> None:
    assert [one.precision for one in graphs_to_build(bundle, KEPT)] == ["fp32"]
    auto = replace(KEPT, precision="auto")
    assert [one.precision for one in graphs_to_build(bundle, auto)] == ["fp32"]
    with pytest.raises(UsageError, match="has no int8 graph"):
        graphs_to_build(bundle, replace(KEPT, precision="int8"))
    with pytest.raises(UsageError, match="needs the name of a backend"):
        graphs_to_build(bundle, EngineRequest())


def test_a_backend_that_does_not_work_here(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(BackendError, match="cannot be used here: openvino is not") as caught:
        built(bundle, bundle.card.variants[0], KEPT)
    assert "pip install" in caught.value.hint


def test_beats_and_the_last_line_of_a_worker_that_crashed(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = "import sys, time; time.sleep(0.5); sys.exit('terminate called: no memory')"
    worker(code, tmp_path, monkeypatch)
    beats: list[float] = []
    with pytest.raises(BackendError, match=r"with status 1 .*fp32 graph: terminate called: no"):
        build(bundle, bundle.card.variants[0], KEPT, beat=beats.append, every_s=0.1)
    assert len(beats) >= 2
    assert beats == sorted(beats)


def test_an_interruption_ends_the_worker(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid_file = tmp_path / "pid"
    code = (
        "import os, pathlib, time\n"
        f"pathlib.Path({str(pid_file)!r}).write_text(str(os.getpid()))\n"
        "time.sleep(60)\n"
    )
    worker(code, tmp_path, monkeypatch)

    def interrupt(time_s: float) -> None:
        if pid_file.exists() and pid_file.read_text():
            raise KeyboardInterrupt
        assert time_s < 20

    start_s = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        build(bundle, bundle.card.variants[0], KEPT, beat=interrupt, every_s=0.05)
    assert time.monotonic() - start_s < 30
    assert not psutil.pid_exists(int(pid_file.read_text()))


def test_what_cannot_be_kept_is_not_built(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr("runtime.build._in_child", lambda *_, **__: pytest.fail("it was begun"))
    with pytest.raises(OutputError, match="cannot be kept in"):
        build(bundle, bundle.card.variants[0], KEPT, beat=lambda _: None)


def test_an_altered_graph_is_refused(bundle: Bundle) -> None:
    path = bundle.model_path()
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(BundleError):
        build(bundle, bundle.card.variants[0], KEPT, beat=lambda _: None)


def test_nothing_is_left_of_the_probe_of_the_folder(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker('print(\'{"reason": "no", "hint": "", "is_usage": true}\')', tmp_path, monkeypatch)
    with pytest.raises(UsageError, match="no"):
        build(bundle, bundle.card.variants[0], KEPT, beat=lambda _: None)
    assert list((tmp_path / "cache" / "edgecls" / "engines").iterdir()) == []
