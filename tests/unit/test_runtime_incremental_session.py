"""Incremental sessions on a real engine: what they compute, keep, forget and refuse."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.bundle import Bundle
from models.errors import BackendError, BundleError, UsageError
from models.stages import Temporal
from runtime.backends import backend_named
from runtime.backends._ort_stage import OrtStageSession
from runtime.incremental import (
    IncrementalSession,
    Sharing,
    StreamClip,
    open_incremental,
)
from runtime.incremental.walk import EXACT, WalkReport, walk
from runtime.preprocess import clip_tensor
from runtime.records import Frame
from runtime.session import Session, SessionOptions, Tensor
from tests.fakes import frame_at
from tests.staged_models import CROP, FRAMES, with_card, write_staged_bundle

pytest.importorskip("onnx")
CPU = backend_named("cpu")
if not CPU.probe().ok:
    pytest.skip(CPU.probe().reason, allow_module_level=True)
OPTIONS = SessionOptions(threads=1)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_staged_bundle(tmp_path_factory.mktemp("staged"))


@pytest.fixture(scope="module")
def whole(bundle: Bundle) -> Iterator[Session]:
    with CPU.open(bundle.model_path(), bundle.card, OPTIONS) as session:
        yield session


def opened(bundle: Bundle, **sharing: Any) -> IncrementalSession:
    return open_incremental(bundle, bundle.card.variants[0], CPU, OPTIONS, **sharing)


def film(count: int, *, seed: int = 0) -> list[Frame]:
    rng = np.random.default_rng(seed)
    pictures = rng.integers(0, 256, (count, CROP, CROP, 3), dtype=np.uint8)
    return [
        frame_at(float(index), index, picture=picture) for index, picture in enumerate(pictures)
    ]


def clip_at(frames: Sequence[Frame], start: int, stream: int = 0) -> StreamClip:
    return StreamClip(frames=tuple(frames[start : start + FRAMES]), stream=stream)


def reference(whole: Session, bundle: Bundle, clips: Sequence[StreamClip]) -> Tensor:
    tensors = [
        clip_tensor([one.picture for one in clip.frames], bundle.card.clip) for clip in clips
    ]
    return whole.run(np.concatenate(tensors))


def close(ours: Tensor, theirs: Tensor) -> bool:
    return bool(np.abs(ours - theirs).max() <= EXACT * np.ptp(theirs))


def test_a_step_computes_what_changed(bundle: Bundle, whole: Session) -> None:
    frames = film(12)
    with opened(bundle) as session:
        assert session.rows_computed == (0, 0, 0, 0)
        for start in range(9):
            clips = [clip_at(frames, start)]
            assert close(session.run(clips), reference(whole, bundle, clips))
            assert session.rows_computed == ((4, 4, 4, 1) if start == 0 else (1, 3, 4, 1))


def test_streams_in_one_batch_and_more_clips_than_streams(bundle: Bundle, whole: Session) -> None:
    films = [film(12, seed=seed) for seed in range(3)]
    with opened(bundle, streams=2) as session:
        for start in range(9):
            clips = [clip_at(films[stream], start, stream) for stream in (0, 1)]
            assert close(session.run(clips), reference(whole, bundle, clips))
        assert session.rows_computed == (2, 6, 8, 2)
        clips = [clip_at(films[n % 3], n // 2, n % 3) for n in range(10)]
        assert close(session.run(clips), reference(whole, bundle, clips))
        *_, run_clips = session.rows_computed
        assert run_clips == 10
        assert session.run([]).shape == (0, bundle.card.classes)
        assert session.rows_computed == (0, 0, 0, 0)


def test_phases(bundle: Bundle, whole: Session) -> None:
    frames = film(20)
    with opened(bundle, phases=2) as session:
        for start in range(12):
            clips = [StreamClip(frames=tuple(frames[start : start + 2 * FRAMES : 2]))]
            assert close(session.run(clips), reference(whole, bundle, clips))
        assert session.rows_computed == (1, 3, 4, 1)
    with opened(bundle) as one, opened(bundle, phases=2) as two:
        assert two.memory_bytes == 2 * one.memory_bytes


def test_memory_is_stated_per_stream(bundle: Bundle) -> None:
    row_bytes = sum(stage.row_bytes for stage in bundle.card.variants[0].stages)
    with opened(bundle, streams=3) as session:
        assert session.memory_bytes == 3 * FRAMES * row_bytes
        assert session.memory_bytes_per_stream == FRAMES * row_bytes
        session.warm_up(streams=5)
        assert session.memory_bytes == 5 * FRAMES * row_bytes
        session.close()
        assert session.memory_bytes == 0


def test_forgotten_streams_and_frames_of_the_same_number(bundle: Bundle, whole: Session) -> None:
    first, second = film(8), film(8, seed=1)
    later = [replace(frame, arrived_s=frame.arrived_s + 100) for frame in second]
    with opened(bundle) as session:
        session.run([clip_at(first, 0)])
        clips = [clip_at(later, 0)]
        assert close(session.run(clips), reference(whole, bundle, clips))
        assert session.rows_computed[0] == FRAMES, "other frames, though their numbers are known"
        session.forget(0)
        session.run(clips)
        assert session.rows_computed[0] == FRAMES
        session.run(clips)
        assert session.rows_computed == (0, 0, 0, 1)


def test_approximate_reuse_takes_real_neighbours(bundle: Bundle, whole: Session) -> None:
    frames = film(16)
    with opened(bundle, reuse="approx") as session:
        assert session.reuse == "approx"
        for start in range(3, 9):
            clip = replace(
                clip_at(frames, start),
                before=tuple(frames[:start]),
                after=tuple(frames[start + FRAMES :]),
            )
            approximate = session.run([clip])
        assert session.rows_computed == (1, 1, 1, 1)
        exact = reference(whole, bundle, [clip])
        assert not close(approximate, exact)
        alone = replace(clip, before=(), after=(), stream=1)
        assert close(session.run([alone]), exact), "without neighbours there is nothing but zeros"
    with opened(bundle) as session:
        assert close(session.run([clip]), exact), "exact reuse does not look at them"


def test_warm_up_leaves_no_trace(bundle: Bundle, whole: Session) -> None:
    clips = [clip_at(film(8), 0)]
    with opened(bundle) as session:
        session.warm_up()
        assert close(session.run(clips), reference(whole, bundle, clips))
        assert session.rows_computed[0] == FRAMES


class _Interrupted(Exception):
    pass


def test_after_a_failure_everything_is_computed_anew(
    bundle: Bundle, whole: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = film(10)
    with opened(bundle) as session:
        session.run([clip_at(frames, 0)])
        compute = OrtStageSession.compute

        def failing(self: OrtStageSession, inputs: Any, outputs: Any) -> None:
            if len(inputs) > 1:
                raise _Interrupted
            compute(self, inputs, outputs)

        with monkeypatch.context() as patched:
            patched.setattr(OrtStageSession, "compute", failing)
            with pytest.raises(_Interrupted):
                session.run([clip_at(frames, 1)])
        clips = [clip_at(frames, 1)]
        assert close(session.run(clips), reference(whole, bundle, clips))
        assert session.rows_computed[0] == FRAMES


def test_what_does_not_fit_is_refused(bundle: Bundle) -> None:
    frames = film(FRAMES)
    wide = [replace(frame, picture=np.zeros((CROP, CROP + 1, 3), np.uint8)) for frame in frames]
    with opened(bundle) as session:
        with pytest.raises(UsageError, match="takes 4 frames, got 3"):
            session.run([StreamClip(frames=tuple(frames[:3]))])
        with pytest.raises(UsageError, match=r"\[16, 16, 3\], got uint8 \[16, 17, 3\]"):
            session.run([clip_at(wide, 0)])
    session.close()
    with pytest.raises(BackendError, match="closed"):
        session.run([clip_at(frames, 0)])
    with pytest.raises(BackendError, match="closed"):
        session.warm_up()
    with pytest.raises(UsageError, match="0 streams in 1 phases"):
        Sharing(streams=0)


def test_what_cannot_be_opened_says_why(bundle: Bundle, tmp_path: Path) -> None:
    variant = bundle.card.variants[0]
    bare = variant.model_copy(update={"stages": ()})
    with pytest.raises(UsageError, match="fp32 graph of tiny has no stages") as caught:
        open_incremental(bundle, bare, CPU, OPTIONS)
    assert "edgecls convert" in caught.value.hint

    altered = write_staged_bundle(tmp_path)
    reason = "every block mixes frames"
    temporal = Temporal(mixing=(), macs_per_clip=1, macs_per_step=1, reason=reason)
    with pytest.raises(UsageError, match=f"share work: {reason}\\.") as caught:
        open_incremental(with_card(altered, temporal=temporal), bare, CPU, OPTIONS)
    assert caught.value.hint == "--reuse off"

    with pytest.raises(BackendError, match="cpu does not run models in stages"):
        open_incremental(bundle, variant, replace(CPU, open_stage=None), OPTIONS)
    (altered.path / variant.stages[1].file).write_bytes(b"")
    with pytest.raises(BundleError, match=r"stream\.shift1\.onnx has 0 bytes"):
        open_incremental(altered, variant, CPU, OPTIONS)


@pytest.mark.parametrize("streams", [1, 3])
def test_walk(bundle: Bundle, whole: Session, streams: int) -> None:
    steps: list[int] = []
    with opened(bundle, streams=streams) as session:
        report = walk(session, whole, steps=60, streams=streams, on_step=steps.append)
        assert report.passed
        assert report.max_rel_diff <= report.tolerance == EXACT
        assert report.top1_agreement == 1.0
        assert report.clips >= 60
        assert 0.2 < report.reused < 0.9
        assert steps == list(range(1, 61))
        assert walk(session, whole, steps=60, streams=streams) == report, "the seed decides"


def test_walk_notices_rows_that_are_taken_for_others(
    bundle: Bundle, whole: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mistakes that a cut or a plan could make."""
    compute = OrtStageSession.compute

    def mistaken(self: OrtStageSession, inputs: Any, outputs: Any) -> None:
        if inputs[-1].dtype == np.int64:
            inputs = [*inputs[:-1], np.maximum(inputs[-1], 0)]  # outside is no longer outside
        compute(self, inputs, outputs)

    monkeypatch.setattr(OrtStageSession, "compute", mistaken)
    with opened(bundle) as session:
        report = walk(session, whole, steps=10)
    assert not report.passed


