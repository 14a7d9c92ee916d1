"""Measurements are of the right process, and failures become reasons."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.bundle import Bundle
from models.errors import BundleError, UsageError
from runtime.backends import BACKENDS
from runtime.bench import BenchFigures, BenchPlan, BenchResult, bench_graph, speed_over_fp32
from runtime.bench_worker import measure, peak_memory_bytes
from tests.tiny_models import write_tiny_bundle
from tests.variants import add_int8

WORKING = [backend.name for backend in BACKENDS if backend.probe().ok]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_tiny_bundle(tmp_path_factory.mktemp("tiny"))


@pytest.mark.parametrize("backend", WORKING)
def test_figures_hang_together(bundle: Bundle, backend: str) -> None:
    ballast = np.ones(400 * 2**20 // 8)  # the parent's memory must not count
    plan = BenchPlan(iterations=5, warmup=1, batch=2, threads=1)
    result = bench_graph(bundle, bundle.card.variants[0], backend=backend, plan=plan)
    assert ballast.sum() > 0
    figures = result.figures
    assert figures is not None, result.reason
    assert figures.threads == 1
    assert 0 < figures.median_ms <= figures.p95_ms
    assert figures.load_ms > 0
    slowest_clips_per_s = 2 * 1e3 / (figures.p95_ms * 5)
    assert figures.clips_per_s > slowest_clips_per_s
    assert 20 < figures.peak_memory_mib < 400


def test_works_from_a_folder_that_has_a_package_of_the_same_name(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not WORKING:
        pytest.skip("no engine installed")
    for name in ("models", "runtime"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise RuntimeError('the wrong package')")
    monkeypatch.chdir(tmp_path)
    result = bench_graph(
        bundle, bundle.card.variants[0], backend=WORKING[0], plan=BenchPlan(iterations=1)
    )
    assert result.reason == ""


def test_backend_that_fails_is_a_row_with_its_reason(bundle: Bundle) -> None:
    result = bench_graph(
        bundle, bundle.card.variants[0], backend="tpu", plan=BenchPlan(iterations=1)
    )
    assert result.figures is None
    assert result.reason == "There is no backend 'tpu'"


def test_process_that_dies_is_a_row_with_its_status(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crashing = tmp_path / "python"
    crashing.write_text("#!/bin/sh\necho chatter\necho 'Illegal instruction' >&2\nexit 132\n")
    crashing.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(crashing))
    result = bench_graph(
        bundle, bundle.card.variants[0], backend="cpu", plan=BenchPlan(iterations=1)
    )
    assert result.reason == "its process ended with status 132: Illegal instruction"


def test_altered_graph(tmp_path: Path) -> None:
    bundle = write_tiny_bundle(tmp_path)
    (tmp_path / "model.onnx").write_bytes(b"")
    with pytest.raises(BundleError, match="0 bytes"):
        bench_graph(bundle, bundle.card.variants[0], backend="cpu", plan=BenchPlan(iterations=1))


@pytest.mark.parametrize(
    ("field", "value"), [("iterations", 0), ("batch", 0), ("warmup", -1), ("threads", 0)]
)
def test_plan_refuses_nonsense(field: str, value: int) -> None:
    asked: dict[str, Any] = {field: value}
    with pytest.raises(UsageError, match=field):
        BenchPlan(**asked)


def test_warmup_and_iterations_are_counted(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    if "cpu" not in WORKING:
        pytest.skip("onnxruntime is not installed")
    from runtime.backends._ort import OrtSession

    runs: list[int] = []
    original = OrtSession.run

    def counted(self: OrtSession, clips: np.ndarray) -> np.ndarray:
        runs.append(len(clips))
        return original(self, clips)

    monkeypatch.setattr(OrtSession, "run", counted)
    measure(
        bundle,
        bundle.card.variants[0],
        backend="cpu",
        plan=BenchPlan(iterations=4, warmup=2, batch=3),
    )
    assert runs == [3] * 6


def test_peak_memory_grows_with_use() -> None:
    before = peak_memory_bytes()
    ballast = np.ones(before // 8 + 2**20)
    assert peak_memory_bytes() > before
    assert ballast[-1] == 1


def figures(median_ms: float) -> BenchFigures:
    return BenchFigures(
        engine="made up",
        placement="CPU 100 % of nodes",
        threads=1,
        load_ms=1,
        median_ms=median_ms,
        p95_ms=median_ms,
        clips_per_s=1,
        peak_memory_mib=1,
    )


def result(backend: str, precision: str, median_ms: float | None) -> BenchResult:
    measured = None if median_ms is None else figures(median_ms)
    return BenchResult(
        backend=backend, graph=precision, file="f", precision=precision, figures=measured
    )


def test_speed_over_fp32_is_of_the_same_engine() -> None:
    results = [
        result("openvino", "fp32", 40.0),
        result("openvino", "int8", 10.0),
        result("cpu", "fp32", 30.0),
        result("cpu", "fp32", 15.0),
        result("cpu", "int8", 60.0),
        result("cpu", "fp16", None),
        result("gpu", "int8", 1.0),
    ]
    ratios = [speed_over_fp32(one, results) for one in results]
    assert ratios == [1.0, 4.0, 1.0, 2.0, 0.5, None, None]
    broken = [result("cpu", "fp32", None), result("cpu", "int8", 1.0)]
    assert speed_over_fp32(broken[1], broken) is None


def test_the_graph_that_was_named_is_measured(tmp_path: Path) -> None:
    if not WORKING:
        pytest.skip("no engine installed")
    bundle = add_int8(write_tiny_bundle(tmp_path))
    (tmp_path / "model.onnx").write_bytes(b"")
    one = bundle.card.variants[1]
    done = bench_graph(bundle, one, backend=WORKING[0], plan=BenchPlan(iterations=1))
    assert done.reason == ""
    assert (done.graph, done.file, done.precision) == ("int8", "model.int8.onnx", "int8")
    assert done.title == f"{WORKING[0]} int8"
