"""`edgecls run` with events and outputs, on the built-in model and demo, end to end."""

from __future__ import annotations

import csv
import json
import os
import random
import signal
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import IO, Any

import pytest

from tests.cli.command import NEEDS_ENGINES, ROOT, environment, failing
from tests.cli.in_process import called
from tests.mqtt_broker import NEEDS_BROKER, Broker, Listener
from tests.webhook_server import WebhookServer, free_port

av = pytest.importorskip("av", reason="needs PyAV")

pytestmark = NEEDS_ENGINES

DEMO = ("run", "--source", "demo", "--backend", "cpu", "--precision", "fp32")


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Queues of this machine stay out of it."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for name in ("WEBHOOK", "WEBHOOK_TOKEN", "WEBHOOK_SECRET", "MQTT", "MQTT_PASSWORD"):
        monkeypatch.delenv(f"EDGECLS_{name}", raising=False)


def json_lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def events(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [line for line in lines if line["type"] == "event"]


def frames(path: Path) -> int:
    """Frames that can be decoded; a damaged end counts for nothing."""
    count = 0
    with av.open(str(path)) as film:
        try:
            for _ in film.decode(video=0):
                count += 1
        except av.FFmpegError:
            pass
    return count


def test_every_output_tells_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with WebhookServer() as server:
        done = called(
            *DEMO,
            *("--format", "jsonl", "--smooth", "mean", "--on", "pan left=0.5"),
            *("--on", "zoom in=0.6", "--min-duration", "0.3", "--cooldown", "1"),
            *("--output", f"jsonl:{tmp_path}/all.jsonl", "--output", f"csv:{tmp_path}/all.csv"),
            *("--output", f"events-jsonl:{tmp_path}/e.jsonl", "--fsync", "always"),
            *("--output", f"events-csv:{tmp_path}/e.csv", "--output", f"text:{tmp_path}/all.txt"),
            *("--record-events", tmp_path / "films", "--webhook", server.url),
            monkeypatch=monkeypatch,
        )
    assert done.code == 0, done.err
    lines = json_lines(done.out)
    assert lines[0]["smooth"] == {"kind": "mean", "span_s": 0.5}
    told = events(lines)
    assert [(one["kind"], one["label"]) for one in told] == [
        ("start", "pan left"),
        ("end", "pan left"),
        ("start", "zoom in"),
        ("end", "zoom in"),
    ]
    assert json_lines((tmp_path / "all.jsonl").read_text()) == lines
    assert events(json_lines((tmp_path / "e.jsonl").read_text())) == told
    with (tmp_path / "e.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == [one["id"] for one in told]
    with (tmp_path / "all.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == len(lines) - 2 - len(told)
    text = (tmp_path / "all.txt").read_text()
    assert text.count("EVENT") == len(told)
    added = ("delivery", "run", "host", "model")
    sent = [
        {key: value for key, value in one.items() if key not in added} for one in server.accepted
    ]
    assert sent == told
    assert [one["delivery"] for one in server.accepted] == server.ids
    films = {one["clip"] for one in told}
    assert {one.name for one in (tmp_path / "films").iterdir()} == films
    for film in films:
        assert frames(tmp_path / "films" / film) > 10
    # Windows are told before the events that they make, and smoothing shows in them.
    first = lines.index(told[0])
    assert lines[first - 1]["type"] == "window"
    assert lines[first - 1]["top"][0]["probability"] >= 0.5


def test_until_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    done = called(*DEMO, "--until", "pan left", "--format", "jsonl", monkeypatch=monkeypatch)
    assert done.code == 0, done.err
    told = events(json_lines(done.out))
    assert [one["label"] for one in told if one["kind"] == "start"][-1] == "pan left"
    assert told[-1]["ended"] == "end"
    *_, event, end = json_lines(done.out)
    assert event["end_s"] < 5
    assert end["reason"] == "event"


def test_until_without_an_event_is_exit_code_14(monkeypatch: pytest.MonkeyPatch) -> None:
    done = called(*DEMO, "--until", "pan left", "--max-windows", "3", monkeypatch=monkeypatch)
    assert done.code == 14
    assert "without an event of 'pan left'" in done.err
    assert "summary: 3 windows" in done.err


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--until", "fall"], 2, "none of the model's"),
        (["--on", "maybe"], 2, "takes P or CLASS=P"),
        (["--on", "0.4", "--off", "0.6"], 2, "above --on"),
        (["--on", "pan left=2"], 2, "from 0 to 1"),
        (["--min-duration", "-1"], 2, "0 seconds or more"),
        (["--min-duration", "nan"], 2, "0 seconds or more"),
        (["--smooth", "ema", "--smooth-span", "0"], 2, "more than 0 seconds"),
        (["--smooth-span", "1"], 2, "without --smooth"),
        (["--output", "results.jsonl"], 2, "KIND:FILE"),
        (["--output", "jsonl:/nowhere/x"], 10, "no folder"),
        (["--output", "jsonl:/dev/full"], 10, "not a regular file"),
        (["--output", "csv:/"], 10, "not a regular file"),
        (["--record-events", "/proc/films"], 10, "cannot be written"),
        (["--pre-roll", "1"], 2, "--record-events"),
        (["--record-limit", "1GB"], 2, "--record-events"),
        (["--record-events", "films", "--record-limit", "10"], 2, "with its unit"),
        (["--sampling", "uniform", "--show"], 2, "--show has no meaning"),
        (["--webhook", "ftp://user:p4ss@host/T0KEN"], 2, "must begin with"),
        (["--webhook", "http://host:0/"], 2, "names no host, or port 0"),
        (["--mqtt", "mqtt://host"], 2, "no topic"),
        (["--webhook", "http://host/", "--queue-dir", "/proc/q"], 10, "cannot be opened"),
        (["--queue-dir", "q"], 2, "no meaning"),
        (["--sampling", "uniform", "--on", "0.5"], 2, "gives one result"),
        (["--sampling", "uniform", "--webhook", "http://host/"], 2, "gives one result"),
    ],
)
def test_what_cannot_be(words: list[str], code: int, message: str) -> None:
    (error, *_) = [line for line in failing(*DEMO, *words, code=code) if "error" in line]
    assert message in error
    for secret in ("p4ss", "T0KEN"):
        assert secret not in error


def test_the_source_is_not_appended_to(video: Path, tmp_path: Path) -> None:
    before = video.read_bytes()
    for kind in ("text", "jsonl", "csv"):
        lines = failing(
            *("run", "--source", video, "--output", f"{kind}:{video}"), "--backend", "cpu", code=10
        )
        assert any("error" in line for line in lines)
    assert video.read_bytes() == before


def test_whole_files_have_outputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "out.jsonl"
    for _ in range(2):
        done = called(
            *DEMO, "--sampling", "uniform", "--output", f"jsonl:{path}", monkeypatch=monkeypatch
        )
        assert done.code == 0, done.err
    types = [line["type"] for line in json_lines(path.read_text())]
    assert types == ["header", "window"] * 2


def started(
    *words: object, state: Path, stdout: IO[bytes] | int = subprocess.DEVNULL
) -> subprocess.Popen[bytes]:
    """A run of the demo, in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "edge_cli", *map(str, words)],
        stdout=stdout,
        stderr=subprocess.PIPE,
        env={**environment(), "XDG_STATE_HOME": str(state)},
        cwd=ROOT,
    )


def whole_lines(path: Path) -> list[str]:
    """Of a file, but for half a line at its end."""
    return path.read_bytes().rpartition(b"\n")[0].decode().splitlines()


def wait_for_size(path: Path, size: int) -> None:
    for _ in range(1500):
        if path.exists() and path.stat().st_size >= size:
            return
        time.sleep(0.02)
    raise AssertionError(f"{path} stays small")


def test_kill_9_at_any_moment(tmp_path: Path) -> None:
    """Files parse, films play, and the queue loses nothing."""
    dice = random.Random(9)
    told: set[tuple[str, str]] = set()
    films = tmp_path / "films"
    answers: list[int | str] = [200, 503, "hang up"]
    with WebhookServer(lambda number: dice.choice(answers)) as server:
        for number in range(4):
            path = tmp_path / f"out{number}.jsonl"
            with (tmp_path / f"stdout{number}").open("wb") as stdout:
                child = started(
                    *DEMO,
                    *("--format", "csv", "--on", "0.4", "--fsync", "never"),
                    *("--output", f"jsonl:{path}", "--output", f"text:{tmp_path}/t.txt"),
                    *(
                        "--output",
                        f"csv:{tmp_path}/t.csv",
                        "--output",
                        f"events-csv:{tmp_path}/e.csv",
                    ),
                    *("--save", tmp_path / f"all{number}.mp4"),
                    *("--record-events", films, "--webhook", server.url),
                    state=tmp_path / "state",
                    stdout=stdout,
                )
                wait_for_size(path, 4000)
                time.sleep(dice.uniform(0.0, 0.8))
                os.kill(child.pid, signal.SIGKILL)
                child.communicate()
            whole = path.read_bytes().rpartition(b"\n")[0].decode()
            lines = json_lines(whole)
            assert lines[0]["type"] == "header"
            for name in (f"stdout{number}", "t.csv", "e.csv"):
                rows = list(csv.reader(whole_lines(tmp_path / name)))
                assert {len(row) for row in rows} == {len(rows[0])}
            (saved,) = tmp_path.glob(f"all{number}.*mp4")
            assert frames(saved) > 10
            told |= {(f"{number}", f"{one['id']}{one['kind']}") for one in events(lines)}
        server._answer = lambda number: 200
        before = len(server.ids)
        done = started(
            *DEMO,
            *("--on", "0.4", "--max-windows", "1", "--webhook", server.url),
            state=tmp_path / "state",
        )
        _, err = done.communicate(timeout=60)
        assert done.returncode == 0, err
        assert b"deliver" not in err, err  # nothing waits
        assert len(server.ids) >= before
    runs = list(dict.fromkeys(one["run"] for one in server.accepted))
    sent = {(f"{runs.index(one['run'])}", f"{one['id']}{one['kind']}") for one in server.accepted}
    assert told <= sent  # what a file tells was queued before
    repeats: dict[str, Any] = {}
    for id_, one in zip(server.ids, server.accepted, strict=True):
        assert repeats.setdefault(id_, one) == one
    made = list(films.iterdir())
    assert made
    played = [frames(film) for film in made if film.stat().st_size > 20_000]
    assert played
    assert all(played)


def test_sigterm_ends_in_two_seconds_though_nobody_answers(tmp_path: Path) -> None:
    def never(number: int) -> int:
        time.sleep(20)
        return 200

    path = tmp_path / "out.jsonl"
    with WebhookServer(never) as server:
        child = started(
            *("run", "--source", "realtime:" + str(demo_file(tmp_path)), "--backend", "cpu"),
            *("--on", "0.3", "--output", f"jsonl:{path}", "--record-events", tmp_path / "films"),
            *("--webhook", server.url, "--webhook", f"http://127.0.0.1:{free_port()}/away"),
            *("--mqtt", f"mqtt://127.0.0.1:{free_port()}/door"),
            state=tmp_path / "state",
        )
        wait_for_size(path, 3000)
        started_s = time.monotonic()
        child.send_signal(signal.SIGTERM)
        _, err = child.communicate(timeout=30)
        took_s = time.monotonic() - started_s
    assert child.returncode == 0, err
    assert b"summary:" in err
    assert err.count(b"left in") == 3
    busy = os.getloadavg()[0] > (os.cpu_count() or 1)
    assert took_s < (6.0 if busy else 2.0), took_s
    assert all(
        film.name.endswith(".mp4") and "part" not in film.name
        for film in (tmp_path / "films").iterdir()
    )


def demo_file(folder: Path) -> Path:
    """The demo as a file, long enough."""
    from tests.video_files import numbered_picture, write_video

    return write_video(folder / "long.mp4", [numbered_picture(n % 32) for n in range(900)])


@NEEDS_BROKER
def test_mqtt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("paho.mqtt", reason="needs the extra mqtt")
    with Broker(tmp_path, free_port()) as broker, Listener(broker.port) as listener:
        done = called(
            *DEMO,
            *("--on", "pan left=0.5", "--mqtt", f"mqtt://127.0.0.1:{broker.port}/home/door"),
            monkeypatch=monkeypatch,
        )
        assert done.code == 0, done.err
        listener.wait_for("home/door/status", 2)
        told = [json.loads(one) for one in listener.of("home/door/events")]
    assert [(one["kind"], one["label"]) for one in told] == [
        ("start", "pan left"),
        ("end", "pan left"),
    ]


def test_a_full_disk_ends_a_run_on_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16k", "none", str(folder)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("needs the right to mount a small file system")
    try:
        done = called(*DEMO, "--output", f"jsonl:{folder}/out.jsonl", monkeypatch=monkeypatch)
        assert done.code == 10
        assert "No space left" in done.err
        assert "summary:" in done.err
        text = (folder / "out.jsonl").read_text()
        assert text.endswith("\n")
        assert len(json_lines(text)) > 10
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_costs_a_live_run_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8k", "none", str(folder)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("needs the right to mount a small file system")
    try:
        began_s = time.time()
        done = called(
            *("run", "--source", f"realtime:{demo_file(tmp_path)}", "--backend", "cpu"),
            *("--format", "jsonl", "--output", f"jsonl:{folder}/out.jsonl", "--on", "0.2"),
            *("--max-windows", "40"),
            monkeypatch=monkeypatch,
        )
        assert done.code == 0, done.err
        lines = json_lines(done.out)
        assert sum(line["type"] == "window" for line in lines) == 40
        text = (folder / "out.jsonl").read_text()
        kept = json_lines(text)
        assert text.endswith("\n")
        assert kept == [line for line in lines if line in kept]
        assert f"{len(lines) - len(kept)} lines left out" in done.err
        assert sum("leaving lines out" in line for line in caplog.messages) >= 1
    finally:
        subprocess.run(["umount", str(folder)], check=True)
    # A live source tells the time of day.
    first = events(lines)[0]
    at = datetime.fromisoformat(first["began_at"].replace("Z", "+00:00")).timestamp()
    assert began_s < at < time.time()
