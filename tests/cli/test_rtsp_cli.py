"""`edgecls run` on a real RTSP server that is killed, and on servers that say nothing."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from runtime.grid import GridSampler
from runtime.records import Clip, Frame
from tests.cli.command import NEEDS_ENGINES, ROOT, environment
from tests.cli.in_process import called
from tests.cli.lasting import lasting
from tests.pauses import Pauses
from tests.stream_servers import (
    COLOURS,
    RtspServer,
    SilentServer,
    colour_of,
    free_port,
    rtsp_missing,
)

pytestmark = NEEDS_ENGINES

NEEDS_RTSP = pytest.mark.skipif(bool(rtsp_missing()), reason=rtsp_missing() or "it is there")

WITH = ("--backend", "cpu", "--precision", "fp32", "--format", "jsonl")

KILLS = 10
RECOVERY_S = 10.0
WAIT_S = 20.0


class Windows:
    """Watches the windows of a run: which starts of the server they show."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.colours: list[set[int]] = []
        self.epochs: list[set[int]] = []
        self._newest = -1
        self._changed = threading.Condition()
        push = GridSampler.push

        def watched(sampler: GridSampler, frame: Frame) -> tuple[Clip, ...]:
            clips = push(sampler, frame)
            for clip in clips:
                self._take(clip)
            return clips

        monkeypatch.setattr(GridSampler, "push", watched)

    def until(self, colour: int) -> None:
        """Wait for a window of that start of the server."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._newest == colour, WAIT_S)

    def _take(self, clip: Clip) -> None:
        with self._changed:
            self.colours.append({colour_of(frame.picture) for frame in clip.frames})
            self.epochs.append({frame.epoch for frame in clip.frames})
            self._newest = max(self.colours[-1])
            self._changed.notify_all()


@NEEDS_RTSP
def test_a_server_that_is_killed_ten_times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    windows, server, chance = Windows(monkeypatch), RtspServer(), random.Random(6)
    recoveries_s: list[float] = []
    failures: list[Exception] = []

    def kill_and_start() -> None:
        try:
            windows.until(0)
            for number in range(1, KILLS + 1):
                time.sleep(chance.uniform(0.0, 1.0))
                server.kill()
                time.sleep(chance.uniform(0.0, 1.5))
                server.start(number)
                started_s = time.monotonic()
                windows.until(number)
                recoveries_s.append(time.monotonic() - started_s)
            time.sleep(0.5)
        except Exception as error:
            failures.append(error)
        os.kill(os.getpid(), signal.SIGINT)

    server.start(0)
    killer = threading.Thread(target=kill_and_start)
    killer.start()
    recording = ("--record", tmp_path / "out.mkv")
    done = called("run", "--source", server.uri, *WITH, *recording, monkeypatch=monkeypatch)
    killer.join()
    server.kill()
    assert failures == []
    assert done.code == 0, done.err
    # To the first result, which needs a second of pictures.
    assert len(recoveries_s) == KILLS
    assert max(recoveries_s) < RECOVERY_S
    # Every window shows one start of the server, and all starts were seen.
    assert all(len(colours) == 1 for colours in windows.colours)
    assert all(len(epochs) == 1 for epochs in windows.epochs)
    assert set.union(*windows.colours) == set(range(KILLS + 1)) <= set(range(len(COLOURS)))
    lines: list[dict[str, Any]] = [json.loads(line) for line in done.out.splitlines()]
    changes = [line["change"] for line in lines if line["type"] == "source"]
    # A picture of the first moments may be left out: that is told as well.
    assert [one for one in changes if one in ("lost", "silent", "back")] == ["lost", "back"] * KILLS
    results = [line for line in lines if line["type"] == "window"]
    assert {line["resets"] for line in results} == set(range(KILLS + 1))
    infer_ms = median(line["latency_ms"]["infer"] for line in results)
    ages_ms = sorted(line["frame_age_ms"] for line in results)
    assert ages_ms[len(ages_ms) * 9 // 10] < lines[0]["stride_s"] * 1e3 + 2 * infer_ms
    (end,) = [line for line in lines if line["type"] == "end"]
    (counts,) = end["streams"]
    assert counts["received"] == sum(
        counts[name]
        for name in ("used", "unused", "watched", "waiting", "skipped", "dropped", "broken")
    )
    # What was recorded of it gives the same again.
    replay = ("--source", tmp_path / "out.mkv", "--replay")
    again = called("run", *replay, *WITH, monkeypatch=monkeypatch)
    assert lasting(again) == lasting(done)


def stopped(number: signal.Signals, uri: str, when: Callable[[str], bool], folder: Path) -> str:
    """Run on two sources, send a signal once stderr says so; stdout and stderr of the run."""
    errors = folder / "errors"
    with errors.open("w") as stderr:
        run = subprocess.Popen(
            [sys.executable, "-m", "edge_cli", "run", *WITH, "--source", uri, "--source", uri],
            cwd=ROOT,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
        until_s = time.monotonic() + WAIT_S
        while not when(errors.read_text()) and time.monotonic() < until_s:
            time.sleep(0.05)
        time.sleep(0.2)
        with Pauses() as pauses:
            started_s = time.monotonic()
            run.send_signal(number)
            out, _ = run.communicate(timeout=WAIT_S)
            took_s = time.monotonic() - started_s - pauses.lost_s
    err = errors.read_text()
    assert run.returncode == 0, err
    assert took_s < 2.0
    assert err.splitlines()[-1].startswith("summary: 0 windows")
    return out + err


@pytest.mark.parametrize(
    ("number", "scheme", "answer"),
    [
        (signal.SIGINT, "rtsp", b""),
        (signal.SIGTERM, "http", b"HTTP/1.0 200 OK\r\nContent-Type: vid"),
    ],
)
def test_stopping_while_servers_say_nothing(
    number: signal.Signals, scheme: str, answer: bytes, tmp_path: Path
) -> None:
    server = SilentServer(answer)
    uri = f"{scheme}://me:s3cret@127.0.0.1:{server.port}/live"
    said = stopped(number, uri, lambda err: server.asked.is_set(), tmp_path)
    server.close()
    assert "s3cret" not in said


def test_stopping_while_nobody_is_there(tmp_path: Path) -> None:
    uri = f"rtsp://me:s3cret@127.0.0.1:{free_port()}/live"
    said = stopped(signal.SIGINT, uri, lambda err: err.count("trying again") == 2, tmp_path)
    assert "s3cret" not in said
