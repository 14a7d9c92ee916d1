"""A real MQTT broker on this machine: mosquitto, as Debian packages it."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest
from typing_extensions import Self

_FOUND = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")

NEEDS_BROKER = pytest.mark.skipif(
    _FOUND is None, reason="needs mosquitto: apt-get install mosquitto"
)


class Broker:
    """mosquitto in a process of its own; a context manager.

    Args:
        folder: For its configuration.
        port: To listen at, on this machine only.
        user: With a password, the only one let in; None lets everybody in.
    """

    def __init__(self, folder: Path, port: int, *, user: tuple[str, str] | None = None) -> None:
        self.port = port
        lines = [f"listener {port} 127.0.0.1", "persistence false"]
        if user is None:
            lines.append("allow_anonymous true")
        else:
            passwords = folder / "passwords"
            subprocess.run(
                ["mosquitto_passwd", "-b", "-c", str(passwords), *user], check=True, timeout=30
            )
            lines += ["allow_anonymous false", f"password_file {passwords}", "user root"]
        self._configuration = folder / "mosquitto.conf"
        self._configuration.write_text("\n".join(lines) + "\n")
        self._process: subprocess.Popen[bytes] | None = None

    def hang(self) -> None:
        """Keep connections open and do nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def __enter__(self) -> Self:
        assert _FOUND is not None
        self._process = subprocess.Popen(
            [_FOUND, "-c", str(self._configuration)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=0.2).close()
            except OSError:
                time.sleep(0.05)
            else:
                return self
        raise AssertionError("mosquitto does not listen")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()


class Listener:
    """Subscribed to everything at a broker; a context manager.

    Attributes:
        messages: Topic and payload, in the order of arrival.
    """

    def __init__(self, port: int, *, user: tuple[str, str] | None = None) -> None:
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion

        self.messages: list[tuple[str, bytes]] = []
        self._changed = threading.Condition()
        self._subscribed = threading.Event()
        self._client = Client(CallbackAPIVersion.VERSION2)
        if user is not None:
            self._client.username_pw_set(*user)
        self._client.on_connect = lambda client, *_: client.subscribe("#", qos=1)
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = self._on_message
        self._client.reconnect_delay_set(0.05, 0.1)  # type: ignore[arg-type]
        self._port = port

    def of(self, topic: str) -> list[bytes]:
        return [payload for found, payload in self.messages if found == topic]

    def wait_for(self, topic: str, count: int, *, seconds: float = 15.0) -> None:
        with self._changed:
            arrived = self._changed.wait_for(lambda: len(self.of(topic)) >= count, seconds)
        assert arrived, f"{topic}: {len(self.of(topic))} of {count} came"

    def _on_message(self, client: Any, data: Any, message: Any) -> None:
        with self._changed:
            self.messages.append((message.topic, message.payload))
            self._changed.notify_all()

    def __enter__(self) -> Self:
        self._client.connect("127.0.0.1", self._port)
        self._client.loop_start()
        assert self._subscribed.wait(10)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client.disconnect()
        self._client.loop_stop()
