"""An event as JSON, the same in every output."""

from __future__ import annotations

from typing import Any

from runtime.events import EventChange

EVENT_FIELDS = (
    "kind",
    "id",
    "label",
    "source",
    "stream",
    "start_s",
    "end_s",
    "peak",
    "peak_s",
    "ended",
    "clip",
)
"""Fields of an event, in their order; docs/cli.md says what they mean."""


def event_record(change: EventChange, *, clip: str | None = None) -> dict[str, Any]:
    """The fields of an event; times in thousandths of a second.

    Args:
        change: What happened to it.
        clip: File name of its recording, if there is one.
    """
    event = change.event
    values = (
        change.kind,
        event.id,
        event.label,
        event.source,
        event.stream,
        _thousandths(event.start_s),
        _thousandths(event.end_s),
        round(event.peak, 6),
        _thousandths(event.peak_s),
        event.ended,
        clip,
    )
    return dict(zip(EVENT_FIELDS, values, strict=True))


def _thousandths(value_s: float | None) -> float | None:
    return None if value_s is None else round(value_s, 3)
