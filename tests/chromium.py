"""A real headless Chromium, driven over its debugging pipe; no driver, no websocket."""

from __future__ import annotations

import base64
import itertools
import json
import os
import select
import shutil
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest
from typing_extensions import Self

BROWSER = next(
    (
        path
        for name in ("chromium", "chromium-browser", "google-chrome")
        if (path := shutil.which(name))
    ),
    None,
)

NEEDS_CHROMIUM = pytest.mark.skipif(BROWSER is None, reason="needs Chromium")

_REPORTS = ("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled")


class Navigated(Exception):
    """The page was left while it was asked."""


class Chromium:
    """One tab; a context manager.

    Args:
        profile: Folder for its files.
    """

    def __init__(self, profile: Path) -> None:
        assert BROWSER is not None
        from_here, self._write = os.pipe()
        self._read, to_here = os.pipe()
        # The browser reads descriptor 3 and writes 4.
        script = f'exec 3<&{from_here} 4>&{to_here} && exec "$0" "$@"'
        self._process = subprocess.Popen(
            [
                "bash", "-c", script, BROWSER, "--headless=new", "--remote-debugging-pipe",
                f"--user-data-dir={profile}", "--no-sandbox", "--disable-gpu", "--no-first-run",
                "--disable-dev-shm-usage", "--disable-background-networking", "--disable-sync",
                "--disable-component-update", "--hide-scrollbars", "about:blank",
            ],
            pass_fds=(from_here, to_here),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(from_here)
        os.close(to_here)
        self._numbers = itertools.count(1)
        self._pending = b""
        self._session: str | None = None
        self._events: list[dict[str, Any]] = []
        pages = [
            one for one in self._call("Target.getTargets")["targetInfos"] if one["type"] == "page"
        ]
        attached = self._call("Target.attachToTarget", targetId=pages[0]["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self._call(f"{domain}.enable")

    def go(self, url: str) -> None:
        """Open a page."""
        self._call("Page.navigate", url=url)

    def value(self, expression: str) -> Any:
        """What JavaScript computes."""
        answer = self._call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait(self, expression: str, timeout_s: float = 15.0) -> None:
        """Until JavaScript computes something true, on this page or one that it leads to."""
        deadline_s = time.monotonic() + timeout_s
        while True:
            with suppress(Navigated):
                if self.value(expression):
                    return
            if time.monotonic() > deadline_s:
                text = self.value("document.body.innerText")
                raise AssertionError(f"never true: {expression}\n{text}")
            time.sleep(0.05)

    def looks(self, *, width: int, height: int, phone: bool = False, dark: bool = False) -> None:
        """Size of the window, and colour scheme."""
        self._call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=2 if phone else 1,
            mobile=phone,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._call("Emulation.setEmulatedMedia", features=[scheme])

    def screenshot(self, path: Path) -> None:
        """The whole page as PNG."""
        shot = self._call("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))

    def complaints(self) -> list[str]:
        """What the browser logged: errors, exceptions, violated policies."""
        self.value("1")
        return [json.dumps(one["params"]) for one in self._events if one["method"] in _REPORTS]

    def requested(self) -> set[str]:
        """Addresses that the page asked for."""
        self.value("1")
        return {
            one["params"]["request"]["url"]
            for one in self._events
            if one["method"] == "Network.requestWillBeSent"
        }

    def _call(self, method: str, **parameters: Any) -> Any:
        number = next(self._numbers)
        asked: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        if self._session is not None:
            asked["sessionId"] = self._session
        os.write(self._write, json.dumps(asked).encode() + b"\0")
        while True:
            told = self._next()
            if told.get("id") == number:
                error = told.get("error", {})
                if "navigated" in error.get("message", ""):
                    raise Navigated
                assert not error, (method, error)
                return told["result"]
            self._events.append(told)

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._pending:
            ready, _, _ = select.select([self._read], [], [], 30.0)
            chunk = os.read(self._read, 1 << 16) if ready else b""
            assert chunk, "the browser does not answer"
            self._pending += chunk
        first, _, self._pending = self._pending.partition(b"\0")
        told: dict[str, Any] = json.loads(first)
        return told

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._write)
        os.close(self._read)
