"""A real HTTP server on this machine that can be told to fail."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

from typing_extensions import Self

Answer = Callable[[int], int | str | None]
"""By the number of the request, from 0: a status, "hang up", "garbage", a redirect's target."""


class WebhookServer:
    """Keeps what it accepted; a context manager.

    Attributes:
        accepted: Bodies of requests that were answered 2xx, in order.
        ids: Their `X-Edgecls-Delivery`.
        requests: Headers of all requests.
    """

    def __init__(self, answer: Answer | None = None, *, port: int = 0) -> None:
        self.accepted: list[dict[str, Any]] = []
        self.ids: list[str] = []
        self.requests: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.bodies: list[bytes] = []
        self._answer = answer or (lambda number: 200)
        self._changed = threading.Condition()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                server._take(self)

            do_GET = do_POST  # noqa: N815

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: object, client_address: object) -> None:
                """A client that was killed is no error here."""

        self._server = Server(("127.0.0.1", port), Handler)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    def wait_for(self, count: int, *, seconds: float = 10.0) -> None:
        """Until so many requests were accepted."""
        with self._changed:
            arrived = self._changed.wait_for(lambda: len(self.accepted) >= count, seconds)
        assert arrived, f"{len(self.accepted)} of {count} came"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _take(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length", 0)))
        with self._changed:
            number = len(self.requests)
            self.requests.append(dict(request.headers.items()))
            self.paths.append(request.path)
            self.bodies.append(body)
        answer = self._answer(number)
        if answer is None or answer == "hang up":
            request.close_connection = True
            request.connection.shutdown(socket.SHUT_RDWR)
            return
        if answer == "garbage":
            request.wfile.write(b"\x00\xff nonsense\r\n\r\n" * 20)
            request.close_connection = True
            return
        if isinstance(answer, str):
            request.send_response(307)
            request.send_header("Location", answer)
            request.end_headers()
            return
        if 200 <= answer < 300:
            with self._changed:
                self.accepted.append(json.loads(body))
                self.ids.append(request.headers["X-Edgecls-Delivery"])
                self._changed.notify_all()
        request.send_response(answer)
        if answer == 429:
            request.send_header("Retry-After", "0")
        request.send_header("Content-Length", "0")
        request.end_headers()


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
