"""What a live source is read through: a device or stream that is open, and how to open it again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from runtime.records import Picture, SourceEvent


class Unreachable(Exception):
    """The other end cannot be reached, or is lost: trying again may help.

    Args:
        reason: A few words without secrets, which go on after a name and a colon: "connection
            refused".
        silent: It is there, and says nothing.
    """

    def __init__(self, reason: str, *, silent: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.silent = silent


@dataclass(frozen=True, slots=True, kw_only=True)
class Grabbed:
    """A picture that arrived, and what is known of it before it is converted.

    Attributes:
        picture: Converts it: RGB uint8 [H, W, 3], owned by the caller; None where it cannot be
            decoded. Called once at most, and before the next picture is grabbed.
        media_s: Its time on the stream's own clock, whatever its zero; None where that has none,
            or none to be trusted.
        decode_ms: Time spent decoding it so far.
        broken: Pictures since the one before that could not be decoded.
    """

    picture: Callable[[], Picture | None]
    media_s: float | None = None
    decode_ms: float = 0.0
    broken: int = 0


class Connection(Protocol):
    """A device or stream that is open. It is used, and closed, by one thread."""

    @property
    def description(self) -> str:
        """What is shown to people, in one line, e.g. "camera0 (640x480, 30 fps)"."""

    @property
    def fps(self) -> float | None:
        """Nominal frame rate; None when unknown."""

    def grab(self) -> Grabbed | None:
        """Wait for the next picture.

        Returns:
            None when the video is over, as it is meant to be.

        Raises:
            Unreachable: There will be no more without opening it again.
        """

    def close(self) -> None:
        """Let it go. Called once."""


Unwanted = Callable[[], bool]
"""Whether nobody waits for a connection any more. It is looked at wherever a wait can be cut
short; a call that blocks for good all the same is left behind, with its thread."""

Connect = Callable[[Unwanted], Connection]
"""Opens a device or stream. Called in the thread that then reads it.

Raises:
    SourceError: It has to be mended first: no such device, a wrong password.
    Unreachable: Trying again may help.
"""


class PictureWatch(Protocol):
    """Somebody who looks at the pictures of a live source now and then: for one that is frozen."""

    def due(self, time_s: float) -> bool:
        """Whether it looks at the picture of that time, which may be decoded only for it."""

    def look(self, picture: Picture, *, time_s: float, at_s: float) -> Sequence[SourceEvent]:
        """Look at a picture.

        Args:
            picture: RGB uint8 [H, W, 3]; only lent.
            time_s: Its time, for the events.
            at_s: Seconds since 1970, for the events.
        """

    def restart(self) -> None:
        """Forget the pictures so far: what comes next has nothing to do with them."""
