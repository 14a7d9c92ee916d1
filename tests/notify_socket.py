"""The other end of what a service tells: the socket of a service manager."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from pathlib import Path

from runtime.closing import ClosesOnExit


class NotifySocket(ClosesOnExit):
    """Binds a real socket and keeps what comes.

    Args:
        address: As in NOTIFY_SOCKET: a path, or `@` and a name.
    """

    def __init__(self, address: str | Path) -> None:
        self.address = str(address)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(f"\0{self.address[1:]}" if self.address.startswith("@") else self.address)
        self._socket.setblocking(False)
        self._came: list[dict[str, str]] = []

    @property
    def messages(self) -> list[dict[str, str]]:
        """All that came until now, oldest first."""
        while True:
            try:
                message = self._socket.recv(1 << 16).decode()
            except BlockingIOError:
                return list(self._came)
            assert message.endswith("\n")
            self._came.append(dict(line.split("=", 1) for line in message.splitlines()))

    def pings(self) -> int:
        """How often it was told that the service lives."""
        return sum("WATCHDOG" in message for message in self.messages)

    def wait(self, what: Callable[[NotifySocket], bool], *, for_s: float = 10.0) -> bool:
        """Whether something is so within a time."""
        until_s = time.monotonic() + for_s
        while time.monotonic() < until_s:
            if what(self):
                return True
            time.sleep(0.01)
        return False

    def close(self) -> None:
        self._socket.close()
