"""Predictions as text for people, JSON lines and CSV for programs."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_cli.summary import latency_ms
from models.plain_text import plain

if TYPE_CHECKING:
    from runtime.degrade.news import DegradeNews
    from runtime.outputs import EventNews
    from runtime.outputs.run_end import RunEnd
    from runtime.records import Prediction, SourceEvent

_WIDEST_LABEL = 28
_WIDEST_SOURCE = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class RunHeader:
    """What does not change during a run.

    Attributes:
        facts: Written into the JSON header as they are.
        labels: All class names of the model.
        top_k: Classes per window at most.
        sources: As the user wrote them, without passwords.
    """

    facts: Mapping[str, object]
    labels: tuple[str, ...]
    top_k: int
    sources: tuple[str, ...]


class Renderer:
    """A format of `edgecls run`: a line, with its newline, for all that a run tells.

    What a format does not tell of is empty: of steps and sources, people hear on stderr.
    """

    def opening(self) -> str:
        """What comes first."""
        return ""

    def window(self, prediction: Prediction) -> str:
        """A result."""
        return ""

    def event(self, news: EventNews) -> str:
        """The beginning or the end of an event."""
        return ""

    def source_event(self, event: SourceEvent, stream: int) -> str:
        """What befell a source."""
        return ""

    def ended(self, end: RunEnd) -> str:
        """How the run ended."""
        return ""

    def degraded(self, news: DegradeNews) -> str:
        """A step of the ladder of `--max-latency`."""
        return ""


class TextLines(Renderer):
    """`   1.2-   2.2 s  pan left   97.1 %    12.0 ms  (zoom in 1.4 %)`.

    Of several sources, each line begins with the name of its own.
    """

    def __init__(self, header: RunHeader) -> None:
        self._width = min(_WIDEST_LABEL, max(map(len, header.labels)))
        names = short_names(header.sources) if len(header.sources) > 1 else ()
        self._sources = tuple(map(plain, names))
        self._resets: dict[int, int] = {}

    def window(self, prediction: Prediction) -> str:
        """One aligned line; what is variable in length comes last."""
        time = f"{prediction.start_s:7.1f}-{prediction.end_s:7.1f} s"
        if self._sources:
            time = f"{self._sources[prediction.stream]}  {time}"
        if prediction.top:
            best = prediction.top[0]
            score = f"{self._fitted(best.label)}  {best.probability * 100:5.1f} %"
        else:
            score = f"{self._fitted('-')}  {'':7}"
        line = f"{time}  {score}  {latency_ms(prediction):6.1f} ms"
        others = [f"{one.label} {one.probability * 100:.1f} %" for one in prediction.top[1:]]
        if others:
            line += f"  ({', '.join(others)})"
        return f"{line}{self._note(prediction)}\n"

    def event(self, news: EventNews) -> str:
        """`           1.2 s  EVENT fall floor began, 91.0 %`."""
        event = news.change.event
        time_s = event.start_s if event.end_s is None else event.end_s
        where = f"{self._sources[event.stream]}  " if self._sources else ""
        if event.end_s is None:
            what = f"began, {event.peak * 100:.1f} %"
        else:
            lasted_s = event.end_s - event.start_s
            what = f"ended after {lasted_s:.1f} s, peak {event.peak * 100:.1f} %"
            if event.ended != "below":
                what += " (gap)" if event.ended == "reset" else " (end of the run)"
        return f"{where}{'':8}{time_s:7.1f} s  EVENT {event.label} {what}\n"

    def _note(self, prediction: Prediction) -> str:
        """Its video, where there are several, and what was not as usual on the grid."""
        notes = [] if prediction.file is None else [plain(prediction.file)]
        if prediction.resets > self._resets.get(prediction.stream, 0):
            self._resets[prediction.stream] = prediction.resets
            notes.append("after a gap")
        if prediction.held:
            notes.append(f"{prediction.held} held")
        return f"  [{', '.join(notes)}]" if notes else ""

    def _fitted(self, label: str) -> str:
        shown = label if len(label) <= self._width else f"{label[: self._width - 1]}…"
        return f"{shown:<{self._width}}"


class JsonLines(Renderer):
    """A header object, then one object per window; see docs/cli.md for the fields."""

    def __init__(self, header: RunHeader) -> None:
        self._header = header

    def opening(self) -> str:
        """The header line."""
        return _json_line({"type": "header", **self._header.facts})

    def window(self, prediction: Prediction) -> str:
        """One window."""
        latency = prediction.latency
        return _json_line(
            {
                "type": "window",
                "stream": prediction.stream,
                "source": self._header.sources[prediction.stream],
                "index": prediction.index,
                "start_s": _rounded(prediction.start_s),
                "end_s": _rounded(prediction.end_s),
                "top": [
                    {"label": one.label, "probability": round(one.probability, 6)}
                    for one in prediction.top
                ],
                "latency_ms": {
                    "decode": _rounded(latency.decode_ms),
                    "preprocess": _rounded(latency.preprocess_ms),
                    "infer": _rounded(latency.infer_ms),
                },
                "frame_age_ms": _rounded(prediction.frame_age_ms),
                "dropped": prediction.dropped,
                "held": prediction.held,
                "resets": prediction.resets,
                "batch": prediction.batch,
                "reused": None if prediction.reused is None else round(prediction.reused, 4),
                "level": prediction.level,
                "file": prediction.file,
            }
        )

    def event(self, news: EventNews) -> str:
        """One beginning or end."""
        from runtime.outputs.event_record import event_record

        return _json_line({"type": "event", **event_record(news)})

    def source_event(self, event: SourceEvent, stream: int) -> str:
        """Something that befell a source."""
        from runtime.outputs.event_record import source_record

        record = source_record(event, stream, self._header.sources[stream])
        return _json_line({"type": "source", **record})

    def ended(self, end: RunEnd) -> str:
        """How the run ended."""
        from runtime.outputs.run_end import end_record

        return _json_line({"type": "end", **end_record(end, self._header.sources)})

    def degraded(self, news: DegradeNews) -> str:
        """A step of the ladder."""
        from runtime.degrade.news import degrade_record

        return _json_line({"type": "degrade", **degrade_record(news)})


class CsvRows(Renderer):
    """A row of column names, then one row per window; empty cells where there is no value."""

    def __init__(self, header: RunHeader) -> None:
        self._top_k = min(header.top_k, len(header.labels))
        self._sources = header.sources

    def opening(self) -> str:
        """The column names."""
        names = ["index", "start_s", "end_s"]
        for rank in range(1, self._top_k + 1):
            names += [f"label_{rank}", f"probability_{rank}"]
        names += ["decode_ms", "preprocess_ms", "infer_ms", "frame_age_ms", "dropped"]
        names += ["stream", "source", "held", "resets", "batch", "reused", "level"]
        return _csv_line([*names, "file"])

    def window(self, prediction: Prediction) -> str:
        """One row."""
        cells: list[object] = [
            prediction.index,
            _rounded(prediction.start_s),
            _rounded(prediction.end_s),
        ]
        for rank in range(self._top_k):
            if rank < len(prediction.top):
                scored = prediction.top[rank]
                cells += [scored.label, round(scored.probability, 6)]
            else:
                cells += ["", ""]
        latency = prediction.latency
        cells += [_rounded(latency.decode_ms), _rounded(latency.preprocess_ms)]
        cells += [_rounded(latency.infer_ms), _rounded(prediction.frame_age_ms)]
        cells += [prediction.dropped, prediction.stream, self._sources[prediction.stream]]
        cells += [prediction.held, prediction.resets, prediction.batch]
        cells += [None if prediction.reused is None else round(prediction.reused, 4)]
        return _csv_line([*cells, prediction.level, prediction.file])


class EventJsonLines(JsonLines):
    """A header object, then one object per beginning and end of an event."""

    def window(self, prediction: Prediction) -> str:
        """Nothing."""
        return ""


class EventCsvRows(Renderer):
    """A row of column names, then one row per beginning and end of an event."""

    def __init__(self, header: RunHeader) -> None:
        """Takes the header for the sake of the others."""

    def opening(self) -> str:
        """The column names."""
        from runtime.outputs.event_record import EVENT_FIELDS

        return _csv_line(list(EVENT_FIELDS))

    def event(self, news: EventNews) -> str:
        """One row."""
        from runtime.outputs.event_record import event_record

        return _csv_line(list(event_record(news).values()))


FORMATS: dict[str, Callable[[RunHeader], Renderer]] = {
    "text": TextLines,
    "jsonl": JsonLines,
    "csv": CsvRows,
}
"""Values of `--format`."""

FILE_FORMATS: dict[str, Callable[[RunHeader], Renderer]] = {
    **FORMATS,
    "events-jsonl": EventJsonLines,
    "events-csv": EventCsvRows,
}
"""Kinds of `--output KIND:FILE`."""


def short_names(sources: Sequence[str]) -> tuple[str, ...]:
    """Names of equal length for the sources of a run: the ends of their paths.

    Where two are the same, all begin with their number: `0 demo`, `1 demo`.
    """
    names = [source.rstrip("/\\").replace("\\", "/").rpartition("/")[2] for source in sources]
    if len(set(names)) < len(names):
        names = [f"{number} {name}" for number, name in enumerate(names)]
    width = min(_WIDEST_SOURCE, max(map(len, names)))
    cut = [name if len(name) <= width else f"{name[: width - 1]}…" for name in names]
    return tuple(f"{name:<{width}}" for name in cut)


def _rounded(value: float | None) -> float | None:
    """Microseconds and thousandths of milliseconds are enough."""
    return None if value is None else round(value, 3)


def _json_line(value: Mapping[str, object]) -> str:
    return json.dumps(value, ensure_ascii=False) + "\n"


def _csv_line(cells: list[object]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()
