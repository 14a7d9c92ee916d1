"""An event as JSON, the same in every output."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from runtime.outputs.base import EventNews
from runtime.records import SourceEvent

EVENT_FIELDS = (
    "kind",
    "id",
    "label",
    "stream",
    "source",
    "start_s",
    "end_s",
    "peak",
    "peak_s",
    "ended",
    "began_at",
    "clip",
)
"""Fields of an event, in their order; docs/cli.md says what they mean."""


def event_record(news: EventNews) -> dict[str, Any]:
    """The fields of an event; times in thousandths of a second."""
    event = news.change.event
    values = (
        news.change.kind,
        event.id,
        event.label,
        event.stream,
        event.source,
        _thousandths(event.start_s),
        _thousandths(event.end_s),
        round(event.peak, 6),
        _thousandths(event.peak_s),
        event.ended,
        None if news.began_at_s is None else utc(news.began_at_s),
        news.clip,
    )
    return dict(zip(EVENT_FIELDS, values, strict=True))


def source_record(event: SourceEvent, stream: int, source: str) -> dict[str, Any]:
    """What befell a source, for programs; docs/cli.md says what the fields mean.

    Args:
        event: What happened.
        stream: Number of the source.
        source: Its name, without secrets.
    """
    return {
        "change": event.kind,
        "stream": stream,
        "source": source,
        "time_s": _thousandths(event.time_s),
        "at": utc(event.at_s),
        "delivers": event.delivers,
        "breaks": event.breaks,
        "lasted_s": _thousandths(event.lasted_s),
        "text": event.text,
    }


def utc(at_s: float) -> str:
    """A wall clock time, seconds since 1970, as `2026-01-31T10:15:00.250Z` (ISO 8601)."""
    at = datetime.fromtimestamp(at_s, timezone.utc)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z"


def _thousandths(value_s: float | None) -> float | None:
    return None if value_s is None else round(value_s, 3)
