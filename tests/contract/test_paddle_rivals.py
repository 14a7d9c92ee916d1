"""Paddle as a rival in `bench --stream`: what it runs is what the bundle was converted from."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from models.bundle import Bundle, open_bundle
from models.errors import CheckpointError, ConversionError, UsageError
from tests.checkpoints import NARROW, weights_by_rule, write_checkpoint

for _module in ("paddle", "paddle2onnx"):
    pytest.importorskip(_module, reason="needs the `convert` extra")

from convert.paddle_rival import paddle_entry, saved_program
from convert.paddlex_config import read_paddlex_config
from convert.paddlex_rival import paddlex_entry, paddlex_python
from convert.pipeline import convert
from convert.request import ConvertRequest
from runtime.stream_bench import StreamPlan, measure_streams
from runtime.stream_clip import write_clip

pytestmark = pytest.mark.paddle

PLAN = StreamPlan(threads=1, hop=1, stride_s=1.0, rounds=1, calls=2)
FRAMES = 8


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rivals")
    return write_checkpoint(folder / "x.pdparams", weights_by_rule(NARROW["pp-tsmv2"]()))


@pytest.fixture(scope="module")
def bundle(checkpoint: Path) -> Bundle:
    output = checkpoint.parent / "bundle"
    convert(ConvertRequest(source=checkpoint, output=output, frames=FRAMES, size=64))
    return open_bundle(output)


@pytest.fixture(scope="module")
def program(checkpoint: Path, bundle: Bundle) -> Path:
    folder = checkpoint.parent / "program"
    folder.mkdir()
    return saved_program(checkpoint, bundle.card, bundle.path, folder)


def test_paddle_runs_the_program_of_the_checkpoint(bundle: Bundle, program: Path) -> None:
    (row,) = measure_streams([paddle_entry(bundle.path, program, PLAN)], PLAN)
    assert row.reason == ""
    assert row.engine.startswith("Paddle Inference 3.")
    assert row.median_ms is not None
    assert row.one_core_ms is not None


def test_where_onednn_does_not_run_paddle_runs_without(bundle: Bundle, program: Path) -> None:
    entry = paddle_entry(bundle.path, program, PLAN)
    assert entry.otherwise is not None
    assert entry.order["onednn"] is True
    (row,) = measure_streams([entry.otherwise], PLAN)
    assert row.engine.endswith("no oneDNN")
    assert "without oneDNN" in row.note


def test_an_exported_program_is_taken_as_it_is(
    bundle: Bundle, program: Path, tmp_path: Path
) -> None:
    again = saved_program(program.parent, bundle.card, bundle.path, tmp_path)
    assert again.parent == tmp_path
    assert again.read_bytes() == program.read_bytes()
    assert again.with_suffix(".pdiparams").exists()


def test_what_is_no_model_of_paddle_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="ONNX file"):
        saved_program(bundle.path / "model.onnx", bundle.card, bundle.path, tmp_path)
    other = write_checkpoint(tmp_path / "y.pdparams", weights_by_rule(NARROW["tsm"]()))
    with pytest.raises(ConversionError, match="cannot export"):
        saved_program(other, bundle.card, bundle.path, tmp_path)


def test_paddlex_gets_the_preprocessing_of_the_card(bundle: Bundle, program: Path) -> None:
    entry = paddlex_entry(bundle.card, program, clip=Path("w.mp4"), python=Path(sys.executable))
    assert entry is not None
    assert entry.order["name"] == "PP-TSMv2-LCNetV2_8frames_uniform"
    told = read_paddlex_config(program.parent / "inference.yml")
    clip = bundle.card.clip
    assert (told.frames, told.short_side, told.crop) == (8, clip.resize.short_side, clip.crop)
    assert (told.mean, told.std) == (clip.mean, clip.std)
    assert told.labels == bundle.card.labels


def test_paddlex_has_no_other_models(bundle: Bundle, program: Path) -> None:
    card = bundle.card.model_copy(update={"family": "tsn"})
    assert paddlex_entry(card, program, clip=Path("w.mp4"), python=Path(sys.executable)) is None


def test_the_interpreter_of_paddlex() -> None:
    assert paddlex_python(Path(sys.executable)) == Path(sys.executable)
    assert paddlex_python(None) in (None, Path(sys.executable))
    with pytest.raises(UsageError, match="is not the Python interpreter"):
        paddlex_python(Path("/nowhere/python"))


def test_an_interpreter_without_paddlex_gives_a_reason(
    bundle: Bundle, program: Path, tmp_path: Path
) -> None:
    pytest.importorskip("av")
    clip = tmp_path / "w.mp4"
    assert write_clip(clip, seconds=0.4) in ("h264", "mpeg4")
    python = Path(sys.executable)
    if paddlex_python(None) is not None:
        pytest.skip("PaddleX is installed here")
    entry = paddlex_entry(bundle.card, program, clip=clip, python=python)
    assert entry is not None
    assert json.dumps(dict(entry.order))
    (row,) = measure_streams([entry], PLAN)
    assert "No module named 'paddlex'" in row.reason
