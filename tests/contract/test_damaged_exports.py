"""Exported models whose files are damaged: one error, whatever Paddle's native code does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.checkpoints import narrow_pptsm, weights_by_rule, write_checkpoint
from tests.contract.test_conversion import export

for _module in ("paddle", "paddle2onnx"):
    pytest.importorskip(_module, reason="needs the `convert` extra")

pytestmark = pytest.mark.paddle


@pytest.fixture(scope="module", params=[True, False], ids=["pir", "pdmodel"])
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported")
    source = write_checkpoint(folder / "x.pdparams", weights_by_rule(narrow_pptsm()))
    return export(source, folder / "model", family="pp-tsm", pir=request.param)


@pytest.mark.parametrize("damage", ["cut", "flip", "empty"])
@pytest.mark.parametrize("part", ["program", "weights"])
def test_damage_is_one_error(exported: Path, tmp_path: Path, part: str, damage: str) -> None:
    for path in exported.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    suffixes = {".json", ".pdmodel"} if part == "program" else {".pdiparams"}
    (victim,) = (path for path in tmp_path.iterdir() if path.suffix in suffixes)
    content = bytearray(victim.read_bytes())
    if damage == "cut":
        del content[len(content) // 2 :]
    elif damage == "empty":
        content.clear()
    else:
        content[:64] = bytes(255 - byte for byte in content[:64])
    victim.write_bytes(content)
    done = subprocess.run(
        [sys.executable, "-m", "edge_cli", "convert", str(tmp_path), "-o", str(tmp_path / "out")],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode in {5, 6}, done.stderr
    assert done.stderr.count("error: ") == 1
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert not (tmp_path / "out").exists()
