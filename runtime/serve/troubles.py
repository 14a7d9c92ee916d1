"""What befalls sources, as the page shows it: a trouble is one event, from beginning to end."""

from __future__ import annotations

from dataclasses import replace

from runtime.records import SourceEvent
from runtime.serve.board import BoardEvent

_USUAL = ("file", "loop")
"""What befalls a source in the usual course; the page says which file it is, no more."""


class Troubles:
    """Makes events of the board out of what befalls the sources of a run."""

    def __init__(self) -> None:
        self._count = 0
        self._lasting: dict[int, BoardEvent] = {}

    def events(self, event: SourceEvent, stream: int) -> list[BoardEvent]:
        """What the page is to show, new or in place of what has the same id.

        Args:
            event: What happened.
            stream: Number of the source.
        """
        if event.kind in _USUAL:
            return []
        label = event.kind.replace("_", " ")
        before = self._lasting.pop(stream, None)
        if event.delivers and before is not None:
            return [replace(before, text=event.text, end_s=event.time_s)]
        if before is not None and before.label == label:
            self._lasting[stream] = replace(before, text=event.text)
            return [self._lasting[stream]]
        self._count += 1
        lasted_s = event.lasted_s or 0.0
        new = BoardEvent(
            id=f"source-{self._count}",
            stream=stream,
            kind="source",
            label=label,
            at_s=event.at_s - lasted_s,
            start_s=event.time_s - lasted_s,
            end_s=event.time_s if event.delivers else None,
            peak=None,
            text=event.text,
        )
        if not event.delivers:
            self._lasting[stream] = new
        return [new] if before is None else [replace(before, end_s=event.time_s), new]
