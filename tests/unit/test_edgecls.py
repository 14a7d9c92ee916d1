"""The Python interface: what it names, and that it says what the command line says."""

from __future__ import annotations

import inspect
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

import edgecls
from edgecls import EngineRequest, Windows
from models.errors import BackendError, BundleNotFound, SourceNotFound, UsageError
from runtime.backends._ort import OrtSession
from runtime.session import Tensor
from tests.cli.in_process import called
from tests.tiny_models import write_tiny_bundle
from tests.video_files import numbered_picture, write_video

ON_CPU = EngineRequest(backend="cpu")

pytest.importorskip("onnxruntime")


def test_names_are_those_that_are_promised() -> None:
    public = {
        name
        for name, value in vars(edgecls).items()
        if not (name.startswith("_") or inspect.ismodule(value) or name == "annotations")
    }
    assert public == set(edgecls.__all__)
    assert edgecls.__all__ == sorted(edgecls.__all__)


def test_what_is_promised_is_documented() -> None:
    """Every name, and every public member that a class of the interface itself has."""
    for name in edgecls.__all__:
        value = getattr(edgecls, name)
        assert inspect.getdoc(value), name
        if not inspect.isclass(value):
            continue
        for member, what in vars(value).items():
            if not member.startswith("_") and (inspect.isfunction(what) or type(what) is property):
                assert inspect.getdoc(what), f"{name}.{member}"


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seconds."""
    pictures = [numbered_picture(index % 32) for index in range(75)]
    return write_video(tmp_path_factory.mktemp("video") / "clip.mp4", pictures)


def _run(monkeypatch: pytest.MonkeyPatch, *words: object) -> list[dict[str, Any]]:
    done = called(
        *("run", "--backend", "cpu", "--precision", "fp32", "--format", "jsonl", *words),
        monkeypatch=monkeypatch,
    )
    assert done.code == 0, done.err
    lines = [json.loads(line) for line in done.out.splitlines()]
    return [line for line in lines if line["type"] == "window"]


def test_a_file_is_what_run_says_of_it(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (said,) = _run(monkeypatch, "--source", clip, "--sampling", "uniform")
    with edgecls.open_session(engine=ON_CPU) as session:
        found = session.classify_file(clip)
        few = session.classify_file(str(clip), top_k=2, threshold=0.001)
    assert [one.label for one in found.top] == [one["label"] for one in said["top"]]
    assert found.top[0].probability == pytest.approx(said["top"][0]["probability"], abs=1e-4)
    assert (found.start_s, found.end_s) == pytest.approx((said["start_s"], said["end_s"]), abs=1e-3)
    assert len(few.top) <= 2
    assert few.top[0] == found.top[0]


@pytest.mark.parametrize("windows", [Windows(), Windows(length_s=2.0, sampling="windowed")])
def test_windows_are_what_run_says_of_them(
    windows: Windows, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = _run(
        monkeypatch,
        *("--source", clip, "--sampling", windows.sampling),
        *(() if windows.length_s is None else ("--window", windows.length_s)),
    )
    with edgecls.open_stream(engine=ON_CPU, windows=windows) as session:
        found = list(session.results(clip))
        again = [one.top for one in session.results(clip)]
    assert len(found) == len(said)
    for mine, line in zip(found, said, strict=True):
        assert mine.start_s == pytest.approx(line["start_s"], abs=1e-3)
        assert mine.top[0].label == line["top"][0]["label"]
        assert mine.top[0].probability == pytest.approx(line["top"][0]["probability"], abs=1e-4)
    assert [one.top for one in found] == again


def test_several_sources_have_windows_of_their_own(clip: Path) -> None:
    cuts = [Windows(length_s=1.0, stride_s=1.0), Windows(length_s=2.0, stride_s=2.0)]
    with edgecls.open_stream(engine=ON_CPU, windows=cuts) as session:
        found = list(session.results(clip, clip))
        with pytest.raises(UsageError, match="2 sources at a time, got 1"):
            next(session.results("demo"))
    lengths_s = [{one.end_s - one.start_s for one in found if one.stream == at} for at in (0, 1)]
    assert [round(max(each), 3) for each in lengths_s] == [1.0, 2.0]


def test_a_batch_of_all_sources_has_run_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else an engine that compiles for a batch does so within the latency of the first results."""
    batches = []
    run = OrtSession.run

    def counted(session: OrtSession, clips: Tensor) -> Tensor:
        batches.append(len(clips))
        return run(session, clips)

    monkeypatch.setattr(OrtSession, "run", counted)
    cuts = [Windows()] * 3
    edgecls.open_stream(engine=ON_CPU, windows=cuts, reuse="off").close()
    assert batches[-1] == 3
    batches.clear()
    edgecls.open_stream(engine=ON_CPU, windows=cuts, reuse="exact").close()
    assert 3 not in batches


