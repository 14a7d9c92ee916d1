"""The watch page in a real browser.

With EDGECLS_SCREENSHOTS=FOLDER the pictures that the tests take are kept there.
"""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("uvicorn", reason="needs the extra serve")

from runtime.records import Picture, SourceEvent
from runtime.serve.address import address_from_text
from runtime.serve.output import PageOutput
from runtime.serve.server import WatchServer
from tests.boards import board, event, frame, prediction
from tests.chromium import NEEDS_CHROMIUM, Chromium

pytestmark = [NEEDS_CHROMIUM, pytest.mark.slow]

TOKEN = "0123456789abcdef0123456789abcdef"
LABELS = (
    "riding a bike", "<img src=x onerror=alert(1)>", "opening a fridge door very slowly indeed",
    "waving", "falling", "sitting down", "картина", "clapping",
)  # fmt: skip


class Film(threading.Thread):
    """A run that never was: 15 frames and 5 results a second, and a past of two minutes."""

    def __init__(self, names: tuple[str, ...], *, past: int = 600) -> None:
        super().__init__(daemon=True)
        self._ago_s = 0.0
        self.shown = board(names, wall_clock=lambda: time.time() - self._ago_s)
        self._index = 0
        for before in range(past, 0, -1):
            self._ago_s = before / 5
            self._predict()
        self._ago_s = 0.0

    def run(self) -> None:
        step = 0
        while not self.shown.closed:
            time.sleep(1 / 15)
            for stream in range(self.shown.stream_count):
                self.shown.frame(frame(step, picture=_scene(step, stream)), stream)
            if step % 3 == 0:
                self._predict()
            step += 1

    def _predict(self) -> None:
        self._index += 1
        for stream in range(self.shown.stream_count):
            waves = [math.sin(self._index / (40 + 9 * at) + at + stream) * 3 for at in range(8)]
            shares = np.exp(waves) / np.exp(waves).sum()
            top = sorted(zip(LABELS, map(float, shares), strict=True), key=lambda pair: -pair[1])
            self.shown.prediction(
                prediction(self._index, stream=stream, top=top, end_s=self._index / 5, dropped=9)
            )


def _scene(step: int, stream: int) -> Picture:
    picture = np.zeros((360, 640, 3), np.uint8)
    picture[:] = np.linspace((40, 70, 90), (150, 160, 150), 360)[:, None]
    centre = (int(320 + 200 * math.sin(step / 12)), 200)
    cv2.circle(picture, centre, 60, ((220, 120, 60), (90, 200, 140))[stream % 2], -1, cv2.LINE_AA)
    return picture


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Chromium]:
    with Chromium(tmp_path / "profile") as one:
        yield one


