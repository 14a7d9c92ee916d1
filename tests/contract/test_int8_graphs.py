"""Real INT8 graphs on the real engines: INT8 indeed, verified, and chosen as told."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("nncf", reason="needs the `int8` extra")
openvino = pytest.importorskip("openvino", reason="needs the `int8` extra")
pytest.importorskip("onnxruntime", reason="needs the `int8` extra")

from calibration.pipeline import calibrate
from calibration.request import CalibrateRequest
from models.bundle import Bundle, open_bundle
from models.card import CARD_NAME, BundleFile, Variant
from runtime.backends import BACKENDS, backend_named
from runtime.bench import BenchPlan, bench_graph
from runtime.choice_cache import ChoiceCache
from runtime.choose import WORTH_IT, Machine, choose_session
from runtime.engine_request import EngineRequest
from runtime.graphs import runnable, short_title
from runtime.session import SessionOptions
from runtime.verify import verify_bundle
from tests.int8_models import write_int8_bundle

OPTIONS = SessionOptions(threads=2)
ROWS = [
    ("openvino", "fp32"),
    ("openvino", "int8"),
    ("openvino", "int8 in stages"),
    ("openvino", "int8 IR"),
    ("cpu", "fp32"),
    ("cpu", "int8"),
    ("cpu", "int8 in stages"),
]


def _with_int8(folder: Path, *, seed: int = 0) -> Bundle:
    """Both files, each from a calibration of its own: together the slower one may be dropped."""
    variants: list[Variant] = []
    for target in ("onnx", "openvino"):
        write_int8_bundle(folder / target, "easy", seed=seed)
        request = CalibrateRequest(
            bundle=folder / target,
            clips=("random",),
            samples=12,
            held_out=20,
            targets=(target,),
            method="minmax",
            budget_points=50.0,
        )
        made = calibrate(request, lambda title, done, total: None).bundle
        variants += [one for one in made.card.variants if one.precision == "int8"]
        for variant in variants:
            for entry in variant.files:
                if (made.path / entry.file).is_file():
                    shutil.copyfile(made.path / entry.file, folder / entry.file)
    bundle = open_bundle(folder / "onnx")
    for name in ("model.onnx", "probe.npz"):
        shutil.copyfile(bundle.path / name, folder / name)
    return _with_variants(folder, bundle, [bundle.card.variants[0], *variants])


def _with_variants(folder: Path, bundle: Bundle, variants: list[Variant]) -> Bundle:
    card = bundle.card.model_copy(update={"variants": tuple(variants)})
    (folder / CARD_NAME).write_text(card.to_json(), encoding="utf-8")
    return open_bundle(folder)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return _with_int8(tmp_path_factory.mktemp("int8"))


@pytest.fixture
def copy(bundle: Bundle, tmp_path: Path) -> Bundle:
    return open_bundle(Path(shutil.copytree(bundle.path, tmp_path / "copy")))


def _on_video(bundle: Bundle) -> Bundle:
    """The same, as if it had been calibrated on video."""
    trusted = [
        one
        if one.int8 is None
        else one.model_copy(update={"int8": one.int8.model_copy(update={"random_data": False})})
        for one in bundle.card.variants
    ]
    return _with_variants(bundle.path, bundle, trusted)


def test_every_graph_is_verified_on_every_engine_that_runs_it(bundle: Bundle) -> None:
    report = verify_bundle(bundle)
    assert [(one.backend, one.graph) for one in report.comparisons] == ROWS
    assert report.passed
    for one in report.comparisons:
        off = one.max_rel_diff
        exact = one.staged or one.precision == "fp32"  # stages are compared with the whole graph
        assert off < 1e-5 if exact else 1e-3 < off < one.tolerance


def test_another_int8_graph_is_found_out(copy: Bundle, tmp_path: Path) -> None:
    other = _with_int8(tmp_path / "other", seed=3)
    shutil.copyfile(other.path / "model.int8.onnx", copy.path / "model.int8.onnx")
    file = BundleFile.of(copy.path / "model.int8.onnx").model_dump()
    variants = [
        one.model_copy(update=file) if one.file == "model.int8.onnx" else one
        for one in copy.card.variants
    ]
    report = verify_bundle(_with_variants(copy.path, copy, variants))
    failed = [(one.backend, one.graph) for one in report.comparisons if not one.passed]
    graphs = ("int8", "int8 in stages")
    assert failed == [(backend, graph) for backend in ("openvino", "cpu") for graph in graphs]


@pytest.mark.parametrize("graph", ["int8", "int8 IR"])
def test_openvino_computes_in_int8(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, graph: str
) -> None:
    """The hint that keeps fp32 graphs in float32 must not undo INT8."""
    compiled: list[Any] = []
    real = openvino.Core.compile_model

    def spy(core: Any, *arguments: Any) -> Any:
        compiled.append(real(core, *arguments))
        return compiled[-1]

    monkeypatch.setattr(openvino.Core, "compile_model", spy)
    (variant,) = [one for one in runnable(bundle.card, "openvino") if short_title(one) == graph]
    path = bundle.graph_path(variant)
    backend_named("openvino").open(path, bundle.card, OPTIONS).close()
    nodes = [node.get_rt_info() for node in compiled[0].get_runtime_model().get_ops()]
    convolutions = [node for node in nodes if node["layerType"].astype(str) == "Convolution"]
    assert len(convolutions) == 3
    assert {node["runtimePrecision"].astype(str) for node in convolutions} <= {"i8", "u8"}


@pytest.mark.parametrize("backend", ["openvino", None])
def test_auto_takes_what_the_race_says(copy: Bundle, tmp_path: Path, backend: str | None) -> None:
    trusted = _on_video(copy)
    machine = Machine(cache=ChoiceCache(tmp_path / "choices.json"))
    asked = EngineRequest(backend=backend, precision="auto", threads=2)
    files = set()
    for again in (False, True):
        choice = choose_session(trusted, asked, machine=machine)
        choice.session.close()
        assert choice.remembered is again
        assert choice.speedup is not None
        if choice.precision == "int8":
            assert choice.speedup >= WORTH_IT
            assert "as fast as fp32" in choice.line()
        files.add((choice.session.backend, choice.variant.file))
    assert len(files) == 1


def test_noise_is_not_trusted(bundle: Bundle, tmp_path: Path) -> None:
    machine = Machine(cache=ChoiceCache(tmp_path / "choices.json"))
    asked = EngineRequest(backend="cpu", precision="auto", threads=2)
    choice = choose_session(bundle, asked, machine=machine)
    choice.session.close()
    assert choice.precision == "fp32"
    assert "int8 left out: calibrated on noise" in choice.line()


@pytest.mark.parametrize("backend", [backend.name for backend in BACKENDS])
def test_int8_where_it_is_asked_for(bundle: Bundle, tmp_path: Path, backend: str) -> None:
    probe = backend_named(backend).probe()
    if not probe.ok:
        pytest.skip(f"{backend}: {probe.reason}")
    machine = Machine(cache=ChoiceCache(tmp_path / "choices.json"))
    asked = EngineRequest(backend=backend, precision="int8", threads=2)
    choice = choose_session(bundle, asked, machine=machine)
    with choice.session as session:
        clips, reference = bundle.probe()
        logits = session.run(clips)
    assert choice.precision == "int8"
    assert logits.shape == reference.shape
    assert 1e-3 < abs(logits - reference).max() / (reference.max() - reference.min()) < 0.5


def test_bench_measures_openvinos_own_format(bundle: Bundle) -> None:
    (own,) = [one for one in bundle.card.variants if one.engine == "openvino"]
    result = bench_graph(bundle, own, backend="openvino", plan=BenchPlan(iterations=2))
    assert (result.reason, result.graph) == ("", "int8 IR")
