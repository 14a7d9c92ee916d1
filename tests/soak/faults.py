"""Streams that fail at random, and the record of when they did."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.stream_servers import COLOURS, RtspServer, jpeg

HTTP_FAULTS = ("silent", "hang up", "refuse", "damaged", "size", "frozen")
RTSP_FAULTS = ("kill", "kill", "stop")


class FaultyHttp:
    """An MJPEG server that does what it is told.

    Attributes:
        fault: One of `HTTP_FAULTS`; empty when all is well.
    """

    def __init__(self) -> None:
        self.fault = ""
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                try:
                    server._answer(self)
                except OSError:
                    self.close_connection = True

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.uri = f"http://127.0.0.1:{self._server.server_address[1]}/video.mjpg"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        if self.fault == "hang up":
            return
        if self.fault == "refuse":
            handler.send_error(503)
            return
        handler.send_response(200)
        handler.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        handler.end_headers()
        number = 0
        while self.fault not in ("hang up", "refuse"):
            time.sleep(1 / 15)
            if self.fault == "silent":
                continue
            number += self.fault != "frozen"
            data = jpeg(number, width=200 if self.fault == "size" else 160)
            if self.fault == "damaged" and number % 3 == 0:
                data = b"\xff\xd8" + data[600:]
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
            handler.wfile.write(head.encode() + data + b"\r\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What was done to a stream, and when it was over, in seconds of `time.monotonic`."""

    stream: int
    kind: str
    until_s: float


@dataclass(slots=True)
class FaultyRtsp:
    """An RTSP server that is killed and stopped; every start has another colour."""

    server: RtspServer = field(default_factory=RtspServer)
    starts: int = 0

    def start(self) -> None:
        """Start it."""
        self.server.start(self.starts % len(COLOURS))
        self.starts += 1

    def suffer(self, kind: str, lasting_s: float) -> None:
        """Kill it and start it again, or stop it for a while."""
        if kind == "kill":
            self.server.kill()
            time.sleep(lasting_s)
            self.start()
        else:
            self.server.signal(signal.SIGSTOP)
            time.sleep(lasting_s)
            self.server.signal(signal.SIGCONT)


class Mischief:
    """Does something to each of several streams every now and then, in threads.

    Args:
        victims: By number of the stream: what can be done to it, and how it is done.
        over: Called with every fault when it is over.
        every_s: Mean time between two faults of a stream.
        seed: Of all that is random.
    """

    def __init__(
        self,
        victims: Mapping[int, tuple[Sequence[str], Callable[[str, float], None]]],
        *,
        over: Callable[[Fault], None],
        every_s: float,
        seed: int,
    ) -> None:
        self._told = over
        self._every_s = every_s
        self._over = threading.Event()
        self._threads = [
            threading.Thread(
                target=self._trouble, args=(stream, *victim, random.Random(f"{seed}-{stream}"))
            )
            for stream, victim in victims.items()
        ]
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        """Let the streams recover."""
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _trouble(
        self,
        stream: int,
        kinds: Sequence[str],
        suffer: Callable[[str, float], None],
        chance: random.Random,
    ) -> None:
        while not self._over.wait(self._every_s * chance.uniform(0.4, 1.6)):
            kind = chance.choice(kinds)
            suffer(kind, chance.choice((0.3, 1.5, 4.0, 9.0)) * chance.uniform(0.5, 1.5))
            self._told(Fault(stream=stream, kind=kind, until_s=time.monotonic()))
