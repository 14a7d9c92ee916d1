"""Webhooks: a real server that fails, receivers that refuse, processes that are killed."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import logging
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import UsageError
from runtime.outputs.courier import Courier
from runtime.outputs.delivery_queue import Delivery, DeliveryQueue
from runtime.outputs.webhook import Webhook, WebhookSecrets
from tests.pauses import Pauses
from tests.webhook_server import WebhookServer, free_port

ROOT = Path(__file__).parents[2]


def courier(tmp_path: Path, url: str, *, first_wait_s: float = 0.01) -> Courier:
    return Courier(
        DeliveryQueue(tmp_path / "q.sqlite"),
        Webhook(url, timeout_s=2.0),
        first_wait_s=first_wait_s,
    )


def body(number: int) -> bytes:
    return json.dumps({"number": number}).encode()


def delivery(number: int = 0) -> Delivery:
    return Delivery(id=f"id{number}", body=body(number), created_s=0.0)


def test_delivers_in_order_with_ids(tmp_path: Path) -> None:
    with WebhookServer() as server:
        sender = courier(tmp_path, server.url)
        ids = [sender.post(body(number)) for number in range(20)]
        sender.close(grace_s=10.0)
        assert server.accepted == [{"number": number} for number in range(20)]
        assert server.ids == ids
        assert len(set(ids)) == 20
    assert sender.notes() == ()
    headers = server.requests[0]
    assert headers["Content-Type"] == "application/json"
    assert headers["Idempotency-Key"] == headers["X-Edgecls-Delivery"] == ids[0]
    assert "Authorization" not in headers


def test_failures_of_every_kind_are_tried_again_in_order(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)  # a library may have raised the root's
    script: list[int | str] = [
        500,
        "hang up",
        503,
        "garbage",
        429,
        200,
        404,
        200,
        401,
        "hang up",
        200,
    ]
    with WebhookServer(lambda n: script[n] if n < len(script) else 200) as server:
        sender = courier(tmp_path, server.url)
        for number in range(6):
            sender.post(body(number))
        server.wait_for(6)
        sender.close(grace_s=5.0)
        assert server.accepted == [{"number": number} for number in range(6)]
    assert sender.sent == 6
    # Said once per outage, not per attempt, and not of a single failure.
    assert sum("trying again" in line for line in caplog.messages) == 2
    assert sum("reached again" in line for line in caplog.messages) == 2


def test_what_is_refused_is_given_up_and_does_not_block(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)  # a library may have raised the root's
    with WebhookServer(lambda n: 422 if n < 3 else 200) as server:
        sender = courier(tmp_path, server.url)
        ids = [sender.post(body(number)) for number in range(3)]
        server.wait_for(2)
        sender.close(grace_s=5.0)
        assert server.ids == ids[1:]
        assert len(server.requests) == 5
    assert sender.notes() == (
        f"webhook http://127.0.0.1:{server.port}/...: 1 delivery given up, refused by the receiver",
    )
    assert any(ids[0] in line and "422" in line for line in caplog.messages)


def test_a_receiver_that_comes_back_gets_everything(tmp_path: Path) -> None:
    port = free_port()
    sender = courier(tmp_path, f"http://127.0.0.1:{port}/hook")
    ids = [sender.post(body(number)) for number in range(5)]
    time.sleep(0.1)
    with WebhookServer(port=port) as server:
        server.wait_for(5)
        sender.close(grace_s=5.0)
    assert server.ids == ids


def test_the_next_run_sends_what_this_one_could_not(tmp_path: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}/secret-path?key=hidden"
    sender = courier(tmp_path, url)
    ids = [sender.post(body(number)) for number in range(3)]
    with Pauses() as pauses:
        started_s = time.monotonic()
        sender.close(grace_s=1.0)
        assert time.monotonic() - started_s < 1.5 + pauses.lost_s
    (note,) = sender.notes()
    assert note.startswith(f"webhook http://127.0.0.1:{port}/...: 3 deliveries left in {tmp_path}")
    with WebhookServer(port=port) as server:
        sender = courier(tmp_path, url)
        server.wait_for(3)
        sender.close(grace_s=5.0)
    assert server.ids == ids
    assert set(server.paths) == {"/secret-path?key=hidden"}


def test_a_receiver_that_never_answers_does_not_hold_up_the_end(tmp_path: Path) -> None:
    def slowly(number: int) -> int:
        time.sleep(3)
        return 200

    with WebhookServer(slowly) as server:
        sender = courier(tmp_path, server.url)
        sender.post(body(0))
        time.sleep(0.1)
        with Pauses() as pauses:
            started_s = time.monotonic()
            sender.close(grace_s=0.3)
            assert time.monotonic() - started_s < 1.0 + pauses.lost_s
        (note,) = sender.notes()
        assert "1 delivery left" in note


def test_secrets_are_sent_and_never_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    secrets = WebhookSecrets(token="tok-en", signing_key="sign-ing")
    with WebhookServer() as server:
        hook = Webhook(server.url, secrets=secrets)
        assert hook.send(delivery()).kind == "sent"
        assert server.requests[0]["Authorization"] == "Bearer tok-en"
        expected = hmac.new(b"sign-ing", server.bodies[0], hashlib.sha256).hexdigest()
        assert server.requests[0]["X-Edgecls-Signature"] == f"sha256={expected}"
        with_user = f"http://us%40er:pass%3Aword@127.0.0.1:{server.port}/T0/B0/path-key?k=query-key"
        hook = Webhook(with_user)
        assert hook.send(delivery()).kind == "sent"
        assert server.requests[1]["Authorization"] == "Basic dXNAZXI6cGFzczp3b3Jk"
        assert server.paths[1] == "/T0/B0/path-key?k=query-key"
        port = server.port
    sender = courier(tmp_path, with_user)
    sender.post(body(0))
    time.sleep(0.3)
    sender.close(grace_s=0.1)
    said = " ".join([*caplog.messages, *sender.notes(), hook.description, repr(secrets)])
    assert f"http://127.0.0.1:{port}/..." in said
    for secret in ("us%40er", "pass", "path-key", "query-key", "tok-en", "sign-ing"):
        assert secret not in said


def test_redirects_are_not_followed() -> None:
    with WebhookServer() as other, WebhookServer(lambda n: f"{other.url}") as server:
        outcome = Webhook(server.url).send(delivery())
        assert outcome.kind == "later"
        assert "307" in outcome.reason
        assert other.requests == []


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.org/hook",
        "ftp://example.org/",
        "file:///etc/passwd",
        "http://",
        "http:///path",
        "http://:80/",
        "http://host:99999/",
        "http://host:port/",
        "http://host:0/",
        "http://[::1/",
        "http://ho st/",
        "http://host/\r\nX-Evil: 1",
        "http://host/\x00",
        "http://" + "a" * 300 + ".org/",
        "http://xn--\udcff/",
        "javascript:alert(1)",
        "http://user:p4ss@ho\tst/",
    ],
)
def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(UsageError) as refused:
        Webhook(url)
    assert "p4ss" not in refused.value.message + refused.value.hint


@settings(max_examples=400, deadline=None)
@given(
    url=st.one_of(
        st.text(max_size=60),
        st.from_regex(r"https?://[^/]{0,20}(/.{0,20})?", fullmatch=True),
        st.builds(
            "{}://{}@{}:{}/{}".format,
            st.sampled_from(["http", "https", "HTTP", "gopher", ""]),
            st.text(max_size=8),
            st.text(max_size=12),
            st.one_of(st.integers(-5, 99999), st.text(max_size=4)),
            st.text(max_size=12),
        ),
    )
)
def test_any_text_as_address_is_an_address_or_an_error(url: str) -> None:
    with contextlib.suppress(UsageError):
        assert Webhook(url).description.startswith("webhook http")


@pytest.mark.parametrize("token", ["", "a\nb", "a\r\nX: y", "ü", "\x7f"])
def test_tokens_that_cannot_stand_in_a_header(token: str) -> None:
    with pytest.raises(UsageError, match="token"):
        Webhook("http://host/", secrets=WebhookSecrets(token=token))


def test_words_outside_ascii_in_an_address_are_encoded() -> None:
    with WebhookServer() as server:
        assert Webhook(f"{server.url}/tür?ort=küche%20x").send(delivery()).kind == "sent"
        assert server.paths == ["/hook/t%C3%BCr?ort=k%C3%BCche%20x"]


def test_nothing_is_lost_by_kill_9_and_repeats_can_be_told(tmp_path: Path) -> None:
    """A process posts without end and is killed at random moments, the server fails at random."""
    dice = random.Random(4)
    told: list[str] = []
    path = tmp_path / "q.sqlite"
    answers: list[int | str] = [200, 200, 500, "hang up"]
    with WebhookServer(lambda n: dice.choice(answers)) as server:
        for round_number in range(8):
            child = subprocess.Popen(
                [sys.executable, "-m", "tests.posting_child", path, server.url, str(round_number)],
                stdout=subprocess.PIPE,
                cwd=ROOT,
                text=True,
            )
            assert child.stdout is not None
            told.append(child.stdout.readline().strip())
            time.sleep(dice.uniform(0.0, 0.3))
            os.kill(child.pid, signal.SIGKILL)
            told += child.stdout.read().splitlines()
            child.stdout.close()
            child.wait()
        server._answer = lambda n: 200
        sender = Courier(DeliveryQueue(path), Webhook(server.url), first_wait_s=0.01)
        while sender._queue.waiting:
            time.sleep(0.01)
        sender.close(grace_s=5.0)
    whole = [one for one in told if len(one) == 32]
    assert len(whole) >= 8  # at least one of each round; how many more is up to the disk
    assert set(whole) <= set(server.ids)
    # What came twice came with the same id and the same body.
    by_id: dict[str, object] = {}
    for one, accepted in zip(server.ids, server.accepted, strict=True):
        assert by_id.setdefault(one, accepted) == accepted
    numbers = [str(one["number"]) for one in by_id.values()]  # type: ignore[index]
    assert len(set(numbers)) == len(numbers)
