"""Servers of video streams for tests: an RTSP server of GStreamer, and HTTP in Python.

Run as a program, it is the HTTP server in a process of its own, and prints its port.
"""

from __future__ import annotations

import atexit
import base64
import functools
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np
import pytest

from runtime.records import Picture

SYSTEM_PYTHON = "/usr/bin/python3"
"""Has `gi`, which comes with the distribution, where GStreamer is installed."""
RTSP_SCRIPT = Path(__file__).with_name("rtsp_server_child.py")

COLOURS = tuple((r, g, b) for r in (32, 128, 224) for g in (32, 224) for b in (32, 224))
"""Backgrounds that tell the pictures of one start of a server from those of another."""


def colour_of(picture: Picture) -> int:
    """Number of the colour in `COLOURS` that a corner of a picture has, after any encoding."""
    corner = picture[2:6, 2:6].reshape(-1, 3).mean(axis=0)
    return min(range(len(COLOURS)), key=lambda i: float(np.abs(corner - COLOURS[i]).sum()))


def free_port() -> int:
    """A port of this machine that nobody uses at the moment."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@functools.cache
def rtsp_missing() -> str:
    """Why there is no RTSP server here; empty where there is one."""
    if not Path(SYSTEM_PYTHON).exists():
        return f"there is no {SYSTEM_PYTHON}"
    done = subprocess.run(
        [SYSTEM_PYTHON, str(RTSP_SCRIPT), "--check"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    last = (done.stderr.strip().splitlines() or ["it failed"])[-1]
    return "" if done.returncode == 0 else f"no RTSP server of GStreamer: {last}"


class RtspServer:
    """A server in a process of its own, on a port that stays, started and killed at will.

    Args:
        user: Whom it wants to hear of; None for anybody.
        password: Theirs.
    """

    def __init__(self, user: str | None = None, password: str = "") -> None:
        if rtsp_missing():
            pytest.skip(rtsp_missing())
        self.port = free_port()
        self.uri = f"rtsp://127.0.0.1:{self.port}/live"
        self._login = [] if user is None else [base64.b64encode(f"{user}:{password}".encode())]
        self._process: subprocess.Popen[str] | None = None
        atexit.register(self.kill)

    def start(self, colour: int = 0) -> None:
        """Start it, with pictures of one of the colours; it is ready when this returns."""
        red, green, blue = COLOURS[colour]
        self._process = subprocess.Popen(
            [
                SYSTEM_PYTHON,
                str(RTSP_SCRIPT),
                str(self.port),
                f"0xff{red:02x}{green:02x}{blue:02x}",
                *(login.decode() for login in self._login),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"

    def signal(self, number: int) -> None:
        """Send it a signal, to stop it for a while."""
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """Kill it, as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


