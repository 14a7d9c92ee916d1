"""`--max-latency` with real engines, slowed down."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from edgecls.stream_session import StreamSession
from models.bundle import Bundle
from runtime.records import Clip
from runtime.stream_model import Scores, StreamModel
from tests.cli.command import NEEDS_ENGINES, failing
from tests.cli.in_process import called
from tests.tiny_models import write_tiny_bundle
from tests.variants import add_int8

pytest.importorskip("av", reason="needs PyAV")

pytestmark = NEEDS_ENGINES

LIVE = "realtime:demo"
COSTS_S = {("fp32", 8): 0.1, ("int8", 8): 0.065, ("fp32", 4): 0.005}
"""By precision and frames; a window comes every 0.125 s."""


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return add_int8(write_tiny_bundle(tmp_path_factory.mktemp("large"), frames=8))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_bundle(tmp_path_factory.mktemp("small"), frames=4).path


@dataclass(frozen=True)
class Slowed:
    model: StreamModel
    cost_s: float

    def scores(self, clips: Sequence[tuple[int, Clip]]) -> Scores:
        begun_s = time.perf_counter()
        time.sleep(self.cost_s)
        scores = self.model.scores(clips)
        return Scores(
            values=scores.values,
            normalise_ms=0.0,
            infer_ms=(time.perf_counter() - begun_s) * 1e3,
        )


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    original = StreamSession.stream_model

    def slowed(session: StreamSession) -> StreamModel:
        cost_s = COSTS_S[session.variant.precision, session.bundle.card.clip.frames]
        return Slowed(original(session), cost_s)

    monkeypatch.setattr(StreamSession, "stream_model", slowed)


def lines(text: str, kind: str) -> list[dict[str, Any]]:
    return [line for line in map(json.loads, text.splitlines()) if line["type"] == kind]


@pytest.mark.usefixtures("slow")
def test_cheaper_models_until_results_are_in_time(
    large: Bundle, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = called(
        "run",
        large.path,
        *("--source", LIVE, "--backend", "cpu", "--precision", "fp32", "--format", "jsonl"),
        *("--max-latency", "60ms", "--fallback", small, "--max-windows", 20),
        monkeypatch=monkeypatch,
    )
    assert done.code == 0, done.err
    (header,) = lines(done.out, "header")
    models = ["fp32", "int8", "fallback tiny"]
    assert header["degrade"] == {"max_latency_ms": 60.0, "most_every": 4, "models": models}
    steps = lines(done.out, "degrade")
    cheaper = [one["text"] for one in steps if "window" not in one["text"]]
    assert [text.split(": ")[1].split(" from")[0] for text in cheaper] == models[1:]
    assert {one["direction"] for one in steps} == {"down"}
    assert all(one["age_ms"] > 60 for one in steps)
    windows = lines(done.out, "window")
    levels = [one["level"] for one in windows]
    assert levels == sorted(levels)
    assert set(levels) == set(range(len(steps) + 1))
    assert sorted(one["frame_age_ms"] for one in windows if one["level"] == levels[-1])[0] < 60
    assert f"latency: {steps[0]['text']}\n" in done.err
    assert "% at a lower level, as results were late" in done.err


@pytest.mark.usefixtures("slow")
def test_a_model_that_does_not_open_is_left_out(
    large: Bundle, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = add_int8(write_tiny_bundle(large.path.parent / "damaged", frames=8))
    (copy.path / "model.int8.onnx").write_bytes(b"nothing")
    done = called(
        "run",
        copy.path,
        *("--source", LIVE, "--backend", "cpu", "--precision", "fp32", "--format", "jsonl"),
        *("--max-latency", "60ms", "--fallback", small, "--max-windows", 14),
        monkeypatch=monkeypatch,
    )
    assert done.code == 0, done.err
    assert "warning: int8 cannot be used when results are late: " in done.err
    assert lines(done.out, "degrade")[-1]["model"] == "tiny"


def test_what_has_no_meaning_is_refused(large: Bundle, small: Path, tmp_path: Path) -> None:
    other = write_tiny_bundle(tmp_path / "other", frames=4, labels=("a", "b", "c", "d")).path
    late = ("--max-latency", "60ms")
    for words, said in [
        ((small, "-s", LIVE, *late, "--fallback", large.path), "takes 8 frames, and the windows"),
        ((large.path, "-s", LIVE, *late, "--fallback", other), "other labels than tiny: class 0"),
        ((large.path, "-s", LIVE, "--fallback", small), "--max-latency, which was not given"),
        ((large.path, "-s", "demo", *late), "is about live sources"),
        ((large.path, "-s", "demo", *late, "--sampling", "uniform"), "has no meaning with"),
        ((large.path, "-s", LIVE, *late, "--reuse", "approx"), "--reuse approx"),
        ((large.path, "-s", LIVE, "--max-latency", "0.3"), "takes a time with its unit"),
    ]:
        assert any(said in line for line in failing("run", *words, "--backend", "cpu", code=2))
