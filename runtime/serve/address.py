"""Where the watch page is served: `:8088`, `192.168.1.5:8088`, `[::1]:8088`."""

from __future__ import annotations

import ipaddress
import re
import socket
from dataclasses import dataclass

from models.errors import OutputError, UsageError

LOOPBACK = "127.0.0.1"

_WRITTEN = re.compile(r"(?:(?P<host>[^\[\]:]*|\[[^\[\]]*\]):)?(?P<port>[0-9]{1,5})", re.ASCII)
_EXAMPLE = "--serve :8088   (this machine only), or --serve 0.0.0.0:8088"


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A host, resolved, and a port.

    Attributes:
        host: As the user wrote it, without brackets; `LOOPBACK` where none was given.
        ip: Its numeric address.
        port: 0 for any that is free.
    """

    host: str
    ip: str
    port: int

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return is_loopback(self.ip)


def is_loopback(ip: str) -> bool:
    """Whether a numeric address is one of this machine alone; False for anything else."""
    try:
        address = ipaddress.ip_address(ip.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


def address_from_text(text: str) -> Address:
    """Read an address as given to `--serve`.

    Without a host it is the loopback address: nothing is open to the network by accident.

    Raises:
        UsageError: It is no address, or its host has no IP address.
    """
    match = _WRITTEN.fullmatch(text.strip())
    if match is None or int(match["port"]) > 65535:
        raise UsageError(
            f"--serve takes HOST:PORT or :PORT with a port up to 65535, got {text!r}.",
            hint=_EXAMPLE,
        )
    host = (match["host"] or "").strip("[]") or LOOPBACK
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise UsageError(
            f"--serve {text}: the host {host!r} has no address on this machine ({error}).",
            hint=_EXAMPLE,
        ) from error
    return Address(host=host, ip=str(found[0][4][0]), port=int(match["port"]))


def listening_socket(address: Address) -> socket.socket:
    """A socket that listens there.

    Raises:
        OutputError: The port is taken, or may not be used.
    """
    family = socket.AF_INET6 if ":" in address.ip else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address.ip, address.port))
        listener.listen(64)
    except OSError as error:
        listener.close()
        raise OutputError(
            f"The page cannot be served at {address.host}, port {address.port}:"
            f" {error.strerror or error}.",
            hint="--serve :0 takes any free port; ss -ltnp shows who has this one",
        ) from error
    listener.setblocking(False)
    return listener