@pytest.mark.parametrize(
    ("off", "twice", "passed"),
    [(9e-5, 0.0, True), (2e-4, 0.0, False), (2e-4, 3e-4, True), (float("nan"), 1.0, False)],
)
def test_tolerance_of_a_walk(off: float, twice: float, passed: bool) -> None:
    report = WalkReport(
        clips=1,
        max_abs_diff=off,
        max_rel_diff=off,
        twice_rel_diff=twice,
        top1_agreement=1.0,
        reused=0.5,
    )
    assert report.passed is passed


def test_nothing_piles_up(bundle: Bundle) -> None:
    """Of what Python allocates; scripts/stream_memory watches the whole process."""
    frames = film(40)

    def steps(session: IncrementalSession, count: int) -> None:
        for step in range(count):
            held = replace(frames[step % 30], index=step, arrived_s=float(step))
            clip = clip_at([*frames[step % 7 :], held], step % 20, stream=step % 3)
            session.run([clip])
            if step % 50 == 0:
                session.forget(step % 3)

    with opened(bundle, streams=2) as session:
        steps(session, 300)
        tracemalloc.start()
        try:
            steps(session, 200)
            gc.collect()  # frees the tuples that Python keeps for later, too
            before, _ = tracemalloc.get_traced_memory()
            steps(session, 1000)
            gc.collect()
            after, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert after - before < 60_000, "60 bytes per step"
