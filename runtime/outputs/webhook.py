"""Deliveries as HTTP POST of JSON."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from email.message import Message
from email.utils import parsedate_to_datetime
from typing import IO

from models.errors import UsageError
from models.version import edgecls_version
from runtime.outputs.courier import Outcome
from runtime.outputs.delivery_queue import Delivery

TIMEOUT_S = 10.0
_REFUSALS = frozenset({400, 405, 406, 410, 411, 413, 414, 415, 422})
"""Answers that are about the delivery; all others may pass (RFC 9110, section 15.5)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookSecrets:
    """What proves to the receiver who is sending; never shown.

    Attributes:
        token: Sent as `Authorization: Bearer`.
        signing_key: Key of the HMAC-SHA256 over the body in `X-Edgecls-Signature`.
    """

    token: str | None = None
    signing_key: str | None = None

    def __repr__(self) -> str:
        return "WebhookSecrets(...)"


class Webhook:
    """POSTs each delivery; only an answer of 200 to 299 counts as delivered.

    Redirects are not followed, answers are not read. Of the address only scheme and host appear
    in messages, since path, query and user may be secrets.

    Args:
        url: `http://` or `https://`, with `user:password@` if need be.
        secrets: See `WebhookSecrets`.
        timeout_s: For connecting, and for each read.

    Raises:
        UsageError: It is no such address, or the token cannot stand in a header.
    """

    def __init__(
        self, url: str, *, secrets: WebhookSecrets | None = None, timeout_s: float = TIMEOUT_S
    ) -> None:
        parts = checked_url(url, ("http", "https"), option="--webhook")
        secrets = secrets or WebhookSecrets()
        host = parts.netloc.rpartition("@")[2]
        self.description = f"webhook {parts.scheme}://{host}/..."
        path = urllib.parse.quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._")
        query = urllib.parse.quote(parts.query, safe="/%:@!$&'()*+,;=~-._?")
        self._url = urllib.parse.urlunsplit((parts.scheme, host, path, query, ""))
        self._signing_key = secrets.signing_key
        self._timeout_s = timeout_s
        self._headers = {
            "Content-Type": "application/json",
            "User-Agent": f"edgecls/{edgecls_version()}",
        }
        if secrets.token is not None:
            if not (secrets.token.isascii() and secrets.token.isprintable() and secrets.token):
                raise UsageError(
                    "The token of --webhook is empty or holds characters that"
                    " cannot stand in a header."
                )
            self._headers["Authorization"] = f"Bearer {secrets.token}"
        elif parts.username is not None:
            pair = ":".join(
                urllib.parse.unquote(one or "") for one in (parts.username, parts.password)
            )
            word = base64.b64encode(pair.encode()).decode()
            self._headers["Authorization"] = f"Basic {word}"
        self._opener = urllib.request.build_opener(_NoRedirect)

    def send(self, delivery: Delivery) -> Outcome:
        """POST it once."""
        headers = {
            **self._headers,
            "Idempotency-Key": delivery.id,
            "X-Edgecls-Delivery": delivery.id,
        }
        if self._signing_key is not None:
            digest = hmac.new(self._signing_key.encode(), delivery.body, hashlib.sha256)
            headers["X-Edgecls-Signature"] = f"sha256={digest.hexdigest()}"
        request = urllib.request.Request(
            self._url, data=delivery.body, headers=headers, method="POST"
        )
        try:
            with self._opener.open(request, timeout=self._timeout_s):
                return Outcome(kind="sent")
        except urllib.error.HTTPError as error:
            error.close()
            return Outcome(
                kind="refused" if error.code in _REFUSALS else "later",
                reason=f"it answers {error.code}",
                after_s=_retry_after_s(error.headers),
            )
        except (OSError, http.client.HTTPException, ValueError) as error:
            return Outcome(kind="later", reason=f"it cannot be reached ({_reason(error)})")

    def close(self) -> None:
        """Nothing is kept open between deliveries."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirected POST would become a GET, or take secrets elsewhere."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: Message,
        newurl: str,
    ) -> None:
        return None


def checked_url(url: str, schemes: tuple[str, ...], *, option: str) -> urllib.parse.SplitResult:
    """The parts of an address that a delivery goes to.

    Args:
        url: As the user wrote it; not repeated in messages, as it may hold secrets.
        schemes: Those that the option takes.
        option: Its name, for messages.

    Raises:
        UsageError: It is none, or its host or port is none.
    """
    example = f"{option} {schemes[-1]}://example.org/path"
    if not url.isprintable() or " " in url:
        raise UsageError(
            f"The address of {option} holds spaces or control characters.", hint=example
        )
    try:
        parts = urllib.parse.urlsplit(url)
        port = parts.port
        host = (parts.hostname or "").encode("idna").decode()
    except (ValueError, UnicodeError) as error:
        raise UsageError(
            f"The address of {option} cannot be read: its host or port is none.", hint=example
        ) from error
    if parts.scheme not in schemes:
        known = " or ".join(f"{one}://" for one in schemes)
        raise UsageError(f"The address of {option} must begin with {known}.", hint=example)
    if not host or port == 0:
        raise UsageError(f"The address of {option} names no host, or port 0.", hint=example)
    return parts


def _retry_after_s(headers: Message | None) -> float | None:
    """Seconds, or a date; None for anything else."""
    word = None if headers is None else headers.get("Retry-After")
    if word is None:
        return None
    if word.strip().isdecimal():
        return float(word.strip()[:9])
    try:
        return max(0.0, parsedate_to_datetime(word).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None


def _reason(error: Exception) -> str:
    """In a few words, without the address."""
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror
    return str(cause) if isinstance(cause, TimeoutError) else type(cause).__name__