@pytest.fixture
def shots(tmp_path: Path) -> Path:
    folder = Path(os.environ.get("EDGECLS_SCREENSHOTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _running(names: tuple[str, ...], port: str = ":0", token: str | None = None) -> WatchServer:
    film = Film(names)
    shown = film.shown
    now_s = time.time()
    shown.event(event("a", at_s=now_s - 59, start_s=61.0, end_s=76.2, label="waving"))
    shown.event(
        event("b", at_s=now_s - 34, start_s=86.0, end_s=87.8, label="gap", kind="source", peak=None,
              text="reconnected after 1.8 s")
    )  # fmt: skip
    shown.event(event("c", at_s=now_s - 12, start_s=108.0, label=LABELS[1], peak=0.71))
    server = WatchServer(shown, address_from_text(port), token)
    film.start()
    return server


def _is_alive(browser: Chromium, streams: int = 1) -> None:
    """Everything that moves does."""
    browser.wait(f"document.querySelectorAll('.status.live').length === {streams}")
    pictures = "[...document.querySelectorAll('.view img')].every(one => one.naturalWidth === 640)"
    browser.wait(pictures)
    seen = browser.value("document.querySelector('.view img').src")
    browser.wait(f"document.querySelector('.view img').src !== {seen!r}")
    newest = browser.value("streams[0].points.at(-1).n")
    browser.wait(f"streams[0].points.at(-1).n > {newest}")
    inked = (
        "(canvas => canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data"
        ".filter((one, at) => at % 4 === 3 && one > 0).length)(document.querySelector('canvas'))"
    )
    assert browser.value(inked) > 1000


def test_one_stream(browser: Chromium, shots: Path) -> None:
    with _running(("camera0",)) as server:
        browser.looks(width=1280, height=860)
        browser.go(f"http://localhost:{server.port}/")
        _is_alive(browser)
        assert browser.value("document.title") == "Tiny · edgecls"
        assert browser.value("document.querySelectorAll('.classes li').length") == 5
        assert browser.value("document.querySelectorAll('.legend li').length") == 5
        caption = browser.value("document.querySelector('figcaption strong').textContent")
        assert caption in LABELS
        assert browser.value("document.querySelector('.age').textContent") == "30 ms"
        rows = browser.value("document.querySelector('#events tbody').innerText")
        assert "gap: reconnected after 1.8 s" in rows
        assert LABELS[1] in rows  # as text
        assert "still on" in rows
        assert browser.value("document.querySelectorAll('.stream img').length") == 1
        browser.screenshot(shots / "one-desktop.png")
        browser.looks(width=1280, height=860, dark=True)
        assert browser.value("getComputedStyle(document.body).backgroundColor") == "rgb(16, 19, 22)"
        browser.wait("!streams[0].chart.queued")
        browser.screenshot(shots / "one-dark.png")
        assert browser.complaints() == []
        origin = f"http://localhost:{server.port}/"
        assert {url for url in browser.requested() if not url.startswith((origin, "blob:"))} <= {
            "about:blank"
        }


@pytest.mark.parametrize("dark", [False, True])
def test_on_a_phone(browser: Chromium, shots: Path, dark: bool) -> None:
    with _running(("camera0", "rtsp://10.0.0.17:554/h264/ch1/main/av_stream")) as server:
        browser.looks(width=360, height=740, phone=True, dark=dark)
        browser.go(f"http://localhost:{server.port}/")
        _is_alive(browser, streams=2)
        assert browser.value("document.documentElement.scrollWidth") == 360
        browser.screenshot(shots / f"phone-{'dark' if dark else 'light'}.png")
        assert browser.complaints() == []


def test_four_streams(browser: Chromium, shots: Path) -> None:
    with _running(("camera0", "camera1", "rtsp://yard/1", "rtsp://yard/2")) as server:
        browser.looks(width=1280, height=860)
        browser.go(f"http://localhost:{server.port}/")
        _is_alive(browser, streams=4)
        browser.screenshot(shots / "four-desktop.png")
        assert browser.complaints() == []


def test_the_chart_tells_values(browser: Chromium) -> None:
    with _running(("camera0",)) as server:
        browser.go(f"http://localhost:{server.port}/")
        _is_alive(browser)
        browser.value(
            "document.querySelector('.plot').dispatchEvent("
            "new PointerEvent('pointermove', {clientX: 300, clientY: 50, bubbles: true}))"
        )
        browser.wait("!document.querySelector('.tip').hidden")
        assert browser.value("document.querySelectorAll('.tip p').length") == 6


def test_login(browser: Chromium, shots: Path) -> None:
    with _running(("camera0",), token=TOKEN) as server:
        origin = f"http://localhost:{server.port}/"
        browser.looks(width=360, height=740, phone=True)
        browser.go(origin)
        browser.wait("document.querySelector('#token') !== null")
        browser.screenshot(shots / "login.png")
        for given, sign in (
            ("wrong", "location.hash === '#wrong' && !!document.querySelector('#token')"),
            (TOKEN, "typeof byId === 'function'"),
        ):
            browser.value(f"document.querySelector('#token').value = {given!r}")
            browser.value("void setTimeout(() => document.querySelector('form').submit())")
            browser.wait(sign)
        _is_alive(browser)
        assert browser.value("location.href") == origin
        assert browser.value("document.cookie") == ""
        assert TOKEN not in "".join(browser.requested())


def test_the_end_and_a_new_run(browser: Chromium) -> None:
    first = _running(("camera0",))
    browser.go(f"http://localhost:{first.port}/")
    _is_alive(browser)
    first.close()
    browser.wait("document.querySelector('#notice').textContent.startsWith('The run has ended')")
    with _running(("camera7",), port=f":{first.port}"):
        browser.wait("document.querySelector('.name').textContent === 'camera7'")
        _is_alive(browser)
        assert browser.value("document.querySelector('#notice').hidden")


def test_a_source_that_is_lost(browser: Chromium, shots: Path) -> None:
    shown = board(("camera0",))
    output = PageOutput(shown, WatchServer(shown, address_from_text(":0"), None))
    with output:
        output.prediction(prediction(1))
        output.frame(frame(1, picture=_scene(1, 0)), 0)
        browser.go(f"http://localhost:{output.port}/")
        browser.wait("document.querySelector('.age')?.textContent === '30 ms'")
        assert not browser.value("document.querySelector('figcaption').hidden")
        output.source_event(
            SourceEvent(
                kind="lost", text="connection refused", time_s=4.0, at_s=time.time(),
                delivers=False, breaks=True,
            ),
            0,
        )  # fmt: skip
        browser.wait("document.querySelector('.status.interrupted') !== null")
        told = browser.value("document.querySelector('.status').textContent")
        assert told == "connection refused"
        browser.wait("document.querySelector('figcaption').hidden")  # nobody's class any more
        assert browser.value("document.querySelector('.view').classList.contains('old')")
        browser.wait("document.querySelector('#events td.lasting') !== null")
        assert browser.value("document.querySelector('.broken').textContent") == "2 (5.0 %)"
        browser.screenshot(shots / "lost.png")
        assert browser.complaints() == []
