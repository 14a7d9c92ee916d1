"""The watch page as an output of a run, beside files and webhooks."""

from __future__ import annotations

import time
from collections.abc import Callable

from runtime.closing import ClosesOnExit
from runtime.degrade.news import DegradeNews
from runtime.outputs import EventNews
from runtime.outputs.run_end import RunEnd
from runtime.records import Frame, Prediction, SourceEvent
from runtime.serve.board import BoardEvent, LiveBoard
from runtime.serve.server import WatchServer
from runtime.serve.troubles import Troubles


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
        self._last: dict[int, Prediction] = {}
        self._troubles = Troubles()

    @property
    def port(self) -> int:
        """Where it is served."""
        return self._server.port

    def prediction(self, prediction: Prediction) -> None:
        """Show a result; and a gap, if its stream was started anew since the one before."""
        before = self._last.get(prediction.stream)
        self._last[prediction.stream] = prediction
        if before is not None and prediction.resets > before.resets:
            self._gap(before, prediction)
        self.board.prediction(prediction)

    def frame(self, frame: Frame, stream: int) -> None:
        """Show a frame."""
        self.board.frame(frame, stream)

    def source_ended(self, stream: int) -> None:
        """Its last picture stays."""

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

    def source_event(self, event: SourceEvent, stream: int) -> None:
        """Show how a source is, and what befell it; behind a break nothing is known yet."""
        usual = event.delivers and event.kind != "file"
        self.board.source_state(stream, ok=event.delivers, text="" if usual else event.text)
        if event.breaks:
            self.board.interrupted(stream)
            self._last.pop(stream, None)  # the event tells of the gap
        for one in self._troubles.events(event, stream):
            self.board.event(one)

    def degraded(self, news: DegradeNews) -> None:
        """Show at which level the run is."""
        self.board.degraded(news.step.level, news.text)

    def ended(self, end: RunEnd) -> None:
        """The page ends with the run."""

    def _gap(self, before: Prediction, after: Prediction) -> None:
        """Show the time from the end of one window to the beginning of the next."""
        lasted_s = max(0.0, after.start_s - before.end_s)
        length_s = after.end_s - after.start_s
        self.board.event(
            BoardEvent(
                id=f"gap-{after.stream}-{after.resets}",
                stream=after.stream,
                kind="source",
                label="gap",
                at_s=self._wall_clock() - length_s - lasted_s,
                start_s=before.end_s,
                end_s=before.end_s + lasted_s,
                peak=None,
                text="windows begin anew",
            )
        )

    def close(self, *, grace_s: float = 0.0) -> None:
        """End the page, in less than two seconds."""
        self._server.close()

    def notes(self) -> tuple[str, ...]:
        """Nothing is ever owed to a viewer."""
        return ()
