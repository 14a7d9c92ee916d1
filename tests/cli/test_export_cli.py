"""`edgecls export`, and the client that it puts into the repository."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import pytest

from models.bundle import Bundle
from tests.cli.command import NEEDS_ENGINES, failing
from tests.cli.in_process import called
from tests.inference_server import inference_server
from tests.server_schemas import ovms_model, triton_model
from tests.tiny_models import tiny_network, write_tiny_bundle

pytestmark = NEEDS_ENGINES


def _client(folder: Path, *words: object, monkeypatch: pytest.MonkeyPatch) -> int:
    """Run the client of a repository; its exit code."""
    monkeypatch.setattr(sys, "argv", ["client.py", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(folder / "client.py"), run_name="__main__")
    assert isinstance(ended.value.code, int)
    return ended.value.code


@pytest.mark.parametrize("server", ["triton", "ovms"])
def test_client_says_what_run_says(
    server: str,
    bundle: Bundle,
    video: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = (bundle.path, "--to", server, "-o", tmp_path / "made", "--name", "tiny")
    done = called("export", *words, monkeypatch=monkeypatch)
    assert done.code == 0, done.err
    assert "checked: 3 stored clips on" in done.out
    run = ("run", bundle.path, "-s", video, "--sampling", "uniform", "--format", "jsonl")
    lines = called(*run, "--backend", "cpu", monkeypatch=monkeypatch).out.splitlines()
    (best, *_) = json.loads(lines[1])["top"]
    with inference_server("tiny", tiny_network().logits, most_clips=8) as url:
        asked = (video, "--url", url, "--top", 1)
        assert _client(tmp_path / "made", *asked, monkeypatch=monkeypatch) == 0
    said = capsys.readouterr().out
    assert said == f"{video}\t{best['label']} {best['probability'] * 100:.1f} %\n"


def test_client_tells_what_the_server_says(
    bundle: Bundle,
    video: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = (bundle.path, "--to", "triton", "-o", tmp_path / "made", "--name", "tiny")
    assert called("export", *words, monkeypatch=monkeypatch).code == 0
    absent = tmp_path / "absent.mp4"
    with inference_server("other", tiny_network().logits, most_clips=8) as url:
        asked = (absent, video, "--url", url)
        assert _client(tmp_path / "made", *asked, monkeypatch=monkeypatch) == 1
    assert _client(tmp_path / "made", video, "--url", url, monkeypatch=monkeypatch) == 1
    missing, refused, closed = capsys.readouterr().err.splitlines()
    assert "absent.mp4" in missing
    assert 'says 404: {"error": "unknown model"}' in refused
    assert "gives no scores" in closed


def test_client_fills_fixed_batches(
    video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fixed = write_tiny_bundle(tmp_path / "fixed", batch=2)
    words = (fixed.path, "--to", "triton", "-o", tmp_path / "made", "--max-batch", 4)
    done = called("export", *words, monkeypatch=monkeypatch)
    assert (
        done.err
        == "note: the graph takes exactly 2 clip(s) at a time; --max-batch 4 changes"
        + (" nothing\n")
    )
    sizes = []

    def run(clips: object) -> object:
        sizes.append(len(clips))  # type: ignore[arg-type]
        return tiny_network().logits(clips)  # type: ignore[arg-type]

    with inference_server("fixed", run, most_clips=2) as url:  # type: ignore[arg-type]
        assert _client(tmp_path / "made", video, "--url", url, monkeypatch=monkeypatch) == 0
    assert sizes == [2]


def test_built_in_model_and_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for server in ("triton", "ovms"):
        done = called("export", "--to", server, "-o", tmp_path / server, monkeypatch=monkeypatch)
        assert done.code == 0, done.err
        assert "camera-motion for" in done.out
    models = tmp_path / "triton" / "models"
    assert triton_model((models / "camera-motion" / "config.pbtxt").read_text()).max_batch_size == 8
    config = ovms_model((tmp_path / "ovms" / "models" / "config.json").read_text())
    assert config["base_path"] == "camera-motion"


def test_refusals(bundle: Bundle, altered: Path, tmp_path: Path) -> None:
    words = (bundle.path, "--to", "triton", "-o", tmp_path / "made")
    said = failing("export", *words, "--precision", "int8", code=2)
    assert "has no int8 graph" in said[0]
    said = failing("export", *words, "--device", "NPU", code=2)
    assert said[1] == "hint: --device gpu"
    said = failing("export", *words, "--name", "", code=2)
    assert "is named by letters" in said[0]
    (altered / "model.onnx").write_bytes(b"")
    failing("export", altered, "--to", "ovms", "-o", tmp_path / "made", code=8)
    assert not (tmp_path / "made").exists()
