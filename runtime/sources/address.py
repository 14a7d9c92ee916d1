"""Addresses of network streams: what is wrong with them, who may see what of them."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from models.errors import SourceError

USER_VARIABLE = "EDGECLS_SOURCE_USER"
PASSWORD_VARIABLE = "EDGECLS_SOURCE_PASSWORD"

_SCHEME = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*)://")
_LOGIN = re.compile(r"(://)(.*:.*@|[^/?#]*@)", re.DOTALL)
"""User and password in front of the host. All up to the last "@" may be theirs, where somebody
did not encode a slash or another "@" in them."""
_MISSPELT_LOGIN = re.compile(r"^(.*?(?://|\\\\))?.*:.*@", re.DOTALL)
"""The same in what was meant as an address."""
_SECRET = re.compile(
    r"((?:^|[^a-z])(?:user(?:name)?|usr|login|pass(?:word|wd)?|pwd|token|key|api_?key|auth|secret"
    r"|sig(?:nature)?)=)[^&#/\s]*",
    re.IGNORECASE,
)
_CONTROL = re.compile(r"[\x00-\x20\x7f]")


def masked(uri: str) -> str:
    """An address fit for messages and logs: without user and password, wherever they stand."""
    if "://" not in uri:
        return uri
    return _SECRET.sub(r"\1***", _LOGIN.sub(r"\1***@", uri, count=1))


def misspelt(uri: str) -> str | None:
    """What was meant as an address and is none, fit for messages; None for anything else.

    Args:
        uri: As the user wrote it, and the name of nothing.
    """
    if scheme_of(uri) is not None:
        return None
    if _MISSPELT_LOGIN.match(uri):
        return _SECRET.sub(r"\1***", _MISSPELT_LOGIN.sub(r"\1***@", uri, count=1))
    return masked(uri) if "://" in uri else None


def scheme_of(uri: str) -> str | None:
    """The scheme of an address in small letters, or None when it is none."""
    match = _SCHEME.match(uri)
    return None if match is None else match.group(1).lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a network stream is.

    Attributes:
        uri: With user and password, for the connection only.
        shown: Without, for everything else.
        host: Name or number of the host.
    """

    uri: str
    shown: str
    host: str

    def __repr__(self) -> str:
        return f"Address({self.shown})"


def address_from_uri(uri: str, environment: Mapping[str, str] = os.environ) -> Address:
    """Read an address.

    Args:
        uri: As the user wrote it, with a scheme.
        environment: Where user and password are found that do not stand in the address.

    Raises:
        SourceError: It has no host, an impossible port, or characters that an address cannot have.
    """
    shown = masked(uri)
    if _CONTROL.search(uri) or not uri.isprintable():
        raise SourceError(
            f"{shown!r} holds a space or a character that no address has.",
            hint="Write a space as %20, and the address in quotes.",
        )
    try:
        parts = urlsplit(uri)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise _no_address(shown) from error
    if not host:
        raise _no_address(shown)
    user = environment.get(USER_VARIABLE, "")
    if user and "@" not in parts.netloc:
        password = environment.get(PASSWORD_VARIABLE, "")
        login = f"{quote(user, safe='')}:{quote(password, safe='')}@"
        uri = _SCHEME.sub(rf"\g<0>{login}", uri, count=1)
    return Address(uri=uri, shown=shown, host=host)


def _no_address(shown: str) -> SourceError:
    return SourceError(
        f"{shown} is no address of a stream: a host is needed, and a port from 0 to 65535.",
        hint="For example: rtsp://192.168.1.20:554/stream1; in a password, @ is %40, : is %3A,"
        " / is %2F.",
    )
