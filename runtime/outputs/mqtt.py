"""Deliveries as MQTT messages."""

from __future__ import annotations

import contextlib
import threading
import time
import urllib.parse
from typing import Any

from models.errors import UsageError
from models.extras import extra
from runtime.outputs.courier import Outcome
from runtime.outputs.delivery_queue import Delivery
from runtime.outputs.webhook import checked_url

PORTS = {"mqtt": 1883, "mqtts": 8883}
TIMEOUT_S = 10.0
_GOODBYE_S = 0.25
_LONGEST_TOPIC = 60_000
"""Bytes; MQTT 3.1.1 allows 65535 (section 1.5.3), of which `/events` and `/status` take some."""


class Mqtt:
    """Publishes each delivery to `TOPIC/events` with QoS 1; it counts once the broker has it.

    `TOPIC/status` holds `online` while connected, retained; the broker itself sets `offline` when
    the connection breaks. Of the address only scheme and host appear in messages.

    Args:
        url: `mqtt://` or `mqtts://` (TLS), `[user[:password]@]host[:port]/TOPIC`.
        password: Instead of that in the address.
        timeout_s: For connecting, and for the broker's word on a message.

    Raises:
        UsageError: It is no such address.
        MissingExtra: paho-mqtt is not installed.
    """

    def __init__(
        self, url: str, *, password: str | None = None, timeout_s: float = TIMEOUT_S
    ) -> None:
        parts = checked_url(url, tuple(PORTS), option="--mqtt")
        topic = topic_of(url)
        self.description = f"mqtt {parts.scheme}://{parts.netloc.rpartition('@')[2]}/..."
        self._topic = topic
        self._timeout_s = timeout_s
        self._connected = threading.Event()
        self._reason = "it cannot be reached"
        self._client = self._connecting(parts, password)

    def send(self, delivery: Delivery) -> Outcome:
        """Publish it once, and wait for the broker's word."""
        if not self._connected.wait(min(2.0, self._timeout_s)):
            return Outcome(kind="later", reason=self._reason)
        message = self._client.publish(f"{self._topic}/events", delivery.body, qos=1)
        deadline_s = time.monotonic() + self._timeout_s
        while time.monotonic() < deadline_s and self._connected.is_set():
            try:
                message.wait_for_publish(0.1)
                if message.is_published():
                    return Outcome(kind="sent")
            except (RuntimeError, ValueError):  # the connection broke, or paho's queue is full
                break
        return Outcome(kind="later", reason="the connection broke before the broker's word")

    def close(self) -> None:
        """Say goodbye; idempotent."""
        if self._connected.is_set():
            last = self._client.publish(f"{self._topic}/status", "offline", qos=1, retain=True)
            with contextlib.suppress(RuntimeError, ValueError):
                last.wait_for_publish(_GOODBYE_S)
        self._client.disconnect()
        # paho joins its thread, which may be waiting for a name server.
        ending = threading.Thread(target=self._client.loop_stop, daemon=True)
        ending.start()
        ending.join(_GOODBYE_S)

    def _connecting(self, parts: urllib.parse.SplitResult, password: str | None) -> Any:
        """A client whose own thread connects, and connects again."""
        with extra("mqtt", "--mqtt"):
            from paho.mqtt.client import Client
            from paho.mqtt.enums import CallbackAPIVersion
        client = Client(CallbackAPIVersion.VERSION2)
        user = None if parts.username is None else urllib.parse.unquote(parts.username)
        given = None if parts.password is None else urllib.parse.unquote(parts.password)
        if user is not None or password is not None:
            client.username_pw_set(user or "", given if password is None else password)
        if parts.scheme == "mqtts":
            client.tls_set()
        client.will_set(f"{self._topic}/status", "offline", qos=1, retain=True)
        client.max_inflight_messages_set(1)
        client.max_queued_messages_set(4)
        client.reconnect_delay_set(min_delay=1, max_delay=60)
        client.connect_timeout = self._timeout_s
        client.on_connect = self._on_connect
        client.on_connect_fail = self._on_connect_fail
        client.on_disconnect = self._on_disconnect
        client.connect_async(str(parts.hostname), parts.port or PORTS[parts.scheme], keepalive=30)
        client.loop_start()
        return client

    def _on_connect(self, client: Any, data: Any, flags: Any, reason: Any, more: Any) -> None:
        if reason.is_failure:
            self._reason = f"the broker refuses the connection ({reason})"
            return
        client.publish(f"{self._topic}/status", "online", qos=1, retain=True)
        self._connected.set()

    def _on_connect_fail(self, client: Any, data: Any) -> None:
        self._reason = "it cannot be reached"

    def _on_disconnect(self, client: Any, data: Any, flags: Any, reason: Any, more: Any) -> None:
        self._connected.clear()


def topic_of(url: str) -> str:
    """The topic in an address, without slashes at its ends.

    Raises:
        UsageError: It is no address, or the topic cannot be published to.
    """
    parts = checked_url(url, tuple(PORTS), option="--mqtt")
    topic = urllib.parse.unquote(parts.path.strip("/"))
    if not topic or len(topic.encode("utf-8", "replace")) > _LONGEST_TOPIC:
        raise UsageError(
            "The address of --mqtt names no topic, or too long a one.",
            hint="--mqtt mqtt://broker.example.org/home/door",
        )
    if parts.query or parts.fragment or "+" in topic or "#" in topic or not topic.isprintable():
        raise UsageError(
            "The topic of --mqtt holds +, #, ? or characters that are not printable.",
            hint="--mqtt mqtt://broker.example.org/home/door",
        )
    return topic
