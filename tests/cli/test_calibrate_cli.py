"""`edgecls calibrate` from the command line."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("nncf", reason="needs the `int8` extra")
pytest.importorskip("ml_dtypes", reason="needs the `int8` extra")

from models.bundle import BUILTIN_BUNDLE
from tests.cli.command import NEEDS_ENGINES, ROOT, edgecls, environment, failing
from tests.int8_models import write_int8_bundle

pytestmark = NEEDS_ENGINES

QUICK = ("--samples", 8, "--held-out", 16, "--method", "minmax", "--target", "onnx")


def test_calibrate_and_look_at_the_result(tmp_path: Path) -> None:
    folder = write_int8_bundle(tmp_path / "b", "easy").path
    done = edgecls("calibrate", folder, "--clips", "demo", *QUICK, "--budget", 50)
    assert done.returncode == 0, done.stderr
    assert "reading ranges" in done.stderr
    assert "bits" in done.stderr
    assert "model.int8.onnx" in done.stdout
    assert "times as fast" in done.stdout
    assert "stages: a clip one frame further than the last reuses" in done.stdout
    report = json.loads((folder / "calibration" / "report.json").read_text())
    assert report["settings"]["sources"] == ["demo"]
    assert not report["settings"]["random_data"]
    shown = edgecls("inspect", folder)
    assert shown.returncode == 0
    assert "held-out clips" in shown.stdout
    assert "model.int8.onnx" in edgecls("inspect", folder, "--json").stdout
    assert (folder / "stream.int8.frame.onnx").is_file()
    words = (*QUICK, "--budget", 50, "--no-stages")
    again = edgecls("calibrate", folder, "--clips", "random", *words)
    assert again.returncode == 0, again.stderr
    assert "stages" not in again.stdout
    assert not list(folder.glob("stream*"))


def test_errors(tmp_path: Path) -> None:
    folder = write_int8_bundle(tmp_path / "hopeless", "hopeless").path
    assert "needs clips" in failing("calibrate", folder, code=2)[0]
    assert "no such folder" in failing("calibrate", tmp_path / "x", "--clips", "demo", code=8)[0]
    assert (
        "part of the program" in failing("calibrate", BUILTIN_BUNDLE, "--clips", "demo", code=8)[0]
    )
    assert failing("calibrate", folder, "--clips", tmp_path / "no.mp4", code=4)
    lines = failing("calibrate", folder, "--clips", "random", *QUICK, code=13)
    message = next(line for line in lines if line.startswith("error:"))
    assert "layers were put back to fp32. Nothing was added." in message
    assert any("most sensitive alone" in line for line in lines)
    assert not (folder / "calibration").exists()


def test_killed_it_leaves_the_bundle_as_it_was(tmp_path: Path) -> None:
    folder = write_int8_bundle(tmp_path / "b", "easy").path
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    words = ("calibrate", folder, "--clips", "random", "--samples", 2500, "--held-out", 5)
    with subprocess.Popen(
        [sys.executable, "-m", "edge_cli", *map(str, words)],
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=environment(),
    ) as child:
        assert child.stderr is not None
        assert child.stderr.readline() == "reading ranges\n"
        assert "another process" in failing("calibrate", folder, "--clips", "random", code=8)[0]
        child.send_signal(signal.SIGKILL)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
