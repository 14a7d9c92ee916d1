"""What every backend owes, run over `BACKENDS`: a new one is covered by being listed."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from models.bundle import Bundle
from models.card import ModelCard
from models.errors import BackendError, MissingExtra, UsageError
from runtime.backends import BACKENDS, backend_named
from runtime.session import Backend, Session, SessionOptions
from tests.tiny_models import tiny_network, write_tiny_bundle

OPTIONS = SessionOptions(threads=1)


@pytest.fixture(params=BACKENDS, ids=lambda backend: backend.name)
def backend(request: pytest.FixtureRequest) -> Backend:
    chosen: Backend = request.param
    probe = chosen.probe()
    if not probe.ok:
        pytest.skip(f"{chosen.name}: {probe.reason}")
    return chosen


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_tiny_bundle(tmp_path_factory.mktemp("tiny"))


def opened(backend: Backend, bundle: Bundle) -> Session:
    return backend.open(bundle.model_path(), bundle.card, OPTIONS)


def clips_for(card: ModelCard, batch: int) -> np.ndarray:
    return np.random.default_rng(7).normal(size=card.clip.input_shape(batch)).astype(np.float32)


@pytest.mark.parametrize("batch", [1, 2, 3])
def test_run_agrees_with_the_reference(backend: Backend, bundle: Bundle, batch: int) -> None:
    clips = clips_for(bundle.card, batch)
    expected = tiny_network().logits(clips)
    with opened(backend, bundle) as session:
        logits = session.run(clips)
    assert logits.dtype == np.float32
    assert logits.shape == (batch, bundle.card.classes)
    # bfloat16 arithmetic, a default of some engines, misses this by two orders of magnitude.
    np.testing.assert_allclose(logits, expected, atol=1e-5 * np.ptp(expected))


def test_order_of_frames_matters(backend: Backend, bundle: Bundle) -> None:
    clips = clips_for(bundle.card, 1)
    reversed_clips = np.ascontiguousarray(clips[:, ::-1])
    with opened(backend, bundle) as session:
        logits = session.run(clips)
        reversed_logits = session.run(reversed_clips)
    np.testing.assert_allclose(reversed_logits, tiny_network().logits(reversed_clips), atol=1e-3)
    assert np.abs(logits - reversed_logits).max() > 0.1


def test_batch_size_may_change_between_calls(backend: Backend, bundle: Bundle) -> None:
    clips = clips_for(bundle.card, 3)
    expected = tiny_network().logits(clips)
    with opened(backend, bundle) as session:
        for start, stop in ((0, 3), (0, 1), (1, 3), (2, 3), (0, 3)):
            np.testing.assert_allclose(
                session.run(clips[start:stop]), expected[start:stop], atol=1e-3
            )


def test_fixed_batch_graph_takes_any_number_of_clips(backend: Backend, tmp_path: Path) -> None:
    bundle = write_tiny_bundle(tmp_path, batch=2)
    clips = clips_for(bundle.card, 5)
    with opened(backend, bundle) as session:
        np.testing.assert_allclose(session.run(clips), tiny_network().logits(clips), atol=1e-3)


def test_input_is_untouched_and_output_is_owned_by_the_caller(
    backend: Backend, bundle: Bundle
) -> None:
    clips = clips_for(bundle.card, 1)
    kept = clips.copy()
    with opened(backend, bundle) as session:
        first = session.run(clips)
        copied = first.copy()
        session.run(clips * 2)
        np.testing.assert_array_equal(first, copied)
        first[:] = 0
        np.testing.assert_array_equal(session.run(clips), copied)
    np.testing.assert_array_equal(clips, kept)


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [
        ((4, 3, 16, 16), np.float32),
        ((1, 5, 3, 16, 16), np.float32),
        ((1, 4, 16, 16, 3), np.float32),
        ((1, 4, 3, 16, 16), np.float64),
    ],
)
def test_wrong_input_is_refused(
    backend: Backend, bundle: Bundle, shape: tuple[int, ...], dtype: type[np.floating]
) -> None:
    with opened(backend, bundle) as session, pytest.raises(UsageError, match=r"\[N, 4, 3, 16, 16"):
        session.run(np.zeros(shape, dtype))


def test_names_itself(backend: Backend, bundle: Bundle) -> None:
    with opened(backend, bundle) as session:
        assert session.backend == backend.name
        assert any(character.isdigit() for character in session.engine), "version in the name"


def test_close_is_idempotent_and_use_after_it_says_so(backend: Backend, bundle: Bundle) -> None:
    session = opened(backend, bundle)
    session.close()
    session.close()
    with pytest.raises(BackendError, match="closed"):
        session.run(clips_for(bundle.card, 1))


@pytest.mark.parametrize("keep_bytes", [0, 1, 700])
def test_corrupt_graph_is_a_backend_error(
    backend: Backend, bundle: Bundle, tmp_path: Path, keep_bytes: int
) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(bundle.model_path().read_bytes()[:keep_bytes])
    with pytest.raises(BackendError, match=r"could not load .*broken\.onnx") as caught:
        backend.open(path, bundle.card, OPTIONS)
    assert "\n" not in caught.value.message
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize("listed", BACKENDS, ids=lambda listed: listed.name)
@pytest.mark.parametrize("module", ["onnxruntime", "openvino"])
def test_probe_reports_a_missing_engine(
    listed: Backend, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = listed.probe()
    monkeypatch.setitem(sys.modules, module, None)
    probe = listed.probe()
    if probe != before:
        assert probe.reason == f"{module} is not installed"
        assert probe.hint == f"pip install 'edgecls[{listed.extra}]'"
        with pytest.raises(MissingExtra, match="not installed"):
            listed.open(Path("model.onnx"), None, OPTIONS)  # type: ignore[arg-type]


def test_a_missing_engine_changes_some_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.setitem(sys.modules, "openvino", None)
    assert [listed.probe().ok for listed in BACKENDS] == [False] * len(BACKENDS)


@pytest.mark.parametrize("listed", BACKENDS, ids=lambda listed: listed.name)
def test_probe_reports_a_broken_engine(
    listed: Backend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("onnxruntime", "openvino"):
        (tmp_path / f"{module}.py").write_text("raise OSError('libengine.so: bad ELF header')")
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    probe = listed.probe()
    assert not probe.ok
    assert "does not load: libengine.so: bad ELF header" in probe.reason
    assert "--force-reinstall" in probe.hint


def test_backend_named() -> None:
    assert [backend_named(listed.name) for listed in BACKENDS] == list(BACKENDS)
    with pytest.raises(UsageError, match="'tpu'") as caught:
        backend_named("tpu")
    assert caught.value.hint == "Backends: auto, tensorrt, cuda, openvino, cpu."
