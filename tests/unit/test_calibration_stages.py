"""INT8 graphs in stages: with the scales of the whole graph, and checked against it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("nncf", reason="needs the `int8` extra")
pytest.importorskip("onnxruntime", reason="needs the `int8` extra")

import runtime.incremental.trial
from calibration.bundle_change import read_report
from calibration.pipeline import Calibrated, calibrate
from calibration.request import CalibrateRequest
from models.bundle import Bundle, open_bundle
from models.card import Variant
from models.errors import BackendError
from runtime.backends import BACKENDS, backend_named
from runtime.choose import Choice
from runtime.grid import grid_spec
from runtime.incremental import open_incremental
from runtime.incremental.walk import WalkReport, walk
from runtime.reuse import decide_reuse
from runtime.session import SessionOptions
from tests.int8_models import Kind, write_int8_bundle

OPTIONS = SessionOptions(threads=1)


def run(folder: Path, **changes: Any) -> Calibrated:
    """Calibrate on noise, for ONNX alone."""
    named: dict[str, Any] = {
        "bundle": folder,
        "clips": ("random",),
        "samples": 6,
        "held_out": 6,
        "targets": ("onnx",),
        "method": "minmax",
        "budget_points": 100.0,
        **changes,
    }
    return calibrate(CalibrateRequest(**named), lambda title, done, total: None)


def int8_of(done: Calibrated) -> Variant:
    (variant,) = [one for one in done.bundle.card.variants if one.precision == "int8"]
    return variant


def notes_on_stages(done: Calibrated) -> list[str]:
    return [note for note in done.report.notes if "stages" in note]


@pytest.fixture(scope="module", params=["shifted", "residual"])
def shifted(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Calibrated:
    folder = tmp_path_factory.mktemp("stages") / "b"
    return run(write_int8_bundle(folder, request.param).path)


def test_the_graph_is_cut_at_its_shift(shifted: Calibrated) -> None:
    variant = int8_of(shifted)
    assert variant.int8 is not None
    assert variant.int8.staged_on == ("cpu", "openvino")
    assert [stage.file for stage in variant.stages] == [
        f"stream.int8.{name}.onnx" for name in ("frame", "shift1", "window")
    ]
    frame, middle, window = variant.stages
    assert middle.offsets == (-1, 0, 1)
    assert {one.dtype for stage in (middle, window) for one in stage.inputs} == {"uint8"}
    assert frame.macs + middle.macs > 0
    assert notes_on_stages(shifted) == []


@pytest.mark.parametrize("backend", [backend.name for backend in BACKENDS])
def test_it_computes_what_the_whole_graph_computes(shifted: Calibrated, backend: str) -> None:
    bundle, variant, engine = shifted.bundle, int8_of(shifted), backend_named(backend)
    if not engine.probe().ok or engine.open_stage is None:
        pytest.skip(f"{backend} does not run stages here")
    with (
        engine.open(bundle.graph_path(variant), bundle.card, OPTIONS) as whole,
        open_incremental(bundle, variant, engine, OPTIONS, streams=2) as parts,
    ):
        report = walk(parts, whole, steps=60, streams=2, seed=1)
    assert report.passed
    assert report.max_rel_diff == 0
    assert report.reused > 0.4


def test_the_report_tells_of_them(shifted: Calibrated) -> None:
    report = read_report(open_bundle(shifted.bundle.path))
    assert report is not None
    (target,) = report.targets
    assert target.stages is not None
    assert [check.backend for check in target.stages.checks] == ["cpu", "openvino"]
    assert {check.max_rel_diff for check in target.stages.checks} == {0.0}
    assert 0 < target.stages.macs_per_step < target.stages.macs_per_clip
    assert target.stages.size_bytes == sum(one.size_bytes for one in int8_of(shifted).stages)


@pytest.mark.parametrize(
    ("record", "mode"),
    [
        ({}, "exact"),
        ({"staged_on": ("cpu",)}, "off"),
        ({"failed_on": ("openvino",)}, "off"),
    ],
)
def test_they_stand_in_for_another_int8_graph_where_they_were_checked(
    shifted: Calibrated, record: dict[str, Any], mode: str
) -> None:
    """OpenVINO has a graph of its own, without stages; not all that others run does it load."""
    bundle, variant = shifted.bundle, int8_of(shifted)
    assert variant.int8 is not None
    recorded = variant.model_copy(update={"int8": variant.int8.model_copy(update=record)})
    own = variant.model_copy(update={"engine": "openvino", "stages": (), "sha256": "0" * 64})
    variants = (bundle.card.variants[0], recorded, own)
    both = Bundle(path=bundle.path, card=bundle.card.model_copy(update={"variants": variants}))
    frames = bundle.card.clip.frames
    with backend_named("openvino").open(
        bundle.graph_path(variant), bundle.card, OPTIONS
    ) as session:
        choice = Choice(
            session=session,
            variant=own,
            placement=session.placement,
            asked="int8",
            speedup=None,
            remembered=False,
            rejected=(),
            why="openvino asked for",
        )
        grid = grid_spec(frames, length_s=2.0, stride_s=2.0 / frames)
        found = decide_reuse(both, choice, asked="auto", views=1, grids=[grid])
    assert found.mode == mode
    assert found.variant == (recorded if mode == "exact" else None)


def test_another_calibration_replaces_them_or_takes_them_out(tmp_path: Path) -> None:
    folder = write_int8_bundle(tmp_path / "b", "shifted").path
    run(folder)
    again = run(folder)
    names = {stage.file for stage in int8_of(again).stages}
    assert names == {f"stream.int8-2.{name}.onnx" for name in ("frame", "shift1", "window")}
    assert {path.name for path in folder.glob("stream*")} == names
    without = run(folder, stages=False)
    assert int8_of(without).stages == ()
    assert without.report.targets[0].stages is None
    assert notes_on_stages(without) == []
    assert not list(folder.glob("stream*"))


@pytest.mark.parametrize("kind", ["easy", "sensitive"])
def test_layers_in_fp32_and_other_networks(tmp_path: Path, kind: Kind) -> None:
    """`sensitive` has a layer put back to fp32; neither has a shift."""
    done = run(write_int8_bundle(tmp_path / "b", kind).path, held_out=40, budget_points=30.0)
    assert [stage.kind for stage in int8_of(done).stages] == ["frame", "window"]
    (target,) = done.report.targets
    assert target.stages is not None
    assert {check.max_rel_diff for check in target.stages.checks} == {0.0}


def test_stages_that_differ_are_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def far_off(*words: Any, **named: Any) -> WalkReport:
        return replace(walk(*words, **named), max_rel_diff=0.01)

    monkeypatch.setattr(runtime.incremental.trial, "walk", far_off)
    done = run(write_int8_bundle(tmp_path / "b", "shifted").path)
    assert int8_of(done).stages == ()
    (note,) = notes_on_stages(done)
    assert note == (
        "The INT8 graph has no stages: on cpu they differ from the whole graph by 0.01 of the range"
        " of the logits, 0.0001 is allowed."
    )


def test_an_engine_that_runs_the_graph_but_not_its_stages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*words: Any, **named: Any) -> None:
        raise BackendError("Backend cpu could not load x: no.", hint="")

    monkeypatch.setattr(runtime.incremental.trial, "open_staged", refused)
    done = run(write_int8_bundle(tmp_path / "b", "shifted").path)
    assert int8_of(done).stages == ()
    (note,) = notes_on_stages(done)
    assert "cpu does not run them: Backend cpu could not load x" in note
