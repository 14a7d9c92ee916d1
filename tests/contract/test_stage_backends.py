"""What every backend that runs stages owes, run over `BACKENDS`."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from models.bundle import Bundle
from models.errors import BackendError, MissingExtra
from models.stages import Stage
from runtime.backends import BACKENDS
from runtime.incremental import StreamClip, open_incremental
from runtime.incremental.walk import walk
from runtime.session import Backend, SessionOptions
from runtime.stage_session import Array, StageSession
from tests.fakes import frame_at
from tests.staged_models import CROP, FRAMES, WIDTH, write_staged_bundle

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
OPTIONS = SessionOptions(threads=1)
SLOTS = 6


@pytest.fixture(params=BACKENDS, ids=lambda backend: backend.name)
def backend(request: pytest.FixtureRequest) -> Backend:
    chosen: Backend = request.param
    probe = chosen.probe()
    if not probe.ok:
        pytest.skip(f"{chosen.name}: {probe.reason}")
    if chosen.open_stage is None:
        pytest.skip(f"{chosen.name} does not run stages")
    return chosen


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_staged_bundle(tmp_path_factory.mktemp("staged"))


def stage_of(bundle: Bundle, number: int) -> tuple[Path, Stage]:
    variant = bundle.card.variants[0]
    return bundle.stage_paths(variant)[number], variant.stages[number]


def opened(backend: Backend, bundle: Bundle, number: int) -> StageSession:
    assert backend.open_stage is not None
    return backend.open_stage(*stage_of(bundle, number), OPTIONS)


def maps() -> Array:
    return np.random.default_rng(5).normal(size=(SLOTS, WIDTH, 7, 7)).astype(np.float32)


ROWS = np.array([[-1, 0, 1], [0, 1, 2], [4, 5, -1], [3, 3, 3], [2, 0, 5]], np.int64)


def mixed(session: StageSession, cache: Array, rows: Array) -> Array:
    result = np.full((len(rows), WIDTH, 3, 3), np.nan, np.float32)
    session.compute([cache, rows], [result])
    return result


def test_a_walk_agrees_with_the_whole_graph(backend: Backend, bundle: Bundle) -> None:
    variant = bundle.card.variants[0]
    with (
        backend.open(bundle.model_path(), bundle.card, OPTIONS) as whole,
        open_incremental(bundle, variant, backend, OPTIONS, streams=2) as staged,
    ):
        assert (staged.backend, staged.engine) == (whole.backend, whole.engine)
        staged.warm_up()
        report = walk(staged, whole, steps=40, streams=2)
    assert report.passed, report
    assert report.tolerance == pytest.approx(1e-4)


@pytest.mark.parametrize("prepared", [(), (1,), (3,), (2, 3)])
def test_any_number_of_rows_whatever_was_prepared(
    backend: Backend, bundle: Bundle, prepared: tuple[int, ...]
) -> None:
    cache = maps()
    with opened(backend, bundle, 1) as session:
        expected = np.concatenate([mixed(session, cache, ROWS[n : n + 1]) for n in range(5)])
        assert np.isfinite(expected).all()
        session.prepare(prepared or (1,), slots=SLOTS)
        for count in (5, 1, 2, 3, 4):
            np.testing.assert_allclose(
                mixed(session, cache, ROWS[:count]), expected[:count], atol=1e-5
            )


def test_results_are_written_into_part_of_an_array(backend: Backend, bundle: Bundle) -> None:
    """Rows of a cache that lie together are a destination; others stay as they are."""
    frames = np.random.default_rng(6).normal(size=(3, 3, CROP, CROP)).astype(np.float32)
    cache = np.full((SLOTS, WIDTH, 7, 7), np.nan, np.float32)
    with opened(backend, bundle, 0) as session:
        session.prepare((1,), slots=0)
        session.compute([frames], [cache[2:5]])
        assert np.isfinite(cache[2:5]).all()
        assert np.isnan(cache[:2]).all()
        assert np.isnan(cache[5:]).all()
        kept = cache.copy()
        session.compute([frames * 2], [np.empty_like(kept[2:5])])
        np.testing.assert_array_equal(cache, kept)


def test_slots_may_change_in_number_and_in_content(backend: Backend, bundle: Bundle) -> None:
    features = np.arange(SLOTS * WIDTH, dtype=np.float32).reshape(SLOTS, WIDTH)
    rows = np.array([[0, 1, 2, 3]], np.int64)
    logits = [np.empty((1, bundle.card.classes), np.float32) for _ in range(4)]
    with opened(backend, bundle, 3) as session:
        session.compute([features, rows], [logits[0]])
        session.compute([features[:FRAMES].copy(), rows], [logits[1]])
        features[:FRAMES] += 1
        session.compute([features, rows], [logits[2]])
        features[FRAMES:] += 1
        session.compute([features, rows], [logits[3]])
    np.testing.assert_allclose(logits[0], logits[1], rtol=1e-6)
    np.testing.assert_allclose(logits[2], logits[3], rtol=1e-6)
    assert np.abs(logits[0] - logits[2]).max() > 1e-3


def test_inputs_are_untouched(backend: Backend, bundle: Bundle) -> None:
    cache, rows = maps(), ROWS.copy()
    with opened(backend, bundle, 1) as session:
        mixed(session, cache, rows)
    np.testing.assert_array_equal(cache, maps())
    np.testing.assert_array_equal(rows, ROWS)


def test_a_graph_that_is_not_what_the_card_says(backend: Backend, bundle: Bundle) -> None:
    assert backend.open_stage is not None
    (path, _), (_, other) = stage_of(bundle, 0), stage_of(bundle, 3)
    with pytest.raises(BackendError, match=r"takes frames float32; the card says features float32"):
        backend.open_stage(path, other, OPTIONS)


@pytest.mark.parametrize("keep_bytes", [0, 300])
def test_a_corrupt_graph(backend: Backend, bundle: Bundle, tmp_path: Path, keep_bytes: int) -> None:
    assert backend.open_stage is not None
    path, stage = stage_of(bundle, 1)
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(path.read_bytes()[:keep_bytes])
    with pytest.raises(BackendError, match=r"could not load .*broken\.onnx") as caught:
        backend.open_stage(broken, stage, OPTIONS)
    assert "\n" not in caught.value.message


def test_close_is_idempotent_and_use_after_it_says_so(backend: Backend, bundle: Bundle) -> None:
    session = opened(backend, bundle, 1)
    session.close()
    session.close()
    with pytest.raises(BackendError, match="closed"):
        session.prepare((1,), slots=SLOTS)
    with pytest.raises(BackendError, match="closed"):
        mixed(session, maps(), ROWS)


def test_a_failing_engine_is_a_backend_error(backend: Backend, bundle: Bundle) -> None:
    with (
        opened(backend, bundle, 1) as session,
        pytest.raises(BackendError, match=r"could not run the shifted \(-1, 0, \+1\) stage"),
    ):
        session.compute([maps(), ROWS], [np.empty((5, WIDTH, 9, 9), np.float32)])


def test_a_missing_engine(
    backend: Backend, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert backend.open_stage is not None
    for module in ("onnxruntime", "openvino"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtra, match="not installed"):
        backend.open_stage(*stage_of(bundle, 0), OPTIONS)


@pytest.mark.parametrize("neighbours", [True, False])
def test_approximate_steps(backend: Backend, bundle: Bundle, neighbours: bool) -> None:
    """As a clip in the middle of a film of which the model sees every frame."""
    rng = np.random.default_rng(8)
    film = [
        frame_at(float(n), n, picture=rng.integers(0, 256, (CROP, CROP, 3), dtype=np.uint8))
        for n in range(14)
    ]
    variant = bundle.card.variants[0]
    with open_incremental(bundle, variant, backend, OPTIONS, reuse="approx") as staged:
        staged.warm_up()
        steps = []
        for start in range(2, 8):
            end = start + FRAMES
            clip = StreamClip(
                frames=tuple(film[start:end]),
                before=tuple(film[:start]),
                after=tuple(film[end:]) if neighbours else (),
            )
            steps.append(staged.run([clip]))
        assert staged.rows_computed == ((1, 1, 1, 1) if neighbours else (1, 2, 3, 1))
        staged.forget(0)
        anew = staged.run([clip])
    np.testing.assert_allclose(steps[-1], anew, atol=1e-4)