def jpeg(number: int, *, width: int = 160, height: int = 120) -> bytes:
    """A picture in one of the colours, with something that moves."""
    picture = np.full((height, width, 3), COLOURS[number % len(COLOURS)][::-1], np.uint8)
    at = number * 7 % (width - 20)
    picture[height // 2 : height // 2 + 20, at : at + 20] = 255 - picture[0, 0]
    done, data = cv2.imencode(".jpg", picture)
    assert done
    return data.tobytes()


class HttpHandler(BaseHTTPRequestHandler):
    """Streams by path; what each does is said where it is made."""

    folder: ClassVar[Path | None] = None
    login: ClassVar[str] = "Basic " + base64.b64encode(b"me:p@ss/w:rd").decode()
    protocol_version = "HTTP/1.0"

    def do_GET(self) -> None:
        name = self.path.split("?")[0].strip("/")
        streams: dict[str, Callable[[], Iterator[bytes]]] = {
            "video.mjpg": self._video,
            "sizes.mjpg": self._sizes,
            "damaged.mjpg": self._damaged,
            "short.mjpg": self._short,
            "half.mjpg": self._half,
            "secret.mjpg": self._video,
        }
        try:
            if name == "mute":
                time.sleep(60)
            elif name.isdigit():
                self.send_error(int(name))
            elif name == "secret.mjpg" and self.headers.get("Authorization") != self.login:
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="camera"')
                self.end_headers()
            elif name in streams:
                self._head("multipart/x-mixed-replace; boundary=frame")
                for part in streams[name]():
                    self.wfile.write(part)
            elif name == "page.html":
                page = b"<html><body>Not found, but politely.</body></html>" * 50
                self._head("text/html", len(page))
                self.wfile.write(page)
            elif name == "snapshot.jpg":
                self._head("image/jpeg")
                self.wfile.write(jpeg(1))
            elif self.folder is not None and (self.folder / name).is_file():
                data = (self.folder / name).read_bytes()
                self._head("application/octet-stream", len(data))
                self.wfile.write(data)
            else:
                self.send_error(404)
        except OSError:
            # The client went away.
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""

    def _head(self, kind: str, length: int | None = None) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()

    def _video(self) -> Iterator[bytes]:
        for number in range(10_000):
            yield _part(jpeg(number))
            time.sleep(0.02)

    def _sizes(self) -> Iterator[bytes]:
        for number in range(10_000):
            wide = number // 20 % 2
            yield _part(jpeg(number, width=200 if wide else 160))
            time.sleep(0.01)

    def _damaged(self) -> Iterator[bytes]:
        for number in range(10_000):
            data = jpeg(number)
            yield _part(b"\xff\xd8" + data[600:] if number % 3 == 2 else data)
            time.sleep(0.01)

    def _short(self) -> Iterator[bytes]:
        for number in range(10):
            yield _part(jpeg(number))
            time.sleep(0.01)

    def _half(self) -> Iterator[bytes]:
        for number in range(5):
            yield _part(jpeg(number))
        yield _part(jpeg(5))[:300]
        time.sleep(60)


def _part(data: bytes) -> bytes:
    head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
    return head.encode() + data + b"\r\n"


class HttpServer:
    """An HTTP server in threads of this process.

    Args:
        folder: Whose files it gives, too.
        certificate: File with certificate and key, for HTTPS.
    """

    def __init__(self, folder: Path | None = None, *, certificate: Path | None = None) -> None:
        handler = type("Handler", (HttpHandler,), {"folder": folder})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self._scheme = "http" if certificate is None else "https"
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port = int(self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def uri(self, name: str) -> str:
        """Address of one of its streams."""
        return f"{self._scheme}://127.0.0.1:{self.port}/{name}"

    def close(self) -> None:
        """Take no more requests; those that are answered go on."""
        self._server.shutdown()
        self._server.server_close()


@functools.cache
def http_process() -> str:
    """Address of an HTTP server in another process, which lives as long as the tests."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.stream_servers"], stdout=subprocess.PIPE, text=True
    )
    atexit.register(process.kill)
    assert process.stdout is not None
    return f"http://127.0.0.1:{int(process.stdout.readline())}"


@functools.cache
def rtsp_process() -> str:
    """Address of an RTSP server that lives as long as the tests; skips where there is none."""
    server = RtspServer()
    server.start()
    return server.uri


class SilentServer:
    """Accepts connections and says nothing, or only half of an answer.

    Args:
        answer: What it says to whatever it hears.

    Attributes:
        asked: Somebody has come.
    """

    def __init__(self, answer: bytes = b"") -> None:
        self._answer = answer
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])
        self._held: list[socket.socket] = []
        self.asked = threading.Event()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            self._held.append(connection)
            self.asked.set()
            if self._answer:
                connection.sendall(self._answer)

    def close(self) -> None:
        """Close everything."""
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for one in self._held:
            one.close()


def main() -> None:
    """Serve until killed."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), HttpHandler)
    server.daemon_threads = True
    print(server.server_address[1], flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
