"""Calibrating tiny networks: an easy one, one with a sensitive layer, one without hope."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("nncf", reason="needs the `int8` extra")
pytest.importorskip("onnxruntime", reason="needs the `int8` extra")

from calibration.bundle_change import read_report
from calibration.judge import Judge
from calibration.pipeline import Calibrated, calibrate
from calibration.qdq import only_layer, read_fp32, with_fp32, write_qdq
from calibration.race import advice
from calibration.ranges import histograms
from calibration.recipes import first_recipe
from calibration.report import Race, Target
from calibration.request import CalibrateRequest
from models.bundle import open_bundle
from models.errors import CalibrationError, UsageError
from models.extras import import_onnxruntime
from runtime.backends import backend_named
from runtime.session import SessionOptions, Tensor
from runtime.verify import verify_bundle
from tests.int8_models import SENSITIVE, Kind, write_int8_bundle

BUDGET = 30.0
"""Points; noise gives small margins, and the ruined networks lose nearly all."""


def run(folder: Path, *, targets: tuple[Target, ...] = ("onnx",)) -> Calibrated:
    request = CalibrateRequest(
        bundle=folder,
        clips=("random",),
        samples=12,
        held_out=40,
        targets=targets,
        method="minmax",
        budget_points=BUDGET,
    )
    return calibrate(request, lambda title, done, total: None)


def noise(count: int, *, seed: int = 0) -> list[Tensor]:
    rng = np.random.default_rng(seed)
    cells = rng.uniform(-2, 2.5, (count, 1, 4, 3, 8, 8)).astype(np.float32)
    return list(cells.repeat(4, axis=4).repeat(4, axis=5))


def test_an_easy_network_needs_no_repair(tmp_path: Path) -> None:
    folder = write_int8_bundle(tmp_path / "b", "easy").path
    done = run(folder)
    (target,) = done.report.targets
    assert [repair.put_back for repair in target.repairs] == [()]
    assert target.sensitivity == ()
    assert target.gate.logit_cosine > 0.98
    assert done.report == read_report(open_bundle(folder))
    (variant,) = [one for one in done.bundle.card.variants if one.precision == "int8"]
    assert variant.int8 is not None
    assert variant.int8.random_data
    assert variant.int8.accuracy_drop_points is None
    assert set(variant.int8.speedup) == {"cpu", "openvino"}
    assert variant.int8.failed_on == ()
    verified = verify_bundle(done.bundle)
    files = [check.file for check in verified.files]
    stages = ["stream.int8.frame.onnx", "stream.int8.window.onnx"]
    assert files == ["model.onnx", "model.int8.onnx", *stages, "probe.npz"]
    assert verified.passed
    int8 = [one for one in verified.comparisons if one.precision == "int8"]
    worst = [one for one in int8 if not one.staged]
    assert [one.backend for one in int8 if one.staged] == ["openvino", "cpu"]
    assert [one.backend for one in worst] == ["openvino", "cpu"]
    assert variant.check is not None
    assert variant.check.clips == worst[0].clips
    assert variant.check.max_rel_diff == pytest.approx(max(one.max_rel_diff for one in worst))
    assert variant.check.top1_agreement == min(one.top1_agreement for one in worst)
    assert 0 < variant.check.max_probability_diff < 0.5
    assert {one.tolerance for one in worst} == {1.5 * variant.check.max_rel_diff}
    assert len(target.answers) == 40
    clips = [done.report.clips[answer.clip] for answer in target.answers]
    assert {clip.part for clip in clips} == {"held_out"}


def test_one_sensitive_layer_is_put_back(tmp_path: Path) -> None:
    done = run(write_int8_bundle(tmp_path / "b", "sensitive").path)
    (target,) = done.report.targets
    assert [repair.put_back for repair in target.repairs] == [(), (SENSITIVE,)]
    before, after = target.repairs
    assert before.lost_points > BUDGET >= after.lost_points
    assert target.sensitivity[0].layer == SENSITIVE
    assert [one.layer for one in target.sensitivity if one.put_back] == [SENSITIVE]
    assert SENSITIVE in target.recipe.fp32_layers


def test_a_hopeless_network_is_refused_and_nothing_is_added(tmp_path: Path) -> None:
    bundle = write_int8_bundle(tmp_path / "b", "hopeless")
    before = {path.name: path.read_bytes() for path in bundle.path.iterdir()}
    with pytest.raises(CalibrationError, match=r"2 of 4 layers were put back") as refused:
        run(bundle.path)
    assert "most sensitive alone" in refused.value.message
    assert refused.value.exit_code == 13
    assert {path.name: path.read_bytes() for path in bundle.path.iterdir()} == before


def test_openvino_gets_a_graph_that_holds_the_budget(tmp_path: Path) -> None:
    done = run(write_int8_bundle(tmp_path / "b", "easy").path, targets=("openvino",))
    (target,) = done.report.targets
    assert target.target == "openvino"
    assert [race.backend for race in target.races] == ["openvino"]
    assert done.bundle.card.variant("int8", backend="openvino").engine == "openvino"
    assert any("Race on OpenVINO: " in note and "nncf" in note for note in done.report.notes)
    path = done.bundle.model_path("int8", backend="openvino")
    with backend_named("openvino").open(path, done.bundle.card, SessionOptions()) as session:
        logits = session.run(np.concatenate(noise(3)))
    assert logits.shape == (3, done.bundle.card.classes)


@pytest.mark.parametrize("targets", [("onnx",), ("onnx", "openvino")])
def test_a_graph_that_only_openvino_gets_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, targets: tuple[Target, ...]
) -> None:
    """OpenVINO says the opposite of everything, when it runs the graph for every engine."""
    real = Judge.logits

    def opposite(self: Judge, path: Path, backend: str, *rest: Any, **named: Any) -> Tensor:
        logits = real(self, path, backend, *rest, **named)
        return -logits if (backend, path.name) == ("openvino", "any.onnx") else logits

    monkeypatch.setattr(Judge, "logits", opposite)
    done = run(write_int8_bundle(tmp_path / "b", "easy").path, targets=targets)
    found = {one.engine: one.int8 for one in done.bundle.card.variants if one.int8 is not None}
    assert found["any"].failed_on == ("openvino",)
    assert set(found["any"].speedup) == {"cpu"}
    assert set(found) == ({"any"} if targets == ("onnx",) else {"any", "openvino"})
    assert all(one.failed_on == () for engine, one in found.items() if engine != "any")
    (note,) = [one for one in done.report.notes if "points of agreement" in one]
    assert note.startswith("On OpenVINO")
    assert "Nothing was added" not in note


def test_the_report_can_hold_any_path(tmp_path: Path) -> None:
    request = CalibrateRequest(
        bundle=write_int8_bundle(tmp_path / "b", "easy").path,
        clips=("random",),
        labels=Path("\udcff.txt"),
        samples=4,
        held_out=4,
        targets=("onnx",),
        method="minmax",
        budget_points=100.0,
    )
    done = calibrate(request, lambda title, done, total: None)
    assert done.report.settings.labels == "\\udcff.txt"
    assert read_report(done.bundle) == done.report


@pytest.mark.parametrize("kind", ["easy", "sensitive"])
def test_layers_put_back_really_run_in_fp32(tmp_path: Path, kind: Kind) -> None:
    """ONNX Runtime would quantize the weights of such a layer itself when it loads the graph."""
    import onnx

    bundle = write_int8_bundle(tmp_path / "b", kind)
    graph = read_fp32(bundle.model_path())
    found = histograms(
        graph.model, graph.layers.measured, noise(4), scratch=tmp_path, on_clip=lambda _: None
    )
    recipe = first_recipe(
        "tiny", graph.layers, method="minmax", activations="u8", reduce_range=False
    )
    onnxruntime = import_onnxruntime()
    counts = []
    for one in (recipe, with_fp32(recipe, only_layer(graph, SENSITIVE))):
        write_qdq(graph, found, one, tmp_path / "q.onnx")
        options = onnxruntime.SessionOptions()
        level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        options.graph_optimization_level = level
        options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
        options.log_severity_level = 3
        onnxruntime.InferenceSession(
            str(tmp_path / "q.onnx"), options, providers=["CPUExecutionProvider"]
        )
        nodes = [node.op_type for node in onnx.load(str(tmp_path / "optimized.onnx")).graph.node]
        counts.append((nodes.count("QLinearConv"), nodes.count("Conv") + nodes.count("FusedConv")))
    assert counts == [(3, 0), (2, 1)]


def test_ranges_are_exact_and_do_not_depend_on_the_order_of_clips(tmp_path: Path) -> None:
    bundle = write_int8_bundle(tmp_path / "b", "easy")
    graph = read_fp32(bundle.model_path())

    def collected(clips: list[Tensor]) -> dict[str, tuple[float, float]]:
        found = histograms(
            graph.model, graph.layers.measured, clips, scratch=tmp_path, on_clip=lambda _: None
        )
        return {name: (one.minimum, one.maximum) for name, one in found.items()}

    clips = noise(6)
    forwards = collected(clips)
    assert forwards["clips"] == (min(c.min() for c in clips), max(c.max() for c in clips))
    assert forwards["y1"][0] == 0.0
    assert collected(clips[::-1]) == forwards


def test_the_same_seed_gives_the_same_file(tmp_path: Path) -> None:
    digests = set()
    for name in ("one", "two"):
        done = run(write_int8_bundle(tmp_path / name, "easy").path)
        digests.add(done.report.targets[0].sha256)
    assert len(digests) == 1


def a_race(backend: str, ratio: float) -> Race:
    return Race(
        backend=backend, engine="e", file="f", runs=5, fp32_ms=ratio, int8_ms=1.0, ratio=ratio
    )


def test_advice_says_where_to_keep_fp32() -> None:
    assert advice(()) == "The speed was not measured."
    assert advice((a_race("cpu", 0.9), a_race("openvino", 1.0))).startswith("Keep fp32")
    assert "but keep fp32 on cpu 0.90" in advice((a_race("cpu", 0.9), a_race("openvino", 2.0)))
    assert "keep" not in advice((a_race("cpu", 1.5),))


@pytest.mark.parametrize(
    "wrong",
    [
        {"clips": ()},
        {"clips": ("random", "demo")},
        {"samples": 0},
        {"held_out": 0},
        {"budget_points": -1.0},
        {"budget_points": float("nan")},
        {"seed": -1},
    ],
)
def test_requests_that_mean_nothing(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        CalibrateRequest(**{"bundle": Path("b"), "clips": ("demo",), **wrong})  # type: ignore[arg-type]
