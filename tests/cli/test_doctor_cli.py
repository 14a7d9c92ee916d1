"""`edgecls doctor` in real virtual environments, and how it tells what it finds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from models.errors import BrokenInstallation
from runtime.doctor import diagnosis
from runtime.doctor.diagnosis import Diagnosis, Section
from runtime.doctor.finding import Finding
from tests.cli.in_process import Done, called
from tests.environments import Environment, made_environment

BROKEN = BrokenInstallation.exit_code
NAME = "marianne-k"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / NAME
    folder.mkdir()
    return folder


def examined(made: Environment, home: Path, *words: str, code: int) -> dict[str, Finding]:
    """The findings by name."""
    done = made.edgecls("doctor", "--json", *words, home=home)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert NAME not in done.stdout + done.stderr
    value = json.loads(done.stdout)
    found = [Finding(**one) for section in value["sections"] for one in section["findings"]]
    assert len({one.name for one in found}) == len(found), "a name stands for one finding"
    assert value["healthy"] == (code == 0)
    assert value["failures"] == sum(one.status == "fail" for one in found)
    return {one.name: one for one in found}


def failures(found: dict[str, Finding]) -> list[str]:
    return [name for name, one in found.items() if one.status == "fail"]


def test_a_bare_installation_has_no_engine(home: Path, tmp_path: Path) -> None:
    made = made_environment(tmp_path / NAME / "venv")
    found = examined(made, home, code=BROKEN)
    assert failures(found) == ["engine"]
    assert found["engine"].message == "no engine is installed: nothing can be run"
    python = "~/venv/bin/python"
    assert found["engine"].fix == f"uv pip install --python {python} 'edgecls[cpu]'"
    for name in ("backend openvino", "backend cpu"):
        assert (found[name].status, found[name].facts["absent"]) == ("note", True)
        assert "is not installed" in found[name].message
    assert found["codecs"].facts["frames"] == 5
    assert found["opencv"].status == "ok"
    assert not any("onnxruntime" in name for name in found)


def test_a_healthy_installation(home: Path, tmp_path: Path) -> None:
    made = made_environment(tmp_path / "venv", extras=("all",))
    found = examined(made, home, "--backend", "cpu", code=0)
    for name in ("backend openvino", "backend cpu"):
        assert found[name].status == "ok"
        assert found[name].facts["max_rel_diff"] < 1e-4
    assert found["engine"].facts["working"] == ["openvino", "cpu"]
    assert "CPUExecutionProvider" in found["onnxruntime providers"].facts["providers"]
    assert "does not mean that they work" in found["onnxruntime providers"].message
    assert found["onnxruntime"].facts["installed"][0]["missing"] == 0
    assert found["edgecls"].facts["version"] == "0.1.0"
    assert not list(home.rglob("*edgecls*")), "an examination leaves nothing behind"


def test_two_builds_of_onnxruntime(home: Path, tmp_path: Path) -> None:
    made = made_environment(tmp_path / "venv", extras=("cpu",))
    made.add_metadata("onnxruntime-gpu", "1.23.2")
    done = made.edgecls("doctor", home=home)
    assert done.returncode == BROKEN
    assert "FAIL  onnxruntime clash" in done.stdout
    error, hint = done.stderr.splitlines()
    assert "onnxruntime-gpu 1.23.2" in error
    assert "are both installed" in error
    assert "what lies there now is of onnxruntime 1." in error
    assert "uninstall" in hint
    assert "onnxruntime-gpu" in hint
    assert done.stdout.splitlines()[-1].startswith("broken: 1 failure, ")


def test_libraries_that_crash_or_lack_a_library(home: Path, tmp_path: Path) -> None:
    made = made_environment(tmp_path / "venv")
    made.add_module(
        "openvino",
        "import os, sys\n"
        "print('terminate called after throwing std::bad_alloc', file=sys.stderr, flush=True)\n"
        "os.abort()\n",
    )
    made.add_module(
        "onnxruntime",
        "raise ImportError('libgomp.so.1: cannot open shared object file: No such file')\n",
    )
    found = examined(made, home, "--backend", "cpu", code=BROKEN)
    assert failures(found) == ["backend openvino", "backend cpu", "engine"]
    crash = found["backend openvino"].message
    assert crash.startswith("died with SIGABRT at the step 'load the engine of backend openvino'")
    assert "terminate called" in crash
    assert found["backend cpu"].facts["missing_library"] == "libgomp.so.1"
    assert found["backend cpu"].message.endswith("(needed)")
    assert "libgomp.so.1" in found["onnxruntime providers"].message


SECTIONS = (
    Section(
        title="GPUs",
        findings=(
            Finding(
                name="nvidia",
                status="warn",
                message="there is an NVIDIA GPU [left], but its driver is not loaded, as"
                " nvidia-smi says in many words that do not fit into one line",
                fix="sudo apt-get install nvidia-driver  # a long command that is never wrapped",
            ),
        ),
    ),
    Section(title="Video", findings=(Finding(name="cameras", status="note", message="none"),)),
)
BAD = Section(
    title="Engines", findings=(Finding(name="engine", status="fail", message="none runs", fix="x"),)
)


def shown(sections: tuple[Section, ...], *words: str, monkeypatch: pytest.MonkeyPatch) -> Done:
    monkeypatch.setattr(diagnosis, "diagnose", lambda **_: Diagnosis(sections=sections))
    return called("doctor", *words, monkeypatch=monkeypatch)


def test_text(monkeypatch: pytest.MonkeyPatch) -> None:
    done = shown(SECTIONS, monkeypatch=monkeypatch)
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == [
        "GPUs",
        "  warn  nvidia   there is an NVIDIA GPU [left], but its driver is not loaded, as",
        "                 nvidia-smi says in many words that do not fit into one line",
        "                 $ sudo apt-get install nvidia-driver  # a long command that is never"
        " wrapped",
        "",
        "Video",
        "  note  cameras  none",
        "",
        "healthy: no failures, 1 warning",
    ]


def test_exit_codes(monkeypatch: pytest.MonkeyPatch) -> None:
    strict = shown(SECTIONS, "--strict", monkeypatch=monkeypatch)
    assert strict.code == BROKEN
    assert strict.err.splitlines()[1].startswith("hint: sudo apt-get install nvidia-driver")
    assert strict.out.splitlines()[-1] == "broken: no failures, 1 warning"
    broken = shown((*SECTIONS, BAD), monkeypatch=monkeypatch)
    assert broken.code == BROKEN
    assert broken.err.splitlines() == ["error: engine: none runs.", "hint: x"]
    both = shown((*SECTIONS, BAD), "--strict", monkeypatch=monkeypatch)
    assert "(and 1 more)" in both.err


def test_json(monkeypatch: pytest.MonkeyPatch) -> None:
    done = shown((*SECTIONS, BAD), "--json", monkeypatch=monkeypatch)
    value: dict[str, Any] = json.loads(done.out)
    assert (value["healthy"], value["failures"], value["warnings"]) == (False, 1, 1)
    assert value["sections"][2]["findings"] == [
        {"name": "engine", "status": "fail", "message": "none runs", "fix": "x", "facts": {}}
    ]


def test_an_unknown_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    done = called("doctor", "--backend", "abacus", monkeypatch=monkeypatch)
    assert done.code == 2
    assert "There is no backend 'abacus'" in done.err
    assert "openvino" in done.err
