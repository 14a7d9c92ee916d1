"""The connections of the watch page: uvicorn's, with limits on what a client may hold."""

from __future__ import annotations

import asyncio
from typing import Any

MOST_CONNECTIONS = 64
"""Connections at once; one more is closed unheard."""

REQUEST_S = 10.0
"""A request must be complete within so long; else the connection is cut."""

STALLED_S = 10.0
"""A client that takes none of what waits for it for so long is cut off."""


def guarded_connection() -> Any:
    """Uvicorn's HTTP/1.1 protocol class with these limits.

    uvicorn itself limits the size of headers (64 KiB), stops reading bodies that nobody wants and
    writing to clients that do not read; but it waits for them without end.
    """
    from h11 import IDLE
    from uvicorn.protocols.http.h11_impl import H11Protocol

    class GuardedConnection(H11Protocol):
        _cut_silent: asyncio.TimerHandle | None = None
        _cut_stalled: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            if len(self.connections) > MOST_CONNECTIONS:
                transport.abort()
                return
            self._expect_request()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self.conn.their_state is IDLE:
                self._expect_request()
            else:
                self._forget_silence()

        def connection_lost(self, exc: Exception | None) -> None:
            self._forget_silence()
            self._forget_stall()
            super().connection_lost(exc)

        def pause_writing(self) -> None:
            super().pause_writing()
            if self._cut_stalled is None:
                self._cut_stalled = self.loop.call_later(STALLED_S, self.transport.abort)

        def resume_writing(self) -> None:
            self._forget_stall()
            super().resume_writing()

        def _expect_request(self) -> None:
            if self._cut_silent is None:
                self._cut_silent = self.loop.call_later(REQUEST_S, self.transport.abort)

        def _forget_silence(self) -> None:
            if self._cut_silent is not None:
                self._cut_silent.cancel()
                self._cut_silent = None

        def _forget_stall(self) -> None:
            if self._cut_stalled is not None:
                self._cut_stalled.cancel()
                self._cut_stalled = None

    return GuardedConnection
