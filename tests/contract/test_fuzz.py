"""A few hundred damaged and hostile files of every kind; `scripts/fuzz` plays thousands."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from convert import isolated
from convert.isolated import convert_isolated
from convert.request import ConvertRequest
from models.errors import EdgeclsError
from tests.cli.command import NEEDS_ENGINES
from tests.fuzz.cases import KINDS, Case, cases_of_run
from tests.fuzz.onnx_edits import make_endless
from tests.onnx_models import FORMS, write_onnx

for _module in ("onnx", "onnxruntime"):
    pytest.importorskip(_module, reason="needs the `convert` extra")

import onnx
from onnx import helper, numpy_helper

pytestmark = [
    NEEDS_ENGINES,
    pytest.mark.skipif(sys.platform != "linux", reason="forks, and reads /proc"),
]
ROOT = Path(__file__).parents[2]
COUNT = 250


def test_no_file_does_harm(tmp_path: Path) -> None:
    """Each ends in success or one clear error: no traceback, no crash, no hang, no code run."""
    done = subprocess.run(
        [
            sys.executable,
            ROOT / "scripts/fuzz",
            f"--count={COUNT}",
            "--run=0",
            f"--keep={tmp_path}",
        ],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    total = done.stdout.splitlines()[-1].split()
    assert total[:2] == ["all", str(COUNT)]
    assert list(tmp_path.iterdir()) == []


def test_every_kind_has_its_turn() -> None:
    cases = cases_of_run(list(KINDS), run=0, count=COUNT)
    assert len(set(cases)) == COUNT
    counts = {kind: sum(case.kind == kind for case in cases) for kind in KINDS}
    assert min(counts.values()) >= 5
    assert all(Case.parse(str(case)) == case for case in cases)


def a_model(folder: Path) -> onnx.ModelProto:
    return onnx.load(str(write_onnx(folder / "m.onnx", FORMS["our own"])))


def refused(folder: Path, model: onnx.ModelProto) -> str:
    """What `edgecls convert` says of a model, which must be one error that leaves nothing."""
    onnx.save(model, str(folder / "m.onnx"))
    request = ConvertRequest(source=folder / "m.onnx", output=folder / "made/bundle")
    with pytest.raises(EdgeclsError) as caught:
        convert_isolated(request, lambda title, done, total: None)
    assert [path.name for path in folder.iterdir()] == ["m.onnx"]
    return caught.value.message


def test_a_graph_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole way, with the real child process."""
    monkeypatch.setattr(isolated, "QUIET_S", 1.5)
    model = a_model(tmp_path)
    make_endless(model)
    assert "'Read the source' had not come to an end after 2 s" in refused(tmp_path, model)


def test_a_graph_that_takes_terabytes(tmp_path: Path) -> None:
    model = a_model(tmp_path)
    model.graph.node[-1].output[0] = "before"
    sides = numpy_helper.from_array(np.array([2**38, 1], np.int64), "sides")
    model.graph.initializer.append(sides)
    model.graph.node.append(helper.make_node("Expand", ["before", "sides"], ["out"]))
    assert "does not run on a clip" in refused(tmp_path, model)
