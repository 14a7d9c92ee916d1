"""`edgecls run --serve`: the real command, watched while it runs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("uvicorn", reason="needs the extra serve")

from tests.chromium import NEEDS_CHROMIUM, Chromium
from tests.cli.command import NEEDS_ENGINES, ROOT, environment, failing
from tests.http_client import connection, request
from tests.pauses import Pauses

SOURCE = "realtime:demo"
TOKEN = "0123456789abcdef0123456789abcdef"


class Run:
    """A run in a process of its own, with a page."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stderr is not None
        self.process = process
        self.said: list[str] = []
        for line in process.stderr:
            self.said.append(line)
            if line.startswith("page: "):
                break
        else:
            raise AssertionError("".join(self.said))
        self.url = self.said[-1].split()[1]
        self.port = int(self.url.rstrip("/").rpartition(":")[2])

    def state(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(request(self.port, "/state").body)
        return told

    def wait_for_results(self, results: int = 2) -> None:
        deadline_s = time.monotonic() + 30
        while time.monotonic() < deadline_s:
            if all(one["predictions"] >= results for one in self.state()["streams"]):
                return
            time.sleep(0.1)
        raise AssertionError(self.state())

    def end(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, float, str]:
        """Exit code, seconds it took, and what was said on stderr since."""
        started_s = time.monotonic()
        self.process.send_signal(number)
        _, err = self.process.communicate(timeout=10)
        return self.process.returncode, time.monotonic() - started_s, err


@contextmanager
def running(*words: object, env: dict[str, str] | None = None) -> Iterator[Run]:
    process = subprocess.Popen(
        [sys.executable, "-m", "edge_cli", "-vv", "run", *map(str, words), "--window", "1"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**environment(), **(env or {})},
    )
    try:
        yield Run(process)
    finally:
        process.kill()
        process.communicate()


@NEEDS_ENGINES
@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_run_is_watched_and_ends_quickly(number: signal.Signals, pauses: Pauses) -> None:
    with running("--source", SOURCE, "--serve", ":0") as run:
        assert run.url.startswith("http://127.0.0.1:")
        run.wait_for_results()
        (stream,) = run.state()["streams"]
        assert stream["status"] == "live"
        assert stream["frames"] > 0
        assert request(run.port, "/picture/0.jpg").headers["content-type"] == "image/jpeg"
        assert request(run.port, "/healthz").text == "ok\n"
        metrics = request(run.port, "/metrics").text
        assert 'edgecls_predictions_total{source="' in metrics
        feeds = [connection(run.port) for _ in range(3)]
        for feed in feeds:
            feed.sendall(b"GET /feed HTTP/1.1\r\nHost: localhost\r\n\r\n")
        time.sleep(0.5)
        code, took_s, err = run.end(number)
        assert (code, "summary: " in err) == (0, True)
        assert took_s < 2.0 + pauses.lost_s
        assert "Traceback" not in err
        assert b"event: end" in b"".join(iter(lambda: feeds[0].recv(65536), b""))
        for feed in feeds:
            feed.close()


@NEEDS_ENGINES
@pytest.mark.slow
def test_a_token_for_the_network(tmp_path: Path) -> None:
    path = tmp_path / "token"
    words = ("--source", SOURCE, "--serve", "0.0.0.0:0", "--serve-token", path)
    with running(*words) as run:
        token = path.read_text().strip()
        assert "asks for the token" in run.said[-1]
        assert request(run.port, "/state").status == 401
        bearer = {"Authorization": f"Bearer {token}"}
        assert request(run.port, "/state", headers=bearer).status == 200
        _, _, err = run.end()
        assert token not in "".join(run.said) + err


@NEEDS_ENGINES
@pytest.mark.slow
def test_two_sources() -> None:
    with running("--source", SOURCE, "--source", SOURCE, "--serve", ":0") as run:
        run.wait_for_results()
        metrics = request(run.port, "/metrics").text
        assert metrics.count("edgecls_predictions_total{") == 2
        for stream in (0, 1):
            assert request(run.port, f"/picture/{stream}.jpg").status == 200


@NEEDS_ENGINES
@NEEDS_CHROMIUM
@pytest.mark.slow
def test_a_real_run_in_a_real_browser(tmp_path: Path) -> None:
    with (
        running("--source", SOURCE, "--serve", ":0") as run,
        Chromium(tmp_path / "profile") as browser,
    ):
        browser.looks(width=1280, height=860)
        browser.go(run.url)
        browser.wait("document.querySelectorAll('.classes li').length >= 2")
        browser.wait("document.querySelector('.view img').naturalWidth > 0")
        browser.wait("document.querySelectorAll('.status.live').length === 1")
        time.sleep(3)
        folder = Path(os.environ.get("EDGECLS_SCREENSHOTS", tmp_path))
        browser.screenshot(folder / "real-run.png")
        assert browser.complaints() == []


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--serve", "nonsense"), 2, "--serve takes HOST:PORT"),
        (("--serve", "0.0.0.0:8088"), 2, "needs a token"),
        (("--serve-token", "token"), 2, "was not asked for"),
        (("--serve", ":8088", "--sampling", "uniform"), 2, "--serve has no meaning with"),
    ],
)
def test_what_cannot_be_served(
    words: tuple[str, ...], code: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("EDGECLS_SERVE_TOKEN", raising=False)
    lines = failing("run", "--source", "demo", *words, code=code)
    assert said in lines[-2]
    assert lines[-1].startswith("hint: ")


@NEEDS_ENGINES
def test_a_taken_port() -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        lines = failing("run", "--source", "demo", "--serve", f":{port}", code=10)
    assert f"port {port}: Address already in use" in lines[-2]