def test_results_may_be_left_at_any_time() -> None:
    with edgecls.open_stream(engine=ON_CPU) as session:
        results = session.results("realtime:demo")
        first = next(results)
        results.close()
        assert next(session.results("demo")).top[0].label == first.top[0].label


def test_clips_that_were_prepared_elsewhere(tmp_path: Path) -> None:
    bundle = edgecls.load_bundle(write_tiny_bundle(tmp_path).path)
    clips, expected = bundle.probe()
    with edgecls.open_session(bundle, ON_CPU) as session:
        assert np.allclose(session.logits(clips), expected, atol=1e-4)
        with pytest.raises(UsageError, match="The model takes float32"):
            session.logits(clips[0])


def test_a_bundle_is_found_by_its_path(tmp_path: Path) -> None:
    made = write_tiny_bundle(tmp_path)
    with edgecls.open_session(str(tmp_path), ON_CPU) as session:
        assert session.bundle.card == made.card
        assert session.line().startswith("backend: cpu, onnxruntime")
    with pytest.raises(BundleNotFound, match="no such folder"):
        edgecls.load_bundle(tmp_path / "none")


def test_several_threads_may_classify_where_that_was_asked_for() -> None:
    with edgecls.open_session(engine=ON_CPU) as session:
        alone = session.classify_file("demo").probabilities
    parallel = EngineRequest(backend="cpu", parallel=2)
    with edgecls.open_session(engine=parallel) as session, ThreadPoolExecutor(2) as pool:
        found = list(pool.map(session.classify_file, ["demo"] * 4))
    assert alone is not None
    for one in found:
        assert one.probabilities == pytest.approx(alone, abs=1e-5)


WRONG: tuple[dict[str, Any], ...] = (
    {"windows": []},
    {"reuse": "maybe"},
    {"views": 7},
    {"windows": Windows(length_s=float("nan"))},
)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: str(next(iter(wrong.items()))))
def test_values_that_make_no_sense(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        edgecls.open_stream(**{"engine": ON_CPU, **wrong})


@pytest.mark.parametrize("wrong", [{"threads": 0}, {"parallel": 0}, {"max_cpu_share": 2.0}])
def test_numbers_that_engines_cannot_have(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="must be"):
        EngineRequest(**wrong)


def test_words_that_there_are_not() -> None:
    for wrong in ({"sampling": "slide"}, {"gap": "x"}):
        with pytest.raises(UsageError, match="is one of"):
            Windows(**cast(Any, wrong))
    with edgecls.open_session(engine=ON_CPU) as session:
        assert repr(session) == "<ClipSession: camera motion, fp32, cpu>"
        for unknown in ({"sampling": "x"}, {"views": 3}):
            with pytest.raises(UsageError, match="is one of"):
                session.classify_file("demo", **cast(Any, unknown))


def test_mistakes_are_errors_with_a_way_out() -> None:
    with pytest.raises(UsageError, match="cpux"):
        edgecls.open_session(engine=EngineRequest(backend="cpux"))
    with edgecls.open_session(engine=ON_CPU) as session:
        with pytest.raises(SourceNotFound) as missing:
            session.classify_file("none.mp4")
        assert isinstance(missing.value, edgecls.EdgeclsError)
        with pytest.raises(UsageError, match="number of labels"):
            session.classify_file("demo", top_k=0)
    with pytest.raises(BackendError, match="closed"):
        session.classify_file("demo")
