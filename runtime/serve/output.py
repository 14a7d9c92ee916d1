"""The watch page as an output of a run, beside files and webhooks."""

from __future__ import annotations

import time
from collections.abc import Callable

from runtime.closing import ClosesOnExit
from runtime.outputs import EventNews
from runtime.records import Frame, Prediction
from runtime.serve.board import BoardEvent, LiveBoard
from runtime.serve.server import WatchServer


class PageOutput(ClosesOnExit):
    """Hands results, events and frames to the board; nothing waits for a viewer.

    Args:
        board: What the page shows.
        server: Closed with this.
        wall_clock: Unix time.
    """

    def __init__(
        self,
        board: LiveBoard,
        server: WatchServer,
        *,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self.board = board
        self._server = server
        self._wall_clock = wall_clock
        self._began_at_s: dict[str, float] = {}

    def prediction(self, prediction: Prediction) -> None:
        """Show a result."""
        self.board.prediction(prediction)

    def frame(self, frame: Frame, stream: int) -> None:
        """Show a frame."""
        self.board.frame(frame, stream)

    def wants_frame(self, stream: int) -> bool:
        """Whether it is time for another picture."""
        return self.board.wants_frame(stream)

    def event(self, news: EventNews) -> None:
        """Show the beginning or the end of an event."""
        event = news.change.event
        known_s = self._wall_clock() if news.began_at_s is None else news.began_at_s
        at_s = self._began_at_s.setdefault(event.id, known_s)
        if news.change.kind == "end":
            del self._began_at_s[event.id]
        words = ["cut short by a gap"] if event.ended == "reset" else []
        if news.clip is not None:
            words.append(f"film {news.clip}")
        self.board.event(
            BoardEvent(
                id=event.id,
                stream=event.stream,
                kind="action",
                label=event.label,
                at_s=at_s,
                start_s=event.start_s,
                end_s=event.end_s,
                peak=event.peak,
                text=", ".join(words),
            )
        )

    def close(self, *, grace_s: float = 0.0) -> None:
        """End the page, in less than two seconds."""
        self._server.close()

    def notes(self) -> tuple[str, ...]:
        """Nothing is ever owed to a viewer."""
        return ()
