"""Messages to the service manager that started this process.

The protocol is that of systemd (sd_notify(3)): datagrams of lines `NAME=value` to the socket that
`NOTIFY_SOCKET` names. Podman speaks it as well.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Mapping

from models.plain_text import plain
from runtime.closing import ClosesOnExit

logger = logging.getLogger(__name__)

SOCKET_VARIABLE = "NOTIFY_SOCKET"
PERIOD_VARIABLE = "WATCHDOG_USEC"
PROCESS_VARIABLE = "WATCHDOG_PID"

_SEND_S = 0.5
"""A manager that reads nothing holds nobody up for longer."""


class ServiceManager(ClosesOnExit):
    """The socket of a service manager; what cannot be told is left untold.

    Args:
        address: Path of the socket, or `@` and a name without a file.
    """

    def __init__(self, address: str) -> None:
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.settimeout(_SEND_S)
        self._failed = False

    def tell(self, **values: str) -> bool:
        """Send one message.

        Args:
            values: By the protocol's names, in the order in which they are to be told; a line break
                in a value is a space.

        Returns:
            Whether it was taken.
        """
        message = "".join(f"{name}={plain(value)}\n" for name, value in values.items())
        try:
            self._socket.sendto(message.encode(), self._address)
        except OSError as error:
            if not self._failed:
                logger.warning("the service manager at %s: %s", self._address, error)
            self._failed = True
            return False
        return True

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


def service_manager(environ: Mapping[str, str]) -> ServiceManager | None:
    """The manager that wants to be told, if there is one.

    Args:
        environ: Variables of this process.
    """
    address = environ.get(SOCKET_VARIABLE, "")
    if address[:1] not in ("/", "@") or not hasattr(socket, "AF_UNIX"):
        return None
    return ServiceManager(address)


def watchdog_period_s(environ: Mapping[str, str], *, process: int | None = None) -> float | None:
    """Longest time without a sign of life before the manager ends this process.

    Args:
        environ: Variables of this process.
        process: Its number; None to ask for it.

    Returns:
        Seconds; None where nobody waits for signs of life of this process.
    """
    period = environ.get(PERIOD_VARIABLE, "")
    whose = environ.get(PROCESS_VARIABLE, "")
    mine = str(os.getpid() if process is None else process)
    if not (period.isdecimal() and int(period)) or (whose and whose != mine):
        return None
    return int(period) / 1e6
