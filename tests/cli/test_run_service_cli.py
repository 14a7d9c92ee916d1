"""A run that a service manager has started."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.command import NEEDS_ENGINES
from tests.cli.in_process import called
from tests.notify_socket import NotifySocket

pytestmark = NEEDS_ENGINES


def test_it_tells_when_it_is_ready_and_when_it_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with NotifySocket(tmp_path / "notify") as systemd:
        monkeypatch.setenv("NOTIFY_SOCKET", systemd.address)
        done = called(
            *("run", "--source", "demo", "--backend", "cpu", "--precision", "fp32"),
            *("--max-windows", "3", "--format", "csv"),
            monkeypatch=monkeypatch,
        )
        assert done.code == 0, done.err
        first, last = systemd.messages
    assert first == {"READY": "1", "STATUS": "0 results"}
    assert last["STOPPING"] == "1"
    assert last["STATUS"].startswith("ending: 3 results, the newest ")


def test_a_camera_that_cannot_be_reached_is_no_reason_not_to_be_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with NotifySocket(tmp_path / "notify") as systemd:
        monkeypatch.setenv("NOTIFY_SOCKET", systemd.address)
        done = called(
            *("run", "--source", "rtsp://127.0.0.1:9/front", "--retries", "1"),
            *("--backend", "cpu", "--precision", "fp32"),
            monkeypatch=monkeypatch,
        )
        assert done.code == 4, done.err
        messages = systemd.messages
    assert messages[0]["READY"] == "1"
    assert messages[0]["STATUS"].startswith("0 results; rtsp://127.0.0.1:9/front: ")
    assert messages[-1]["STOPPING"] == "1"
