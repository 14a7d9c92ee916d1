"""What every request to the watch page passes before anything answers it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from runtime.serve.access import Access

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

OPEN_PATHS = frozenset({"/login", "/healthz", "/page.css", "/icon.svg"})
"""Answered without the token: they tell nothing of what is seen."""

MOST_HEADERS = 64

REQUESTS_PER_S = 300.0
"""All clients together; more have to wait. Four pages of four streams ask 160 times a second."""

BURST = 100
"""Requests that need not wait after a quiet while."""

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:;"
    " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""The page loads nothing from elsewhere, and nobody may show it inside another."""

SECURITY_HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)

logger = logging.getLogger(__name__)


class Pace:
    """Spreads requests over time, so that a flood of them leaves the run its processor.

    As no client has more than one request under way, none waits for long: the number of
    connections is limited.

    Args:
        per_s: Requests per second in the long run.
        burst: Requests that may come at once.
    """

    def __init__(self, per_s: float = REQUESTS_PER_S, burst: int = BURST) -> None:
        self._interval_s = 1.0 / per_s
        self._lead_s = burst / per_s
        self._due_s = float("-inf")

    def delay_s(self, now_s: float) -> float:
        """How long the request that comes now has to wait."""
        self._due_s = max(self._due_s + self._interval_s, now_s - self._lead_s)
        return max(0.0, self._due_s - now_s)


class Guard:
    """An ASGI application in front of another.

    It refuses requests that the page never makes (bodies, other methods, too many headers), that
    come by a foreign host name, or without the token; adds headers that keep other sites out; and
    turns an exception into status 500. Nothing of a request is logged.

    Args:
        app: Answers what is let through.
        access: The rule.
    """

    def __init__(self, app: App, access: Access) -> None:
        self._app = app
        self._access = access
        self._told: set[str] = set()
        self._pace = Pace()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        delay_s = self._pace.delay_s(time.monotonic())
        if delay_s > 0:
            await asyncio.sleep(delay_s)
        started = False

        async def guarded_send(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message["headers"] = [*message.get("headers", ()), *SECURITY_HEADERS]
            await send(message)

        refusal = self._refusal(scope)
        if refusal is not None:
            await _answer(guarded_send, *refusal)
            return
        try:
            await self._app(scope, receive, guarded_send)
        except Exception as error:
            kind = type(error).__name__
            if kind not in self._told and len(self._told) < 16:
                self._told.add(kind)
                logger.warning("The watch page failed to answer: %s: %s", kind, error)
            if started:
                raise ConnectionAbortedError from None
            await _answer(guarded_send, 500, "This page failed to answer.")

    def _refusal(self, scope: Scope) -> tuple[int, str] | tuple[int, str, str] | None:
        """Status and words of a refusal, and where to go instead; None to let it through."""
        if len(scope["headers"]) > MOST_HEADERS:
            return 431, "Too many headers."
        headers = {
            name.decode("latin-1").lower(): value.decode("latin-1")
            for name, value in scope["headers"]
        }
        method, path = scope["method"], scope["path"]
        if not self._access.knows_host(headers.get("host", "")):
            return 421, "This page answers to localhost only; give the run a token to change that."
        if method not in ("GET", "HEAD") and (method, path) != ("POST", "/login"):
            return 405, "This page can only be read."
        if method != "POST" and (
            "transfer-encoding" in headers or headers.get("content-length", "0").strip() != "0"
        ):
            return 413, "No body was expected."
        if path in OPEN_PATHS or self._access.allows(headers):
            return None
        if path == "/":
            return 303, "The token is needed.", "login"
        return 401, "The token is needed: Authorization: Bearer TOKEN."


async def _answer(send: Send, status: int, text: str, location: str = "") -> None:
    """A short answer, after which the connection is closed: the rest of the request is not read."""
    body = f"{text}\n".encode()
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]
    if location:
        headers.append((b"location", location.encode()))
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
