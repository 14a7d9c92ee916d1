"""The watch page as a web application: its routes."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import Executor
from importlib import resources
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from runtime.serve import feed
from runtime.serve.access import Access
from runtime.serve.board import LiveBoard
from runtime.serve.guard import Guard, Receive, Scope, Send
from runtime.serve.metrics import metrics_text
from runtime.serve.pictures import Encoded, Pictures
from runtime.serve.viewers import TooManyViewers, Viewers

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

ASSETS = {
    "page.html": "text/html; charset=utf-8",
    "login.html": "text/html; charset=utf-8",
    "page.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "chart.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
"""All files that are ever served, read once at the start; no path of a request opens one."""

POLL_S = 0.05
NEWS_EVERY_S = 0.2
STATE_EVERY_S = 1.0
PICTURE_WAIT_S = 5.0
BODY_WAIT_S = 5.0
WRONG_TOKEN_S = 0.5
MOST_LOGIN_BYTES = 2048
COOKIE_S = 30 * 24 * 3600
BOUNDARY = "edgecls-picture"

_SMALL_NUMBER = re.compile(r"[0-9]{1,15}", re.ASCII)


class WatchPage:
    """Answers the requests that the guard lets through.

    Args:
        board: What is shown.
        access: For logging in.
        encoder: Of one thread; pictures are encoded there.
    """

    def __init__(self, board: LiveBoard, access: Access, encoder: Executor) -> None:
        self._board = board
        self._access = access
        self._encoder = encoder
        self._pictures = Pictures(board)
        self._viewers = Viewers()
        self._assets = _assets()

    def app(self) -> Guard:
        """The application with its guard."""
        from starlette.routing import Route, Router

        routes = [
            Route("/", self._asset("page.html")),
            Route("/page.js", self._asset("page.js")),
            Route("/chart.js", self._asset("chart.js")),
            Route("/page.css", self._asset("page.css")),
            Route("/icon.svg", self._asset("icon.svg")),
            Route("/login", self._asset("login.html"), methods=["GET"]),
            Route("/login", self._login, methods=["POST"]),
            Route("/feed", self._feed),
            Route("/state", self._state),
            Route("/picture/{stream}.jpg", self._picture),
            Route("/stream/{stream}.mjpg", self._mjpeg),
            Route("/metrics", self._metrics),
            Route("/healthz", self._health),
        ]
        return Guard(Router(routes, redirect_slashes=False), self._access)

    def _asset(self, name: str) -> Any:
        async def answer(request: Request) -> Response:
            return _response(self._assets[name], kind=ASSETS[name])

        return answer

    async def _login(self, request: Request) -> Response:
        try:
            with self._viewers.one("login"):
                body = await asyncio.wait_for(_small_body(request), BODY_WAIT_S)
                given = parse_qs(body.decode("utf-8", "replace"), max_num_fields=4).get("token", [])
                if given and self._access.is_token(given[0].strip()):
                    return _moved("./", cookie=self._access)
                await asyncio.sleep(WRONG_TOKEN_S)
        except TooManyViewers:
            return _busy()
        except (asyncio.TimeoutError, ValueError):
            return _text(400, "A short form was expected.", close=True)
        return _moved("login#wrong")

    async def _state(self, request: Request) -> Response:
        told = {**feed.opening(self._board), **feed.state(self._board)}
        return _response(feed.as_json(told).encode(), kind="application/json")

    async def _health(self, request: Request) -> Response:
        if feed.healthy(self._board):
            return _text(200, "ok")
        return _text(503, "no stream delivers frames")

    async def _metrics(self, request: Request) -> Response:
        text, kind = metrics_text(self._board, self._viewers.count)
        return _response(text, kind=kind)

    async def _picture(self, request: Request) -> Response:
        """The newest picture; with `after=N`, one later than N, or status 204 after a while."""
        stream = self._stream_number(request)
        if stream is None:
            return _text(404, "There is no such stream.")
        after = _number(request.query_params.get("after", "0"))
        deadline_s = time.monotonic() + PICTURE_WAIT_S
        try:
            with self._viewers.one("picture"):
                while not self._board.closed and time.monotonic() < deadline_s:
                    encoded = await self._encoded(stream, labelled=False)
                    if encoded is not None and encoded.number > after:
                        return _response(
                            encoded.jpeg,
                            kind="image/jpeg",
                            headers={"x-picture": str(encoded.number)},
                        )
                    await asyncio.sleep(POLL_S)
        except TooManyViewers:
            return _busy()
        return _response(b"", status=204)

    async def _mjpeg(self, request: Request) -> Response | _Counted:
        stream = self._stream_number(request)
        if stream is None:
            return _text(404, "There is no such stream.")
        return self._streamed(
            "mjpeg",
            request,
            self._parts(stream),
            kind=f"multipart/x-mixed-replace; boundary={BOUNDARY}",
        )

    async def _feed(self, request: Request) -> Response | _Counted:
        return self._streamed("feed", request, self._messages(), kind="text/event-stream")

    def _streamed(
        self, viewer: str, request: Request, chunks: AsyncIterator[bytes], *, kind: str
    ) -> Response | _Counted:
        """A response without end, counted while it lasts."""
        from starlette.responses import StreamingResponse

        if request.method == "HEAD":
            return _response(b"", kind=kind)
        try:
            self._viewers.enter(viewer)
        except TooManyViewers:
            return _busy()
        headers = {"content-type": kind, "x-accel-buffering": "no"}  # proxies shall not hold back
        return _Counted(StreamingResponse(chunks, headers=headers), self._viewers, viewer)

    async def _parts(self, stream: int) -> AsyncIterator[bytes]:
        number = 0
        while not self._board.closed:
            encoded = await self._encoded(stream, labelled=True)
            if encoded is not None and encoded.number > number:
                number = encoded.number
                head = f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: "
                yield f"{head}{len(encoded.jpeg)}\r\n\r\n".encode() + encoded.jpeg + b"\r\n"
            await asyncio.sleep(POLL_S)

    async def _messages(self) -> AsyncIterator[bytes]:
        """Everything once, then what is new; state every second."""
        reader = feed.Reader()
        yield b"retry: 2000\n\n" + feed.message("opening", feed.opening(self._board))
        state_due_s = 0.0
        while True:
            closed = self._board.closed
            news = reader.news(self._board)
            if news is not None:
                yield feed.message("news", news)
            if time.monotonic() >= state_due_s or closed:
                state_due_s = time.monotonic() + STATE_EVERY_S
                yield feed.message("state", feed.state(self._board))
            if closed:
                yield feed.message("end", {})
                return
            await asyncio.sleep(NEWS_EVERY_S)

    async def _encoded(self, stream: int, *, labelled: bool) -> Encoded | None:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._encoder, lambda: self._pictures.newest(stream, labelled=labelled)
        )

    def _stream_number(self, request: Request) -> int | None:
        stream = _number(request.path_params["stream"], otherwise=-1)
        return stream if 0 <= stream < self._board.stream_count else None


class _Counted:
    """An answer whose viewer leaves when it is over, however it ends."""

    def __init__(self, response: Response, viewers: Viewers, kind: str) -> None:
        self._response = response
        self._viewers = viewers
        self._kind = kind

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        try:
            await self._response(scope, receive, send)
        finally:
            self._viewers.leave(self._kind)


def _assets() -> dict[str, bytes]:
    folder = resources.files("runtime.serve") / "page"
    return {name: (folder / name).read_bytes() for name in ASSETS}


async def _small_body(request: Request) -> bytes:
    """Body of a request.

    Raises:
        ValueError: It is longer than `MOST_LOGIN_BYTES`.
    """
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_LOGIN_BYTES:
            raise ValueError("body too long")
    return body


def _number(text: str, *, otherwise: int = 0) -> int:
    return int(text) if _SMALL_NUMBER.fullmatch(text) else otherwise


def _response(
    body: bytes,
    *,
    kind: str | None = None,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> Response:
    from starlette.responses import Response

    named = dict(headers or {})
    if kind is not None:
        named["content-type"] = kind
    return Response(body, status_code=status, headers=named)


def _text(status: int, text: str, *, close: bool = False) -> Response:
    headers = {"connection": "close"} if close else {}
    return _response(
        f"{text}\n".encode(), kind="text/plain; charset=utf-8", status=status, headers=headers
    )


def _busy() -> Response:
    return _response(
        b"Too many viewers.\n",
        kind="text/plain; charset=utf-8",
        status=503,
        headers={"retry-after": "5", "connection": "close"},
    )


def _moved(path: str, *, cookie: Access | None = None) -> Response:
    response = _response(b"", status=303, headers={"location": path})
    if cookie is not None:
        response.set_cookie(
            cookie.cookie_name,
            cookie.cookie_value,
            max_age=COOKIE_S,
            path="/",
            httponly=True,
            samesite="strict",
        )
    return response
