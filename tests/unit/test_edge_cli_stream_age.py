from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from edge_cli import stream_age
from edge_cli.stream_age import AgeRun, measure_age
from models.errors import BackendError
from tests.cli.command import NEEDS_ENGINES
from tests.staged_models import write_staged_bundle

RUN = AgeRun(bundle=Path("b"), clip=Path("c.mp4"), window_s=2.5, stride_s=0.3125, backend="cpu")

FAKE = """
import json, os, sys, time
if "--fail" in sys.argv:
    sys.stderr.write("backend: x\\nerror: it broke.\\nhint: mend it\\n")
    sys.exit(9)
print(json.dumps({"type": "header"}))
for i in range(4):
    for stream in range(2):
        print(json.dumps({"type": "window", "stream": stream, "frame_age_ms": 10.0 * i + stream,
                          "dropped": i * stream}), flush=True)
    time.sleep(0.4)
print(json.dumps({"type": "cpus", "count": len(os.sched_getaffinity(0))}))
"""


def faked(monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
    command = [sys.executable, "-c", FAKE, *words]
    monkeypatch.setattr(stream_age.AgeRun, "command", lambda self: command)


def test_the_command_is_what_a_user_would_type() -> None:
    words = AgeRun(
        bundle=Path("b"),
        clip=Path("/c.mp4"),
        window_s=2.5,
        stride_s=0.3125,
        backend="cpu",
        reuse="off",
        streams=2,
        threads=1,
    ).command()
    line = " ".join(words)
    assert line.count("--source realtime:/c.mp4") == 2
    assert "--window 2.5 --stride 0.3125" in line
    assert "--backend cpu --precision fp32 --reuse off" in line
    assert line.endswith("--threads 1")
    assert "--threads" not in RUN.command()


def test_figures_are_of_all_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    faked(monkeypatch)
    figures = measure_age(RUN)
    assert figures.results == 8
    assert figures.median_ms == pytest.approx(15.5)
    assert figures.most_ms == 31.0
    assert figures.dropped == 3
    assert figures.cpu is not None
    assert 0 <= figures.cpu < 1


def test_a_failure_is_told_in_its_words(monkeypatch: pytest.MonkeyPatch) -> None:
    faked(monkeypatch, "--fail")
    with pytest.raises(BackendError, match=r"exit code 9: it broke\."):
        measure_age(RUN)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no CPU masks on this system")
def test_a_child_keeps_to_its_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    before = os.sched_getaffinity(0)
    seen: list[int] = []
    reader = json.loads

    def reading(line: str) -> object:
        value = reader(line)
        if value.get("type") == "cpus":
            seen.append(value["count"])
        return value

    monkeypatch.setattr("edge_cli.stream_age.json.loads", reading)
    faked(monkeypatch)
    measure_age(AgeRun(**{**_values(RUN), "cpus": 1}))  # type: ignore[arg-type]
    assert seen == [1]
    assert os.sched_getaffinity(0) == before


def _values(run: AgeRun) -> dict[str, object]:
    return {name: getattr(run, name) for name in AgeRun.__slots__}


@NEEDS_ENGINES
def test_the_real_program_in_real_time(tmp_path: Path) -> None:
    from runtime.stream_clip import write_clip

    bundle = write_staged_bundle(tmp_path / "bundle")
    clip = tmp_path / "clip.mp4"
    write_clip(clip, seconds=2.0)
    figures = measure_age(
        AgeRun(bundle=bundle.path, clip=clip, window_s=0.8, stride_s=0.2, backend="cpu", streams=2)
    )
    assert figures.results >= 2  # a busy machine may drop some
    assert 0 < figures.median_ms <= figures.p95_ms <= figures.most_ms
