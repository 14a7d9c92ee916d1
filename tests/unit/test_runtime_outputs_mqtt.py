"""MQTT: a real broker, one that dies and comes back, passwords, addresses that are none."""

from __future__ import annotations

import contextlib
import json
import logging
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import MissingExtra, UsageError
from runtime.outputs.courier import Courier
from runtime.outputs.delivery_queue import DeliveryQueue
from runtime.outputs.mqtt import Mqtt, topic_of
from tests.mqtt_broker import NEEDS_BROKER, Broker, Listener
from tests.pauses import Pauses
from tests.webhook_server import free_port

pytest.importorskip("paho.mqtt", reason="needs the extra mqtt")


def courier(tmp_path: Path, url: str) -> Courier:
    return Courier(
        DeliveryQueue(tmp_path / "q.sqlite"), Mqtt(url, timeout_s=3.0), first_wait_s=0.05
    )


def numbers(listener: Listener, topic: str) -> list[int]:
    return [json.loads(payload)["number"] for payload in listener.of(topic)]


@NEEDS_BROKER
def test_publishes_events_and_status(tmp_path: Path) -> None:
    with Broker(tmp_path, free_port()) as broker, Listener(broker.port) as listener:
        sender = courier(tmp_path, f"mqtt://127.0.0.1:{broker.port}/home/fr%C3%BCh/door/")
        for number in range(10):
            sender.post(json.dumps({"number": number}).encode())
        listener.wait_for("home/früh/door/events", 10)
        sender.close(grace_s=5.0)
        listener.wait_for("home/früh/door/status", 2)
        assert numbers(listener, "home/früh/door/events") == list(range(10))
        assert listener.of("home/früh/door/status") == [b"online", b"offline"]
    assert sender.notes() == ()


@NEEDS_BROKER
def test_a_broker_that_dies_and_comes_back_gets_everything(tmp_path: Path) -> None:
    port, seen = free_port(), set()
    sender = courier(tmp_path, f"mqtt://127.0.0.1:{port}/door")
    number = 0
    for _ in range(3):
        with Broker(tmp_path, port), Listener(port) as listener:
            for _ in range(5):
                sender.post(json.dumps({"number": number}).encode())
                number += 1
            before = time.monotonic()
            while sender._queue.waiting and time.monotonic() < before + 20:
                time.sleep(0.02)
            listener.wait_for("door/events", 5)
            seen |= set(numbers(listener, "door/events"))
        sender.post(json.dumps({"number": number}).encode())  # into the outage
        number += 1
    sender.close(grace_s=0.2)
    assert seen == set(range(number - 1))
    (note,) = sender.notes()
    assert "1 delivery left" in note


@NEEDS_BROKER
def test_passwords(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)  # a library may have raised the root's
    user = ("cam", "s3cret")
    with Broker(tmp_path, free_port(), user=user) as broker:
        with Listener(broker.port, user=user) as listener:
            address = f"127.0.0.1:{broker.port}/door"
            for url, password in (
                (f"mqtt://cam:s3cret@{address}", None),
                (f"mqtt://cam@{address}", "s3cret"),
            ):
                sender = Courier(DeliveryQueue(tmp_path / "q.sqlite"), Mqtt(url, password=password))
                sender.post(b'{"number": 1}')
                sender.close(grace_s=5.0)
                assert sender.notes() == ()
            listener.wait_for("door/events", 2)
        sender = courier(tmp_path, f"mqtt://cam:wr0ng@{address}")
        sender.post(b'{"number": 2}')
        until_s = time.monotonic() + 15
        while not caplog.messages and time.monotonic() < until_s:
            time.sleep(0.05)
        sender.close(grace_s=0.1)
    said = " ".join([*caplog.messages, *sender.notes()])
    assert "refuses the connection" in said
    assert "s3cret" not in said
    assert "wr0ng" not in said


def test_the_end_does_not_wait_for_a_broker_that_is_away(tmp_path: Path, pauses: Pauses) -> None:
    sender = courier(tmp_path, f"mqtt://127.0.0.1:{free_port()}/door")
    sender.post(b"{}")
    time.sleep(0.1)
    started_s = time.monotonic()
    sender.close(grace_s=0.5)
    assert time.monotonic() - started_s < 1.8 + pauses.lost_s


@NEEDS_BROKER
def test_the_end_does_not_wait_for_a_broker_that_hangs(tmp_path: Path, pauses: Pauses) -> None:
    with Broker(tmp_path, free_port()) as broker:
        sender = courier(tmp_path, f"mqtt://127.0.0.1:{broker.port}/door")
        sender.post(b"{}")
        while sender.sent < 1:
            time.sleep(0.02)
        broker.hang()
        sender.post(b"{}")
        time.sleep(0.2)
        started_s = time.monotonic()
        sender.close(grace_s=0.5)
        assert time.monotonic() - started_s < 1.8 + pauses.lost_s
        (note,) = sender.notes()
        assert "1 delivery left" in note


@settings(max_examples=200, deadline=None)
@given(url=st.text(max_size=40) | st.from_regex(r"mqtts?://.{0,30}", fullmatch=True))
def test_any_text_as_address_is_an_address_or_an_error(url: str) -> None:
    with contextlib.suppress(UsageError):
        topic_of(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "mqtt://host",
        "mqtt://host/",
        "mqtt:///topic",
        "http://host/topic",
        "mqtt://host/a/+/b",
        "mqtt://host/a/%23",
        "mqtt://host/a?b=c",
        "mqtt://host/a#b",
        "mqtt://host/%00",
        "mqtt://host:66000/a",
        "mqtt://host/" + "a" * 70_000,
        "mqtt://us:p4ss@/a",
    ],
)
def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(UsageError) as refused:
        Mqtt(url)
    assert "p4ss" not in refused.value.message


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "paho.mqtt.client", None)
    with pytest.raises(MissingExtra, match="mqtt"):
        Mqtt("mqtt://host/topic")
