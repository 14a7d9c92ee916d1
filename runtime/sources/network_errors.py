"""What FFmpeg says of a stream that it cannot open or read, in words that help."""

from __future__ import annotations

import errno
import socket
import time

from models.errors import SourceError
from runtime.sources.address import PASSWORD_VARIABLE, USER_VARIABLE, Address
from runtime.sources.connection import Unreachable

_WORDS = {
    errno.ECONNREFUSED: "connection refused",
    errno.ECONNRESET: "the connection was reset",
    errno.EPIPE: "the connection was closed",
    errno.EHOSTUNREACH: "no way to the host",
    errno.ENETUNREACH: "no way to its network",
    errno.EIO: "the connection broke",
}
_USELESS = "what it says, or leads to, is nothing that is read here"
_WORDS |= dict.fromkeys((errno.EINVAL, errno.EPERM, errno.EPROTONOSUPPORT), _USELESS)
"""Also where it leads to a file of this machine, or to another protocol."""
_NO_ANSWER = frozenset({errno.ETIMEDOUT, errno.EAGAIN})


class Attempt:
    """A call that has begun, and may take so long.

    Args:
        address: What is called.
        limit_s: Timeout of the call.
        opens: Whether it is to open the stream, or to read on.
    """

    def __init__(self, address: Address, *, limit_s: float, opens: bool) -> None:
        self.address = address
        self.limit_s = limit_s
        self.opens = opens
        self._started_s = time.monotonic()

    def took_too_long(self) -> bool:
        """Whether the timeout is what ended it, whatever the error says."""
        return time.monotonic() - self._started_s >= self.limit_s


def what_went_wrong(error: Exception, attempt: Attempt) -> SourceError | Unreachable:
    """What an error of FFmpeg means.

    Args:
        error: As PyAV raises it; its text may hold user and password.
        attempt: What failed.

    Returns:
        `SourceError` for what somebody has to mend, `Unreachable` for what time may.
    """
    import av

    shown = attempt.address.shown
    if isinstance(error, av.error.HTTPUnauthorizedError):
        return SourceError(
            f"{shown} wants a user and a password, or other ones (401).",
            hint=f"Set {USER_VARIABLE} and {PASSWORD_VARIABLE}, or rtsp://USER:PASSWORD@HOST/...",
        )
    if isinstance(error, av.error.HTTPForbiddenError):
        return SourceError(
            f"{shown} is forbidden to this user (403).",
            hint=f"Set {USER_VARIABLE} and {PASSWORD_VARIABLE} of one who may watch it.",
        )
    if isinstance(error, av.error.HTTPNotFoundError):
        return SourceError(
            f"The server has no {shown} (404).",
            hint="Look up the path of the stream in the manual or the page of the camera.",
        )
    if isinstance(error, av.error.HTTPTooManyRequestsError):
        return Unreachable("too many requests (429)")
    if isinstance(error, (av.error.HTTPBadRequestError, av.error.HTTPOtherClientError)):
        return SourceError(f"The server does not understand the request for {shown} (4xx).")
    if isinstance(error, av.error.HTTPServerError):
        return Unreachable("an error of the server (5xx)")
    if isinstance(error, (av.error.ProtocolNotFoundError, av.error.OptionNotFoundError)):
        return SourceError(f"The FFmpeg of this PyAV cannot read {shown}: {error.strerror}.")
    number = getattr(error, "errno", None)
    silent = isinstance(error, av.error.ExitError) or number in _NO_ANSWER
    if silent or attempt.took_too_long():
        return Unreachable(f"no answer for {attempt.limit_s:g} s", silent=True)
    if isinstance(error, av.error.InvalidDataError):
        if attempt.opens and attempt.address.uri.lower().startswith("http"):
            return no_video(attempt.address)
        return Unreachable("the answer makes no sense")
    if isinstance(error, av.error.EOFError):
        return Unreachable("the server closed the connection")
    if attempt.opens and number == errno.EIO and not _known(attempt.address.host):
        return Unreachable(f"there is no host {attempt.address.host}")
    said = getattr(error, "strerror", None) or type(error).__name__
    return Unreachable(_WORDS.get(number or 0, said))


def _known(host: str) -> bool:
    """Whether a host has a number."""
    try:
        socket.getaddrinfo(host, None)
    except (OSError, UnicodeError):
        return False
    return True


def no_video(address: Address) -> SourceError:
    """What the server gives is something else."""
    return SourceError(
        f"{address.shown} is no video that FFmpeg can decode.",
        hint="Open the address in a browser or in VLC, and look what it is.",
    )


def single_picture(address: Address) -> SourceError:
    """What the server gives is one picture."""
    return SourceError(
        f"{address.shown} is a single picture, not a video.",
        hint="Most cameras have another address for their video, e.g. one that ends in .mjpg.",
    )
