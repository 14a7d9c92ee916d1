"""The real server, spoken to over sockets."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from urllib.parse import quote

import cv2
import numpy as np
import pytest

pytest.importorskip("uvicorn", reason="needs the extra serve")

from models.errors import OutputError
from runtime.serve import connection as limits
from runtime.serve.address import address_from_text
from runtime.serve.app import ASSETS
from runtime.serve.board import LiveBoard
from runtime.serve.server import WatchServer
from runtime.serve.viewers import LIMITS
from tests.boards import board, event, frame, prediction
from tests.http_client import answer_of, connection, request, sent
from tests.pauses import Pauses

TOKEN = "0123456789abcdef0123456789abcdef"
GET_FEED = b"GET /feed HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


@pytest.fixture
def shown() -> LiveBoard:
    one = board(("camera0", "file.mp4"))
    one.frame(frame())
    one.prediction(prediction())
    return one


@pytest.fixture
def server(shown: LiveBoard) -> Iterator[WatchServer]:
    with WatchServer(shown, address_from_text(":0"), None) as one:
        yield one


@pytest.fixture
def locked(shown: LiveBoard) -> Iterator[WatchServer]:
    with WatchServer(shown, address_from_text(":0"), TOKEN) as one:
        yield one


def test_every_asset(server: WatchServer) -> None:
    for path, kind in (("/", "text/html"), ("/page.css", "text/css"), ("/icon.svg", "image/svg"),
                       ("/page.js", "text/javascript"), ("/chart.js", "text/javascript"),
                       ("/login", "text/html")):  # fmt: skip
        answer = request(server.port, path)
        assert answer.status == 200, path
        assert answer.headers["content-type"].startswith(kind)
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert answer.headers["cache-control"] == "no-store"
        assert "server" not in answer.headers
        assert b"http://" not in answer.body.replace(b"http://www.w3.org/2000/svg", b"")
        assert b"https://" not in answer.body
        assert b"<style" not in answer.body
        assert b" style=" not in answer.body
    assert len(ASSETS) == 6


def test_state_health_and_metrics(server: WatchServer, shown: LiveBoard) -> None:
    shown.event(event())
    shown.prediction(prediction(1, top=[('a "b"\n', 0.5)], stream=1, age_ms=None, dropped=None))
    told = json.loads(request(server.port, "/state").body)
    assert [one["name"] for one in told["streams"]] == ["camera0", "file.mp4"]
    assert told["streams"][0]["predictions"] == 1
    assert request(server.port, "/healthz").text == "ok\n"
    answer = request(server.port, "/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    from prometheus_client.parser import text_string_to_metric_families

    samples = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }
    camera = ("source", "camera0")
    assert samples["edgecls_frames_total", camera] == 40
    assert samples["edgecls_frames_dropped_total", camera] == 8
    assert samples["edgecls_frames_skipped_total", camera] == 10
    assert samples["edgecls_frames_broken_total", camera] == 2
    assert samples["edgecls_source_up", camera] == 1
    assert samples["edgecls_top_probability", camera] == 0.75
    assert samples["edgecls_top_label_total", ("label", 'a "b"\n'), ("source", "file.mp4")] == 1
    stage = ("stage", "infer")
    assert samples["edgecls_stage_seconds_sum", camera, stage] == pytest.approx(0.011)
    assert samples["edgecls_frame_age_seconds_bucket", ("le", "0.05"), camera] == 1
    assert samples["edgecls_events_total", ("kind", "action"), ("label", "wave"), camera] == 1
    assert samples["process_resident_memory_bytes",] > 1e6


def test_an_ill_run_is_503(server: WatchServer, shown: LiveBoard) -> None:
    shown.source_state(0, ok=False)
    shown.source_state(1, ok=False)
    assert request(server.port, "/healthz").status == 503


def test_pictures(server: WatchServer, shown: LiveBoard, pauses: Pauses) -> None:
    answer = request(server.port, "/picture/0.jpg")
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["x-picture"] == "1"
    picture = cv2.imdecode(np.frombuffer(answer.body, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    assert picture.shape == (48, 64, 3)
    # What is asked for comes when it is there.
    timer = threading.Timer(0.3, lambda: shown.frame(frame(1)))
    timer.start()
    started_s = time.monotonic()
    assert request(server.port, "/picture/0.jpg?after=1").headers["x-picture"] == "2"
    assert 0.2 < time.monotonic() - started_s < 2 + pauses.lost_s
    timer.join()


def test_large_pictures_are_made_smaller(server: WatchServer, shown: LiveBoard) -> None:
    red = np.zeros((1080, 1920, 3), np.uint8)
    red[:, :, 0] = 255
    shown.frame(frame(picture=red), 1)
    answer = request(server.port, "/picture/1.jpg")
    picture = cv2.imdecode(np.frombuffer(answer.body, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    assert picture.shape == (540, 960, 3)
    assert picture[100, 100].tolist() == pytest.approx([0, 0, 254], abs=3)


def test_mjpeg(server: WatchServer, shown: LiveBoard) -> None:
    stop = threading.Event()

    def film() -> None:
        index = 0
        while not stop.wait(0.02):
            index += 1
            shown.frame(frame(index))

    thread = threading.Thread(target=film)
    thread.start()
    head = b"GET /stream/0.mjpg HTTP/1.1\r\nHost: localhost\r\n\r\n"
    received = sent(server.port, head, timeout_s=1.5)
    stop.set()
    thread.join()
    assert b"multipart/x-mixed-replace; boundary=" in received
    # 50 frames per second came in, at most 10 went out.
    assert 2 <= received.count(b"Content-Type: image/jpeg") <= 16


def test_the_feed(server: WatchServer, shown: LiveBoard) -> None:
    def more() -> None:
        shown.prediction(prediction(1))
        time.sleep(0.4)
        shown.close()

    timer = threading.Timer(0.4, more)
    timer.start()
    received = sent(server.port, GET_FEED).decode()
    timer.join()
    names = [line[7:] for line in received.splitlines() if line.startswith("event: ")]
    assert names[:3] == ["opening", "news", "state"]
    assert names[-1] == "end"
    assert names.count("news") == 2


@pytest.mark.parametrize("path", ["/feed", "/stream/0.mjpg"])
def test_head_of_what_has_no_end(server: WatchServer, path: str) -> None:
    answer = request(server.port, path, method="HEAD")
    assert (answer.status, answer.body) == (200, b"")


@pytest.mark.parametrize(
    "path",
    ["/picture/2.jpg", "/picture/-1.jpg", "/picture/1e1.jpg", f"/picture/{'9' * 5000}.jpg",
     "/stream/9.mjpg", "/page", "/page.js/", "/static/page.js", "/picture/0.jpg/", "//", "/login/",
     "/../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/page/../../board.py", "/..%2fboard.py",
     "/picture/..%2f..%2fetc%2fpasswd.jpg", "/picture/%00.jpg", "/page.js%00", "/C:\\boot.ini"],
)  # fmt: skip
def test_there_is_nothing_else(server: WatchServer, path: str) -> None:
    assert request(server.port, path).status == 404


def test_a_foreign_host_name(server: WatchServer) -> None:
    for host in ("evil.example", "evil.example:80", ""):
        assert request(server.port, "/state", headers={"Host": host}).status == 421
    assert request(server.port, "/state", headers={"Host": "[::1]:99"}).status == 200


@pytest.mark.parametrize(
    "method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT"]
)
def test_it_can_only_be_read(server: WatchServer, method: str) -> None:
    assert request(server.port, "/state", method=method).status in (400, 405)


def test_without_the_token(locked: WatchServer) -> None:
    for path in ("/feed", "/state", "/metrics", "/picture/0.jpg", "/stream/0.mjpg", "/page.js"):
        answer = request(locked.port, path)
        assert answer.status == 401, path
        assert "camera0" not in answer.text
    answer = request(locked.port, "/")
    assert (answer.status, answer.headers["location"]) == (303, "login")
    assert request(locked.port, "/healthz").text == "ok\n"
    assert request(locked.port, f"/state?token={TOKEN}").status == 401


def test_with_the_token(locked: WatchServer) -> None:
    bearer = {"Authorization": f"Bearer {TOKEN}", "Host": "camera.example"}
    assert request(locked.port, "/metrics", headers=bearer).status == 200
    form = f"token={quote(TOKEN)}".encode()
    answer = request(locked.port, "/login", method="POST", body=form)
    assert (answer.status, answer.headers["location"]) == (303, "./")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert TOKEN not in cookie
    kept = {"Cookie": cookie.partition(";")[0]}
    assert request(locked.port, "/state", headers=kept).status == 200


@pytest.mark.parametrize(
    "form",
    [b"", b"token=", b"token=wrong", b"token", b"\xff\xfe", b"a=1&b=2&c=3&d=4&e=5", b"x" * 4000],
)
def test_a_wrong_login(locked: WatchServer, form: bytes) -> None:
    answer = request(locked.port, "/login", method="POST", body=form)
    assert answer.status in (303, 400)
    assert "set-cookie" not in answer.headers


def test_nothing_of_the_token_is_logged(
    locked: WatchServer, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level("DEBUG")
    request(locked.port, f"/state?token={TOKEN}", headers={"Authorization": f"Bearer {TOKEN}"})
    request(locked.port, "/login", method="POST", body=f"token={TOKEN}".encode())
    sent(locked.port, b"GARBAGE " + TOKEN.encode() + b"\r\n\r\n")
    out, err = capfd.readouterr()
    assert TOKEN not in caplog.text + out + err
    assert out + err == ""


def test_a_network_address_needs_a_token(shown: LiveBoard) -> None:
    with pytest.raises(OutputError, match="open to the network"):
        WatchServer(shown, address_from_text("0.0.0.0:0"), None)


def test_viewers_are_limited(server: WatchServer) -> None:
    open_ones = [connection(server.port) for _ in range(LIMITS["feed"])]
    for one in open_ones:
        one.sendall(GET_FEED)
        assert one.recv(15) == b"HTTP/1.1 200 OK"
    refused = answer_of(sent(server.port, GET_FEED))
    assert (refused.status, refused.headers["retry-after"]) == (503, "5")
    for one in open_ones:
        one.close()
    deadline_s = time.monotonic() + 5
    while time.monotonic() < deadline_s:
        if request(server.port, "/feed", method="HEAD").status == 200 and sent(
            server.port, GET_FEED, most=15
        ).startswith(b"HTTP/1.1 200"):
            return
    pytest.fail("the places of viewers that left are not free again")


def test_connections_are_limited(server: WatchServer) -> None:
    idle = [connection(server.port) for _ in range(limits.MOST_CONNECTIONS + 20)]
    ended: set[socket.socket] = set()
    deadline_s = time.monotonic() + 5
    while len(ended) < 20 and time.monotonic() < deadline_s:
        for one in set(idle) - ended:
            one.settimeout(0.001)
            try:
                if one.recv(1) == b"":
                    ended.add(one)
            except ConnectionError:
                ended.add(one)
            except TimeoutError:
                pass
    for one in idle:
        one.close()
    assert len(ended) >= 20
    while request(server.port, "/healthz").status != 200:
        assert time.monotonic() < deadline_s + 5


def test_silent_and_stalled_clients_are_cut_off(
    shown: LiveBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "REQUEST_S", 0.4)
    monkeypatch.setattr(limits, "STALLED_S", 0.4)
    noise = np.random.default_rng(0).integers(0, 256, (700, 900, 3), np.uint8)
    with WatchServer(shown, address_from_text(":0"), None) as server:
        silent, dripping, deaf = (connection(server.port, 5) for _ in range(3))
        deaf.sendall(b"GET /stream/0.mjpg HTTP/1.1\r\nHost: localhost\r\n\r\n")
        dripping.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        dripping.recv(65536)
        started_s = time.monotonic()
        while time.monotonic() - started_s < 3:  # never complete, never quite silent
            shown.frame(frame(picture=noise))
            time.sleep(0.05)
            try:
                dripping.sendall(b"G")
            except OSError:
                break
        else:
            pytest.fail("a dripping client was heard for ever")
        assert silent.recv(1) == b""
        while time.monotonic() - started_s < 10:
            shown.frame(frame(picture=noise))
            time.sleep(0.05)
            if 'kind="mjpeg"} 0.0' in request(server.port, "/metrics").text:
                break
        else:
            pytest.fail("a client that reads nothing was served for ever")
        for one in (silent, dripping, deaf):
            one.close()


def test_it_ends_quickly_with_clients_of_all_kinds(shown: LiveBoard, pauses: Pauses) -> None:
    server = WatchServer(shown, address_from_text(":0"), None)
    clients = [connection(server.port) for _ in range(8)]
    for one, path in zip(
        clients[1:], ("feed", "feed", "stream/0.mjpg", "picture/0.jpg?after=9", "", "state"),
        strict=False,
    ):  # fmt: skip
        one.sendall(f"GET /{path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    clients[0].sendall(b"GET / HT")
    time.sleep(0.3)
    started_s = time.monotonic()
    server.close()
    assert time.monotonic() - started_s < 1.8 + pauses.lost_s
    server.close()
    with pytest.raises(OSError, match="refused"):
        connection(server.port, 1)
    assert not [one for one in threading.enumerate() if one.name == "edgecls-page"]
    for one in clients:
        one.close()


def test_slow_clients_never_slow_the_run(server: WatchServer, shown: LiveBoard) -> None:
    clients = [connection(server.port) for _ in range(LIMITS["feed"])]
    for one in clients:
        one.sendall(GET_FEED)  # and nothing is ever read
    times_s = []
    for index in range(2000):
        started_s = time.perf_counter()
        shown.frame(frame(index))
        shown.prediction(prediction(index))
        times_s.append(time.perf_counter() - started_s)
    assert np.median(times_s) < 0.001
    for one in clients:
        one.close()


def test_two_servers_at_once_and_again(shown: LiveBoard) -> None:
    other = board(("b",))
    with WatchServer(shown, address_from_text(":0"), None) as first:
        with WatchServer(other, address_from_text(":0"), None) as second:
            assert "camera0" in request(first.port, "/metrics").text
            assert "camera0" not in request(second.port, "/metrics").text
        port = second.port
    with WatchServer(board(), address_from_text(f":{port}"), None) as third:
        assert request(third.port, "/").status == 200
