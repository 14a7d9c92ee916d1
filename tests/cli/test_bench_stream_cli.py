"""`edgecls bench --stream`: real engines in processes of their own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.command import NEEDS_ENGINES
from tests.cli.in_process import called
from tests.staged_models import write_staged_bundle
from tests.tiny_models import write_tiny_bundle

pytestmark = NEEDS_ENGINES

QUICK = ("--stream", "--iterations", 3, "--no-age", "--backend", "cpu")


def test_a_table_and_a_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = write_staged_bundle(tmp_path / "bundle").path
    picture = tmp_path / "cost.svg"
    done = called(
        "bench", bundle, *QUICK, "--window", 2, "--picture", picture, monkeypatch=monkeypatch
    )
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert lines[1].startswith("4 frames of 2 s, a prediction every 0.5 s, ")
    for title in ("cpu fp32, whole", "cpu fp32, incremental", "cpu fp32, approximate"):
        assert sum(line.startswith(title) for line in lines) == 1
    assert all(len(line) <= 80 for line in lines if line.startswith("cpu fp32"))
    assert "cpu: onnxruntime" in done.out
    assert "Paddle was left out" in done.out
    assert picture.read_text(encoding="utf-8").startswith("<svg")


def test_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = write_staged_bundle(tmp_path).path
    words = ("--stride", 1.1, "--window", 2, "--streams", 2, "--format", "json")
    done = called("bench", bundle, *QUICK, *words, monkeypatch=monkeypatch)
    assert done.code == 0, done.err
    report = json.loads(done.out)
    assert report["plan"]["hop"] == 2
    assert report["plan"]["stride_s"] == 1.0
    assert report["plan"]["streams"] == 2
    assert report["ages"] == []
    whole, exact, approx = report["rows"]
    assert [one["way"] for one in report["rows"]] == ["whole", "exact", "approx"]
    assert whole["times_cheaper_than_whole"] == 1.0
    assert exact["times_cheaper_than_whole"] == whole["median_ms"] / exact["median_ms"]
    assert approx["streams_per_core"] == 1000.0 / approx["one_core_ms"]
    assert whole["times_cheaper_than_paddle"] is None


def test_a_bundle_without_stages_is_measured_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = write_tiny_bundle(tmp_path).path
    done = called("bench", bundle, *QUICK, monkeypatch=monkeypatch)
    assert done.code == 0, done.err
    assert "cpu fp32, whole" in done.out
    assert "incremental" not in done.out
    assert "fp32 has no stage graphs and is measured whole only" in done.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--stride", 1), "go with --stream"),
        (("--picture", "x.svg"), "go with --stream"),
        (("--streams", 2), "go with --stream"),
        (("--stream", "--batch", 2), "batches of one window per stream"),
        (("--stream", "--precision", "fp16"), "fp32 and int8"),
        (("--stream", "--precision", "int8"), "no int8 graph"),
        (("--stream", "--picture", "x.gif"), "neither"),
        (("--stream", "--window", 0), "The window must be from"),
    ],
)
def test_what_makes_no_sense_is_refused(
    words: tuple[object, ...], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = called("bench", *words, monkeypatch=monkeypatch)
    assert done.code == 2, done.err
    assert said in done.err
