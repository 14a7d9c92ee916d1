"""How many clients are served at once, by kind."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

LIMITS = {"feed": 16, "picture": 32, "mjpeg": 4, "login": 4}
"""Clients at once by kind; each `feed` is an open page."""


class TooManyViewers(Exception):
    """The limit of a kind is reached."""


class Viewers:
    """Counts clients; used by one thread."""

    def __init__(self) -> None:
        self._counts = dict.fromkeys(LIMITS, 0)

    def count(self, kind: str) -> int:
        """Clients of one kind at the moment."""
        return self._counts[kind]

    def enter(self, kind: str) -> None:
        """Count a client, which `leave` must follow.

        Raises:
            TooManyViewers: There are as many as may be.
        """
        if self._counts[kind] >= LIMITS[kind]:
            raise TooManyViewers
        self._counts[kind] += 1

    def leave(self, kind: str) -> None:
        """A client is gone."""
        self._counts[kind] -= 1

    @contextmanager
    def one(self, kind: str) -> Iterator[None]:
        """Count a client while the block runs.

        Raises:
            TooManyViewers: There are as many as may be.
        """
        self.enter(kind)
        try:
            yield
        finally:
            self.leave(kind)
