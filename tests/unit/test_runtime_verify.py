"""Verification: whole bundles pass, and each kind of damage is told apart."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.bundle import Bundle, open_bundle
from models.card import CARD_NAME, BundleFile, ModelCard, Variant, VariantCheck
from models.errors import BackendError, BundleError
from models.spec import ClipSpec
from runtime.backends import BACKENDS
from runtime.comparison import TOLERANCE, compare, least_agreement, tolerance
from runtime.incremental.walk import EXACT
from runtime.onnx_metadata import onnx_metadata
from runtime.session import Backend, Probe, Session, SessionOptions
from runtime.verify import verify_bundle
from tests.staged_models import with_card, write_staged_bundle
from tests.tiny_models import LABELS, tiny_network, write_tiny_bundle, write_tiny_onnx
from tests.variants import add_graph, add_int8

FP32 = Variant(file="model.onnx", sha256="0" * 64, size_bytes=1, precision="fp32")
WORKING = tuple(backend for backend in BACKENDS if backend.probe().ok)
ABSENT = Backend(
    name="absent",
    extra="cpu",
    probe=lambda: Probe(ok=False, reason="it is not installed"),
    open=lambda path, card, options: pytest.fail("must not be opened"),
)


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return write_tiny_bundle(tmp_path / "tiny")


def with_graph(bundle: Bundle, *, labels: tuple[str, ...] = LABELS, seed: int = 0) -> Bundle:
    """The bundle with another graph, and a card that vouches for it."""
    path = bundle.path / "model.onnx"
    write_tiny_onnx(path, tiny_network(seed=seed), clip=bundle.card.clip, labels=labels)
    card = json.loads((bundle.path / CARD_NAME).read_text())
    card["variants"][0].update(BundleFile.of(path).model_dump())
    (bundle.path / CARD_NAME).write_text(json.dumps(card))
    return open_bundle(bundle.path)


@pytest.mark.skipif(not WORKING, reason="no engine installed")
def test_whole_bundle_passes(bundle: Bundle) -> None:
    report = verify_bundle(bundle, backends=(*WORKING, ABSENT))
    assert report.passed
    assert report.metadata == "agrees"
    assert {one.file for one in report.files} == {"model.onnx", "probe.npz"}
    assert [one.backend for one in report.comparisons] == [one.name for one in WORKING]
    assert [(no.backend, no.reason) for no in report.not_run] == [("absent", "it is not installed")]
    for one in report.comparisons:
        assert 0 <= one.max_rel_diff < 1e-5
        assert one.top1_agreement == 1.0


@pytest.mark.skipif(not WORKING, reason="no engine installed")
def test_wrong_weights_fail(bundle: Bundle) -> None:
    report = verify_bundle(with_graph(bundle, seed=5))
    assert not report.passed
    assert all(one.max_rel_diff > TOLERANCE for one in report.comparisons)


def test_no_backend_is_an_error_not_a_pass(bundle: Bundle) -> None:
    with pytest.raises(BackendError, match="absent: it is not installed"):
        verify_bundle(bundle, backends=(ABSENT,))


@pytest.mark.parametrize("file", ["model.onnx", "probe.npz"])
@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
def test_damaged_file(bundle: Bundle, file: str, damage: str) -> None:
    path = bundle.path / file
    content = bytearray(path.read_bytes())
    if damage == "flip":
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    elif damage == "cut":
        path.write_bytes(content[:-1])
    else:
        path.unlink()
    with pytest.raises(BundleError, match=file):
        verify_bundle(bundle)


def test_graph_that_contradicts_the_card(bundle: Bundle) -> None:
    altered = with_graph(bundle, labels=("still", "pan right", "pan left", "zoom in"))
    with pytest.raises(BundleError, match="disagree about the labels"):
        verify_bundle(altered)


def test_card_with_other_preprocessing(bundle: Bundle) -> None:
    card = json.loads((bundle.path / CARD_NAME).read_text())
    card["clip"]["mean"] = [0.5, 0.5, 0.5]
    (bundle.path / CARD_NAME).write_text(json.dumps(card))
    with pytest.raises(BundleError, match="disagree about the preprocessing"):
        verify_bundle(open_bundle(bundle.path))


@pytest.mark.skipif(not WORKING, reason="no engine installed")
def test_graph_without_metadata_is_reported_as_absent(bundle: Bundle) -> None:
    onnx = pytest.importorskip("onnx")
    path = bundle.path / "model.onnx"
    model = onnx.load(path)
    del model.metadata_props[:]
    path.write_bytes(model.SerializeToString())
    card = json.loads((bundle.path / CARD_NAME).read_text())
    card["variants"][0].update(BundleFile.of(path).model_dump())
    (bundle.path / CARD_NAME).write_text(json.dumps(card))
    report = verify_bundle(open_bundle(bundle.path))
    assert report.metadata == "absent"
    assert report.passed


class _Constant:
    """A session that always gives the same logits."""

    backend = "constant"
    engine = "constant 1"

    def __init__(self, row: list[float]) -> None:
        self._row = np.array(row, np.float32)

    def run(self, clips: np.ndarray) -> np.ndarray:
        return np.tile(self._row, (len(clips), 1))


@pytest.mark.parametrize(
    ("row", "passed", "top1"),
    [
        ([0.0, 10.0], True, 1.0),
        ([0.0, 10.009], True, 1.0),
        ([0.0, 10.02], False, 1.0),
        ([10.0, 0.0], False, 0.0),
        ([float("nan"), 10.0], False, 0.0),
        ([0.0, float("inf")], False, 1.0),
    ],
)
def test_tolerance(row: list[float], passed: bool, top1: float) -> None:
    clips = np.zeros((2, 4, 3, 16, 16), np.float32)
    reference = np.array([[0.0, 10.0], [0.0, 10.0]], np.float32)
    result = compare(_Constant(row), clips, reference, variant=FP32)  # type: ignore[arg-type]
    assert (result.passed, result.top1_agreement) == (passed, top1)


def recorded(precision: str, *, max_rel_diff: float, top1_agreement: float = 1.0) -> Variant:
    """A graph whose difference is in the card."""
    check = VariantCheck(
        clips=3, max_rel_diff=max_rel_diff, max_probability_diff=0.1, top1_agreement=top1_agreement
    )
    return Variant.model_validate({**FP32.model_dump(), "precision": precision, "check": check})


@pytest.mark.parametrize(
    ("variant", "allowed"),
    [
        (FP32, TOLERANCE),
        (recorded("fp32", max_rel_diff=0.5), TOLERANCE),
        (recorded("fp16", max_rel_diff=2e-3), 8e-3),
        (recorded("fp16", max_rel_diff=1e-6), TOLERANCE),
        (recorded("int8", max_rel_diff=0.2), 0.3),
        (FP32.model_copy(update={"precision": "fp16"}), 2e-2),
        (FP32.model_copy(update={"precision": "int8"}), 0.5),
    ],
)
def test_tolerance_of_a_graph(variant: Variant, allowed: float) -> None:
    assert tolerance(variant) == pytest.approx(allowed)


@pytest.mark.parametrize(
    ("off", "passed"), [(0.0, True), (2.99, True), (3.01, False), (float("nan"), False)]
)
def test_int8_is_held_to_its_record(off: float, passed: bool) -> None:
    clips = np.zeros((2, 4, 3, 16, 16), np.float32)
    reference = np.array([[0.0, 10.0], [0.0, 10.0]], np.float32)
    variant = recorded("int8", max_rel_diff=0.2)
    result = compare(_Constant([off, 10.0]), clips, reference, variant=variant)  # type: ignore[arg-type]
    assert result.tolerance == pytest.approx(0.3)
    assert result.passed is passed
    assert (result.title, result.precision) == ("constant int8", "int8")


def test_int8_may_lose_one_close_decision_but_not_two() -> None:
    clips = np.zeros((3, 4, 3, 16, 16), np.float32)
    variant = recorded("int8", max_rel_diff=0.2)
    assert least_agreement(variant, 3) == pytest.approx(2 / 3)
    assert least_agreement(recorded("fp16", max_rel_diff=0.2), 3) == 0
    one = np.array([[0.0, 1.0, 10.0], [0.0, 10.0, 9.0], [0.0, 1.0, 10.0]], np.float32)
    session = _Constant([0.0, 8.5, 9.0])
    close = np.array([[0, 8.0, 9.0], [0, 9.0, 8.0], [0, 8.0, 10.0]], np.float32)
    assert compare(session, clips, close, variant=variant).passed  # type: ignore[arg-type]
    two = np.array([[0, 9.0, 8.0], [0, 9.0, 8.0], [0, 8.0, 10.0]], np.float32)
    result = compare(session, clips, two, variant=variant)  # type: ignore[arg-type]
    assert (result.passed, result.max_rel_diff <= result.tolerance) == (False, True)
    assert not compare(session, clips, one, variant=variant).passed  # type: ignore[arg-type]


@pytest.mark.skipif(not WORKING, reason="no engine installed")
def test_every_graph_runs_where_it_can(bundle: Bundle) -> None:
    more = add_graph(bundle, "model.batch2.onnx", precision="fp32", batch=2)
    more = add_graph(more, "model.fp16.onnx", precision="fp16")
    more = add_int8(more)
    report = verify_bundle(more, backends=(*WORKING, ABSENT))
    assert report.passed
    graphs = ["fp32", "fp32, batch 2", "fp16", "int8"]
    assert [(one.backend, one.graph) for one in report.comparisons] == [
        (backend.name, graph) for backend in WORKING for graph in graphs
    ]


@pytest.mark.skipif(not WORKING, reason="no engine installed")
def test_a_graph_that_one_engine_does_not_load_is_listed(bundle: Bundle) -> None:
    broken = add_int8(bundle)
    own = replace(WORKING[0], open=_refusing_int8(WORKING[0]))
    report = verify_bundle(broken, backends=(own,))
    assert report.passed
    assert [(no.backend, no.graph) for no in report.not_run] == [(own.name, "int8")]


def _refusing_int8(backend: Backend) -> Callable[[Path, ModelCard, SessionOptions], Session]:
    def opening(path: Path, card: ModelCard, options: SessionOptions) -> Session:
        if "int8" in path.name:
            raise BackendError("u8 is not supported.")
        return backend.open(path, card, options)

    return opening


@pytest.mark.parametrize("row", [[0.0], [0.0, 1.0, 2.0]])
def test_logits_of_another_shape(row: list[float]) -> None:
    clips, reference = np.zeros((2, 4, 3, 16, 16), np.float32), np.ones((2, 2), np.float32)
    with pytest.raises(BackendError, match=rf"logits of shape \[2, {len(row)}\] for 2 clips"):
        compare(_Constant(row), clips, reference, variant=FP32)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["[" * 100_000, "{}", "7", "not JSON"])
def test_metadata_that_is_none(bundle: Bundle, text: str) -> None:
    onnx = pytest.importorskip("onnx")
    path = bundle.path / "model.onnx"
    model = onnx.load(path)
    model.metadata_props[0].value = text
    path.write_bytes(model.SerializeToString())
    card = json.loads((bundle.path / CARD_NAME).read_text())
    card["variants"][0].update(BundleFile.of(path).model_dump())
    (bundle.path / CARD_NAME).write_text(json.dumps(card))
    with pytest.raises(BundleError, match=r"metadata inside model\.onnx cannot be read"):
        verify_bundle(open_bundle(bundle.path))


def test_constant_reference_needs_equality() -> None:
    clips = np.zeros((1, 4, 3, 16, 16), np.float32)
    flat = np.ones((1, 2), np.float32)
    assert compare(_Constant([1.0, 1.0]), clips, flat, variant=FP32).passed  # type: ignore[arg-type]
    assert not compare(_Constant([1.0, 1.001]), clips, flat, variant=FP32).passed  # type: ignore[arg-type]


def test_metadata_reader_agrees_with_onnx(bundle: Bundle) -> None:
    onnx = pytest.importorskip("onnx")
    path = bundle.path / "model.onnx"
    expected = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    assert onnx_metadata(path) == expected
    assert ClipSpec.model_validate(json.loads(expected["edgecls.clip"])) == bundle.card.clip


@pytest.mark.parametrize(
    "content",
    [
        *(b"\xff" * 20, b"\x0f", b"\x72\x7fabc", b"\x80", b"\x72\x02\x0a\xff"),
        b"\x72\x00" * 100_001,
    ],
    ids=lambda content: f"{len(content)} bytes",
)
def test_metadata_reader_refuses_garbage(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(BundleError, match="not an ONNX model"):
        onnx_metadata(path)


def test_metadata_reader_skips_other_fields(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    pair = b"\x0a\x01k\x12\x01v"
    path.write_bytes(
        b"\x08\x08" + b"\x15abcd" + b"\x19abcdefgh" + b"\x72" + bytes([len(pair)]) + pair
    )
    assert onnx_metadata(path) == {"k": "v"}
    path.write_bytes(b"")
    assert onnx_metadata(path) == {}


@pytest.mark.skipif(not WORKING, reason="no engine installed")
def test_stages_are_held_to_the_whole_graph(tmp_path: Path) -> None:
    staged = write_staged_bundle(tmp_path)
    report = verify_bundle(staged, backends=WORKING)
    assert report.passed
    assert [(one.backend, one.graph, one.staged) for one in report.comparisons] == [
        (backend.name, graph, graph != "fp32")
        for backend in WORKING
        for graph in ("fp32", "fp32 in stages")
    ]
    assert {one.tolerance for one in report.comparisons} == {TOLERANCE, EXACT}
    assert [file.file for file in report.files][:2] == ["model.onnx", "stream.frame.onnx"]

    without = replace(WORKING[0], open_stage=None)
    report = verify_bundle(staged, backends=(without,))
    assert report.passed
    assert [(no.graph, no.reason) for no in report.not_run] == [
        ("fp32 in stages", f"Backend {without.name} does not run models in stages")
    ]


@pytest.mark.skipif(not WORKING, reason="no engine installed")
def test_stages_of_another_model_fail(tmp_path: Path) -> None:
    staged = write_staged_bundle(tmp_path)
    (variant,) = staged.card.variants
    path = staged.path / variant.stages[-1].file
    onnx = pytest.importorskip("onnx")
    model = onnx.load(path)
    weights = next(one for one in model.graph.initializer if one.name == "w")
    weights.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(weights) * 1.01, "w"))
    path.write_bytes(model.SerializeToString())
    window = variant.stages[-1].model_copy(update=BundleFile.of(path).model_dump())
    stages = (*variant.stages[:-1], window)
    staged = with_card(staged, variants=(variant.model_copy(update={"stages": stages}),))
    report = verify_bundle(staged, backends=WORKING[:1])
    assert [one.passed for one in report.comparisons] == [True, False]
    assert not report.passed
