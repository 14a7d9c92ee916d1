"""`edgecls record`, `run --record` and `run --replay`, end to end."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime import sources
from runtime.recording import recorder
from runtime.recording.recording import Recording, StoredPicture
from runtime.records import Frame, SourceEvent
from runtime.sources import FrameSource, SourceKind, SourceOptions, Wanted
from tests.cli.command import NEEDS_ENGINES, ROOT, environment
from tests.cli.in_process import called
from tests.cli.lasting import lasting
from tests.fakes import FakeSource
from tests.pauses import Pauses
from tests.recordings import FaultyCamera, noise, shown

pytest.importorskip("av", reason="needs PyAV")

pytestmark = NEEDS_ENGINES

RUN = ("run", "--backend", "cpu", "--precision", "fp32", "--format", "jsonl")
EVENTS = ("--on", "0.3", "--off", "0.2", "--smooth", "ema")


def offer(monkeypatch: pytest.MonkeyPatch, name: str, source: FrameSource) -> None:
    """Make a source known under a name."""

    def opened(uri: str, options: SourceOptions) -> FrameSource:
        return source

    kind = SourceKind(
        name=name, claims=lambda uri: uri == name, open=opened, example=name, about="a test"
    )
    monkeypatch.setattr(sources, "SOURCES", (kind, *sources.SOURCES))


@pytest.mark.parametrize("cut", [(), ("--sampling", "windowed", "--stride", "0.3")])
def test_a_faulty_stream_again(
    cut: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "out.mkv"
    camera = FaultyCamera(small=(96, 72), large=(128, 80))
    offer(monkeypatch, "faulty", camera)
    told = (*RUN, *EVENTS, *cut, "--gap-after", "0.6")[: None if not cut else -2]
    done = called(*told, "--source", "faulty", "--record", path, monkeypatch=monkeypatch)
    live = lasting(done)
    assert f"in {path}" in done.err
    again = lasting(called(*told, "--source", path, "--replay", monkeypatch=monkeypatch))
    assert again == live
    kinds = {line["type"] for line in live}
    assert kinds >= {"window", "source", "event", "end"}
    assert live[-1]["streams"][0]["dropped"] == camera.counts.dropped > 0
    assert sum(line["type"] == "window" for line in live) > 8
    assert any(line["dropped"] for line in live if line["type"] == "window")


def test_a_run_in_real_time_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "out.mkv"
    told = (*RUN, "--max-windows", "4")
    live = lasting(
        called(*told, "--source", "realtime:demo", "--record", path, monkeypatch=monkeypatch)
    )
    again = lasting(called(*RUN, "--source", f"replay:{path}", monkeypatch=monkeypatch))
    assert [line for line in again if line["type"] == "window"] == [
        line for line in live if line["type"] == "window"
    ]
    assert len(again) == 5


def test_a_recording_of_everything_gives_any_windows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "out.mkv"
    done = called(
        *("record", "--source", "demo", "--output", path, "--duration", 3), monkeypatch=monkeypatch
    )
    assert done.code == 0
    assert "recording: 76 pictures" in done.err
    live = called(*RUN, "--source", "demo", "--max-windows", 8, monkeypatch=monkeypatch)
    again = called(
        *(*RUN, "--source", path, "--replay", "--max-windows", 8), monkeypatch=monkeypatch
    )
    assert lasting(again) == lasting(live)
    assert caplog.text == ""


def test_what_a_run_did_not_want_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "out.mkv"
    told = (*RUN, "--source", "demo", "--max-windows", 2, "--record", path)
    assert called(*told, monkeypatch=monkeypatch).code == 0
    with Recording(path) as recording:
        assert sum(isinstance(one, StoredPicture) for one in recording.entries()) < 12


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--source", "demo", "--source", "demo", "--record", "X"), "records one source, got 2"),
        (("--source", "demo", "--record-size", "1GB"), "--record-size is for the file of --record"),
        (("--source", "demo", "--record", "X", "--record-size", "9"), "a size with its unit"),
        (("--source", "X", "--replay", "--record", "Y"), "would only copy it"),
        (("--source", "demo", "--record", "X", "--sampling", "uniform"), "takes whole files"),
    ],
)
def test_options_that_do_not_go_together(
    options: tuple[str, ...], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = called("run", *options, monkeypatch=monkeypatch)
    assert done.code == 2
    assert says in " ".join(done.err.split())


def test_what_is_no_recording_is_not_replayed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x.mkv").write_bytes(b"nothing of the kind")
    done = called(*RUN, "--source", tmp_path / "x.mkv", "--replay", monkeypatch=monkeypatch)
    assert done.code == 4
    assert "is no recording of edgecls" in done.err
    assert "edgecls record" in done.err


def test_nothing_is_overwritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.mkv").write_bytes(b"precious")
    for command in (("record", "-o"), (*RUN, "--record")):
        done = called(*command, tmp_path / "x.mkv", "--source", "demo", monkeypatch=monkeypatch)
        assert done.code == 10
        assert "overwrites nothing" in done.err
    assert (tmp_path / "x.mkv").read_bytes() == b"precious"


def test_a_full_disk_ends_a_recording_and_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "LEAST_FREE_BYTES", 1 << 60)
    command = ("record", "--source", "demo", "-o", tmp_path / "a.mkv")
    done = called(*command, monkeypatch=monkeypatch)
    assert done.code == 10
    assert "ended early: only " in done.err
    told = (*RUN, "--source", "demo", "--max-windows", 2, "--record", tmp_path / "b.mkv")
    done = called(*told, monkeypatch=monkeypatch)
    assert done.code == 0
    assert "recording: ended early, only " in done.err
    assert len(done.out.splitlines()) == 4


def test_a_recording_ends_at_its_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = [shown(i, i / 10, picture=noise(i)) for i in range(50)]
    offer(monkeypatch, "noise", FakeSource(frames))
    path = tmp_path / "a.mkv"
    done = called(
        *("record", "--source", "noise", "-o", path, "--size", "100kB"), monkeypatch=monkeypatch
    )
    assert done.code == 0
    assert "it has reached 100.0 kB" in done.err
    assert 90_000 < path.stat().st_size < 200_000


@pytest.mark.parametrize("wrong", ["0", "-1", "nan", "inf"])
def test_a_duration_that_is_none(
    wrong: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = called(
        *("record", "--source", "demo", "-o", tmp_path / "a.mkv", "--duration", wrong),
        monkeypatch=monkeypatch,
    )
    assert done.code == 2
    assert not (tmp_path / "a.mkv").exists()


class _Silent(FakeSource):
    """A live source that gives one picture, and nothing more until it is interrupted."""

    def __init__(self) -> None:
        super().__init__([], live=True)
        self.over = threading.Event()

    def frames(self, wanted: Wanted | None = None) -> Iterator[Frame | SourceEvent]:
        if wanted is None or wanted(0.0):
            yield shown(0, 0.0)
        self.over.wait(30)

    def interrupt(self) -> None:
        self.over.set()


def test_a_silent_source_is_recorded_no_longer_than_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(monkeypatch, "silent", _Silent())
    started_s = time.monotonic()
    done = called(
        *("record", "--source", "silent", "-o", tmp_path / "a.mkv", "--duration", "0.1"),
        monkeypatch=monkeypatch,
    )
    assert done.code == 0
    assert "recording: 1 pictures" in done.err
    assert time.monotonic() - started_s < 5


def test_ctrl_c_ends_a_recording(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pauses: Pauses
) -> None:
    offer(monkeypatch, "silent", _Silent())
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    started_s = time.monotonic()
    done = called(
        *("record", "--source", "silent", "-o", tmp_path / "a.mkv"), monkeypatch=monkeypatch
    )
    assert done.code == 0
    assert time.monotonic() - started_s < 2.3 + pauses.lost_s
    with Recording(tmp_path / "a.mkv") as recording:
        assert list(recording.entries())[-1].how == "stopped"  # type: ignore[union-attr]


def test_a_killed_recording_is_replayed_as_far_as_it_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "out.mkv"
    command = ("record", "--source", "realtime:demo", "--output", str(path))
    child = subprocess.Popen(
        [sys.executable, "-m", "edge_cli", *command],
        cwd=ROOT,
        env=environment(),
        stderr=subprocess.PIPE,
    )
    deadline_s = time.monotonic() + 30
    while not (path.exists() and path.stat().st_size > 1_500_000):
        assert time.monotonic() < deadline_s
        time.sleep(0.05)
    child.kill()
    child.communicate()
    caplog.set_level(logging.WARNING)
    lines = lasting(called(*RUN, "--source", path, "--replay", monkeypatch=monkeypatch))
    assert "never completed" in caplog.text
    live = lasting(
        called(*RUN, "--source", "demo", "--max-windows", len(lines) - 1, monkeypatch=monkeypatch)
    )
    assert len(lines) > 3
    for again, once in zip(lines[:-1], live[:-1], strict=True):
        assert again | {"dropped": None} == once
