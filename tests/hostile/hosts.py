"""A server on this machine whose answers are written by hand, for HTTP and RTSP alike."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
from collections.abc import Callable, Iterable, Sequence

Answer = Callable[[str, bytes], Iterable[bytes | float]]
"""From its own address and what was asked for: bytes to send, and seconds to wait between them."""

_PLACE = re.compile(rb"/c([0-9]+)")
_LONGEST_S = 6.0


class Host:
    """Gives what is asked for under `/c0`, `/c1` and so on.

    An answer goes on with what is asked next on the same connection until it is at its end.

    Args:
        answers: In the order of these numbers.
    """

    def __init__(self, answers: Sequence[Answer]) -> None:
        self._answers = answers
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.name = f"127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        """Take no more connections."""
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        connection.settimeout(_LONGEST_S)
        until_s = time.monotonic() + _LONGEST_S
        with connection, contextlib.suppress(OSError):
            while asked := _request(connection):
                place = _PLACE.search(asked.partition(b"\r\n")[0])
                if place is None:
                    return
                for part in self._answers[int(place[1])](self.name, asked):
                    if time.monotonic() > until_s:
                        return
                    if isinstance(part, float):
                        time.sleep(part)
                    else:
                        connection.sendall(part)
                if not asked.partition(b"\r\n")[0].endswith(b"RTSP/1.0"):
                    return


def _request(connection: socket.socket) -> bytes:
    """The next request, or nothing at the end."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(65536)
        if not more:
            return b""
        data += more
    return data
