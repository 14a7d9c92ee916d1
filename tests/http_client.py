"""Raw HTTP for the tests of the watch page: what is sent is what is written here."""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Answer:
    """A response, as far as it came."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")


def request(
    port: int,
    path: str = "/",
    *,
    method: str = "GET",
    headers: dict[str, str] | None = None,
    body: bytes = b"",
) -> Answer:
    """One request on a connection of its own, read to its end."""
    lines = {"Host": f"localhost:{port}", "Connection": "close", **(headers or {})}
    if body:
        lines["Content-Length"] = str(len(body))
    head = f"{method} {path} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in lines.items())
    return answer_of(sent(port, head.encode("latin-1") + b"\r\n" + body))


def sent(port: int, data: bytes, *, timeout_s: float = 8.0, most: int = 1 << 20) -> bytes:
    """What comes back on a connection until it ends, `most` bytes came or the time is over."""
    received = b""
    deadline_s = time.monotonic() + timeout_s
    with connection(port, timeout_s) as one:
        try:
            one.sendall(data)
            while len(received) < most and time.monotonic() < deadline_s:
                one.settimeout(max(0.01, deadline_s - time.monotonic()))
                chunk = one.recv(65536)
                if not chunk:
                    break
                received += chunk
        except OSError:
            pass
    return received


def connection(port: int, timeout_s: float = 8.0) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=timeout_s)


def answer_of(received: bytes) -> Answer:
    head, _, body = received.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines)
    headers = {name.lower(): value.strip() for name, _, value in pairs}
    words = first.split(" ")
    return Answer(int(words[1]) if len(words) > 1 else 0, headers, body)
