"""Who may see the watch page: anybody on this machine, or whoever has the token."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from models.errors import OutputError, UsageError
from runtime.serve.address import is_loopback

LEAST_TOKEN = 16
"""Characters of a token at least: 16 hexadecimal digits are 64 bits, out of reach of guessing."""

MOST_TOKEN = 512

TOKEN_VARIABLE = "EDGECLS_SERVE_TOKEN"


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """The rule for every request.

    The token goes with requests in the header `Authorization: Bearer`, or is typed in once; the
    browser then keeps a cookie that is derived from the token and does not tell it. It is never
    part of an address, since those end up in logs and histories.

    Without a token only requests whose `Host` is this machine's own name are answered: a
    page from elsewhere whose host name was pointed at the loopback address could read along.

    Attributes:
        token: None where only this machine can connect.
        port: Tells the cookies of several runs on one machine apart.
    """

    token: str | None = field(repr=False)
    port: int

    @property
    def cookie_name(self) -> str:
        """Name of the cookie."""
        return f"edgecls_{self.port}"

    @property
    def cookie_value(self) -> str:
        """What the browser keeps; empty without a token."""
        if self.token is None:
            return ""
        return hmac.new(self.token.encode(), b"edgecls watch page", hashlib.sha256).hexdigest()

    def knows_host(self, host: str) -> bool:
        """Whether a request with this `Host` header may be answered at all."""
        if self.token is not None:
            return True
        name = host.strip().lower()
        if name.startswith("["):
            name = name[1:].partition("]")[0]
        elif name.count(":") == 1:
            name = name.partition(":")[0]
        return name == "localhost" or name.endswith(".localhost") or is_loopback(name)

    def allows(self, headers: Mapping[str, str]) -> bool:
        """Whether a request with these headers (names in lower case) has shown the token."""
        if self.token is None:
            return True
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self.is_token(given.strip()):
            return True
        for pair in headers.get("cookie", "").split(";"):
            name, _, value = pair.strip().partition("=")
            if name == self.cookie_name and _same(value, self.cookie_value):
                return True
        return False

    def is_token(self, given: str) -> bool:
        """Whether this is the token; takes as long for a near miss as for any other."""
        return self.token is not None and _same(given, self.token)


def token_from(path: Path | None, environment: Mapping[str, str]) -> str | None:
    """The token of a file, or of the environment variable `TOKEN_VARIABLE`.

    A file that does not exist is made, with a random token that only its owner can read.

    Returns:
        None when neither is given.

    Raises:
        UsageError: The token is too short or too long, or not of visible ASCII characters.
        OutputError: The file can be neither read nor made.
    """
    if path is None:
        token = environment.get(TOKEN_VARIABLE, "").strip() or None
        return token if token is None else _checked(token, f"The token in {TOKEN_VARIABLE}")
    try:
        if not path.exists():
            _write_private(path, secrets.token_hex(16) + "\n")
        with path.open("rb") as opened:
            token = opened.read(4 * MOST_TOKEN).decode("utf-8", "replace").strip()
    except OSError as error:
        raise OutputError(
            f"The token file {path} cannot be used: {error.strerror or error}.",
            hint=f"ls -l {path}",
        ) from error
    return _checked(token, f"The token in {path}")


def readable_by_others(path: Path) -> bool:
    """Whether other users of this machine can read a file."""
    return os.name == "posix" and bool(path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH))


def _write_private(path: Path, text: str) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="ascii") as opened:
        opened.write(text)


def _checked(token: str, what: str) -> str:
    visible = token.isascii() and token.isprintable() and " " not in token
    if not visible or not LEAST_TOKEN <= len(token) <= MOST_TOKEN:
        raise UsageError(
            f"{what} must be {LEAST_TOKEN} to {MOST_TOKEN} visible ASCII characters without"
            f" spaces, got {len(token)} characters.",
            hint="openssl rand -hex 16 > token   and --serve-token token",
        )
    return token


def _same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), wanted.encode())
