"""The engine of archives on this machine: decoders that die, models that fail, stops."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from models.bundle import Bundle
from models.errors import BackendError, SourceError
from runtime.archive import decoding
from runtime.archive.decoding import DecodeProcess, DecoderDied
from runtime.archive.lane import ArchivePlan
from runtime.archive.local import LocalEngine
from runtime.archive.result import FileResult
from runtime.engine_request import EngineRequest
from runtime.preprocess import Preparation
from runtime.session import Tensor
from runtime.whole_file import classify_whole
from tests import crashing_decoder
from tests.fakes import FakeSession
from tests.tiny_models import tiny_network, write_tiny_bundle
from tests.video_files import write_numbered


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_tiny_bundle(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Six videos; one is shorter than a clip of the model."""
    folder = tmp_path_factory.mktemp("clips")
    return [str(write_numbered(folder / f"{count}.mp4", count)) for count in (3, 9, 12, 20, 31, 25)]


def engine_of(bundle: Bundle, session: FakeSession, *, lanes: int = 2) -> LocalEngine:
    plan = ArchivePlan(
        bundle=bundle.path, asked=EngineRequest(backend="cpu"), views=1, top_k=3, threshold=0.0
    )
    return LocalEngine(bundle, session, plan, lanes=lanes, parallel=1)


def by_file(results: Iterator[FileResult]) -> dict[str, FileResult]:
    found = list(results)
    named = {one.file: one for one in found}
    assert len(named) == len(found)
    return named


def never() -> bool:
    return False


def test_files_are_classified_as_whole_files_are(bundle: Bundle, clips: list[str]) -> None:
    session = FakeSession(tiny_network().logits)

    results = by_file(engine_of(bundle, session).results(clips, never))

    assert sorted(results) == sorted(clips)
    for clip in clips:
        alone = classify_whole(clip, session, bundle.card, top_k=3, threshold=0.0)
        one = results[clip]
        assert one.error is None
        assert [best.label for best in one.top] == [best.label for best in alone.top]
        assert np.allclose(
            [best.probability for best in one.top],
            [best.probability for best in alone.top],
            atol=1e-6,
        )
        assert (one.start_s, one.end_s) == pytest.approx((alone.start_s, alone.end_s), abs=1e-6)
    assert session.closed == 0


def test_files_that_crash_a_decoder_cost_themselves_only(
    bundle: Bundle, clips: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoding, "COMMAND", crashing_decoder.COMMAND)
    poison = [tmp_path / name for name in ("crash.mp4", "once.mp4", "broken.mp4", "gone.mp4")]
    for path in poison[:2]:
        path.write_bytes(Path(clips[0]).read_bytes())
    poison[2].write_bytes(b"\0" * 500)
    files = [*clips[:3], *map(str, poison), *clips[3:]]

    results = by_file(engine_of(bundle, FakeSession(tiny_network().logits)).results(files, never))

    assert sorted(results) == sorted(files)
    errors = {Path(one.file).name: one.error for one in results.values() if one.error}
    assert set(errors) == {"crash.mp4", "broken.mp4", "gone.mp4"}
    assert errors["crash.mp4"] is not None
    assert "crashed its decoder, which died with SIGSEGV, twice" in errors["crash.mp4"]
    assert "no file" in str(errors["gone.mp4"])
    assert results[str(poison[1])].top == results[clips[0]].top


def test_a_stop_is_heeded_among_files_that_are_tried_again(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoding, "COMMAND", crashing_decoder.COMMAND)
    files = [str(tmp_path / f"crash{number}.mp4") for number in range(5)]
    done: list[FileResult] = []

    results = engine_of(bundle, FakeSession(tiny_network().logits)).results(
        files, lambda: bool(done)
    )
    for result in results:
        done.append(result)

    assert 1 <= len(done) < len(files)


def test_a_file_that_hangs_its_decoder_is_given_up(
    bundle: Bundle, clips: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoding, "COMMAND", crashing_decoder.COMMAND)
    preparation = Preparation(clip=bundle.card.clip)
    with DecodeProcess(preparation, limit_s=1.5) as decoder:
        decoder.send(tmp_path / "hang.mp4", 0)
        with pytest.raises(SourceError, match="not read within 2 s"):
            decoder.receive()
        decoder.send(tmp_path / "crash.mp4", 10**9)
        with pytest.raises(DecoderDied, match="SIGSEGV"):
            decoder.receive()
        decoder.send(Path(clips[1]), 10**9)
        assert len(decoder.receive().clip.frames) == bundle.card.clip.frames


def test_an_engine_that_fails_ends_the_run(bundle: Bundle, clips: list[str]) -> None:
    def broken(tensor: Tensor) -> Tensor:
        raise BackendError("the device is gone")

    with pytest.raises(BackendError, match="device is gone"):
        list(engine_of(bundle, FakeSession(broken)).results(clips, never))


def test_a_file_that_the_engine_makes_nan_of_is_a_failure_of_the_file(
    bundle: Bundle, clips: list[str]
) -> None:
    network, seen = tiny_network(), []

    def overflows(tensor: Tensor) -> Tensor:
        logits = network.logits(tensor)
        if np.abs(tensor).max() > 0:
            seen.append(tensor)
        return logits * np.float32(np.nan) if len(seen) == 2 and tensor is seen[1] else logits

    results = by_file(engine_of(bundle, FakeSession(overflows), lanes=1).results(clips, never))

    assert len(results) == len(clips)
    (failed,) = [one for one in results.values() if one.error]
    assert "not finite" in str(failed.error)


def test_a_stop_ends_it_after_what_is_being_worked_on(bundle: Bundle, clips: list[str]) -> None:
    done: list[FileResult] = []
    first, taken = threading.Lock(), threading.Event()

    def logits(tensor: Tensor) -> Tensor:
        """Every clip but one waits until a result has been taken."""
        if np.abs(tensor).max() > 0 and not first.acquire(blocking=False):
            assert taken.wait(30)
        return tiny_network().logits(tensor)

    for result in engine_of(bundle, FakeSession(logits)).results(clips, lambda: bool(done)):
        done.append(result)
        taken.set()

    assert 1 <= len(done) < len(clips)


def test_a_lane_that_cannot_start_ends_the_others(
    bundle: Bundle, clips: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = threading.Thread.start

    def start(thread: threading.Thread) -> None:
        if thread.name == "lane" and started:
            raise RuntimeError("can't start new thread")
        if thread.name == "lane":
            started.append(thread)
        real(thread)

    started: list[threading.Thread] = []
    monkeypatch.setattr(threading.Thread, "start", start)
    with pytest.raises(RuntimeError, match="can't start"):
        list(engine_of(bundle, FakeSession(tiny_network().logits)).results(clips, never))
    assert [thread.is_alive() for thread in started] == [False]


def test_results_that_nobody_takes_leave_no_process_behind(
    bundle: Bundle, clips: list[str]
) -> None:
    import psutil

    results = engine_of(bundle, FakeSession(tiny_network().logits)).results(clips, never)
    next(results)
    results.close()  # type: ignore[attr-defined]  # a generator

    running = [" ".join(child.cmdline()) for child in psutil.Process().children()]
    assert not [command for command in running if "decode_worker" in command]
