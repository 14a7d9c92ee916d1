"""An output that hears of some of the streams only."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runtime.degrade.news import DegradeNews
    from runtime.outputs import EventNews, Output
    from runtime.outputs.run_end import RunEnd
    from runtime.records import Prediction, SourceEvent


class OfStreams:
    """Passes on what is about its streams, and what is about the whole run.

    Args:
        output: Closed with this.
        streams: Their numbers.
    """

    def __init__(self, output: Output, streams: Collection[int]) -> None:
        self._output = output
        self._streams = frozenset(streams)

    def prediction(self, prediction: Prediction) -> None:
        """Pass on a result of its streams."""
        if prediction.stream in self._streams:
            self._output.prediction(prediction)

    def event(self, news: EventNews) -> None:
        """Pass on an event of its streams."""
        if news.change.event.stream in self._streams:
            self._output.event(news)

    def source_event(self, event: SourceEvent, stream: int) -> None:
        """Pass on what befell one of its sources."""
        if stream in self._streams:
            self._output.source_event(event, stream)

    def degraded(self, news: DegradeNews) -> None:
        """Pass on a step of the ladder, which is of all streams."""
        self._output.degraded(news)

    def ended(self, end: RunEnd) -> None:
        """Pass on how the run ended."""
        self._output.ended(end)

    def close(self, *, grace_s: float) -> None:
        """Close the output."""
        self._output.close(grace_s=grace_s)

    def notes(self) -> tuple[str, ...]:
        """What the output has to say."""
        return self._output.notes()
