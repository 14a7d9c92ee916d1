"""Results as lines: on stdout, and in files."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edge_cli.render import Renderer
    from runtime.degrade.news import DegradeNews
    from runtime.outputs import EventNews
    from runtime.outputs.line_file import Sync, WhenFull
    from runtime.outputs.run_end import RunEnd
    from runtime.records import Prediction, SourceEvent

CSV_KINDS = ("csv", "events-csv")
JSON_KINDS = ("jsonl", "events-jsonl")
_JSON_BEGINS = '{"type": "header", "edgecls": '


class StdoutLines:
    """Writes to stdout, each line at once.

    Args:
        renderer: The format; its opening is written now.
        top_k: Classes per result, by stream.
        changes: Leave out a result whose best class is that of the one before, of its source.
    """

    def __init__(self, renderer: Renderer, *, top_k: Sequence[int], changes: bool) -> None:
        self._renderer = renderer
        self._top_k = top_k
        self._changes = changes
        self._last: dict[int, str | None] = {}
        self._write(renderer.opening())

    def prediction(self, prediction: Prediction) -> None:
        """Write a result, unless only changes are wanted and this is none."""
        label = prediction.top[0].label if prediction.top else None
        known = prediction.stream in self._last
        if self._changes and known and label == self._last[prediction.stream]:
            return
        self._last[prediction.stream] = label
        self._write(self._renderer.window(_cut(prediction, self._top_k)))

    def event(self, news: EventNews) -> None:
        """Write the beginning or the end of an event."""
        self._write(self._renderer.event(news))

    def source_event(self, event: SourceEvent, stream: int) -> None:
        """Write what befell a source."""
        self._write(self._renderer.source_event(event, stream))

    def degraded(self, news: DegradeNews) -> None:
        """Write a step of the ladder."""
        self._write(self._renderer.degraded(news))

    def ended(self, end: RunEnd) -> None:
        """Write how the run ended."""
        self._write(self._renderer.ended(end))

    def close(self, *, grace_s: float) -> None:
        """Nothing is held."""

    def notes(self) -> tuple[str, ...]:
        """Nothing is lost."""
        return ()

    def _write(self, text: str) -> None:
        if text:
            sys.stdout.write(text)
            sys.stdout.flush()


class FileLines:
    """Appends to a file; a CSV file keeps the columns it has.

    Args:
        path: Of the file.
        kind: One of `FILE_FORMATS`.
        renderer: Of that kind.
        top_k: Classes per result, by stream.
        sync: When lines are forced onto the disk.
        when_full: What happens when the disk is full.

    Raises:
        OutputError: It cannot be written, or is a file of another kind or of other columns.
    """

    def __init__(
        self,
        path: Path,
        kind: str,
        renderer: Renderer,
        *,
        top_k: Sequence[int],
        sync: Sync,
        when_full: WhenFull,
    ) -> None:
        from runtime.outputs.line_file import LineFile

        self._renderer = renderer
        self._top_k = top_k
        opening = renderer.opening()
        begins = _JSON_BEGINS if kind in JSON_KINDS else opening if kind in CSV_KINDS else None
        self._file = LineFile(path, begins=begins, sync=sync, when_full=when_full)
        if kind not in CSV_KINDS or self._file.was_empty:
            self._file.write(opening)

    def prediction(self, prediction: Prediction) -> None:
        """Append a result."""
        self._file.write(self._renderer.window(_cut(prediction, self._top_k)))

    def event(self, news: EventNews) -> None:
        """Append the beginning or the end of an event."""
        self._file.write(self._renderer.event(news), important=True)

    def source_event(self, event: SourceEvent, stream: int) -> None:
        """Append what befell a source."""
        self._file.write(self._renderer.source_event(event, stream), important=True)

    def degraded(self, news: DegradeNews) -> None:
        """Append a step of the ladder."""
        self._file.write(self._renderer.degraded(news), important=True)

    def ended(self, end: RunEnd) -> None:
        """Append how the run ended."""
        self._file.write(self._renderer.ended(end), important=True)

    def close(self, *, grace_s: float) -> None:
        """Close the file."""
        self._file.close()

    def notes(self) -> tuple[str, ...]:
        """Lines that were left out."""
        lost = self._file.dropped
        return (f"{self._file.path}: {lost} lines left out, the disk failed",) if lost else ()


def _cut(prediction: Prediction, top_k: Sequence[int]) -> Prediction:
    """A result with as many classes as its stream wants."""
    return replace(prediction, top=prediction.top[: top_k[prediction.stream]])
