"""What the page is told, as JSON in server-sent events."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from runtime.serve.board import BoardEvent, LiveBoard, Point

STALLED_S = 30.0
"""Without a frame for so long a live stream counts as stalled."""


@dataclass(slots=True)
class Reader:
    """How far one page has read; all that is kept for it.

    A page that was too slow for the history misses what fell out of it: nothing queues up.

    Attributes:
        points: Number of the last prediction told, by stream.
        event: Number of the last event told.
    """

    points: dict[int, int] = field(default_factory=dict)
    event: int = 0

    def news(self, board: LiveBoard) -> dict[str, object] | None:
        """Predictions and events since the last call; None if there are none."""
        points = {}
        for stream in range(board.stream_count):
            found = board.points_after(stream, self.points.get(stream, 0))
            if found:
                self.points[stream] = found[-1].number
                points[str(stream)] = [_point(one) for one in found]
        self.event, events = board.events_after(self.event)
        if not points and not events:
            return None
        return {"points": points, "events": [_event(one) for one in events]}


def opening(board: LiveBoard) -> dict[str, object]:
    """What the page needs before anything else."""
    return {
        "model": board.facts.model,
        "engine": board.facts.engine,
        "version": board.facts.version,
        "window_s": _number(board.facts.window_s),
        "started_at_s": _number(board.started_at_s),
        "picture_rate": _number(board.picture_rate),
        "streams": [
            {"name": facts.name, "live": facts.live}
            for facts in (board.now(stream).facts for stream in range(board.stream_count))
        ],
    }


def state(board: LiveBoard) -> dict[str, object]:
    """Counters and states of all streams."""
    streams = []
    for stream in range(board.stream_count):
        now = board.now(stream)
        streams.append(
            {
                "name": now.facts.name,
                "live": now.facts.live,
                "status": stream_status(board, stream),
                "text": now.text,
                "known": now.known,
                "frames": now.counts.received,
                "dropped": now.counts.dropped,
                "skipped": now.counts.skipped,
                "broken": now.counts.broken,
                "predictions": now.tally.predictions,
                "resets": now.tally.resets,
                "since_frame_s": _number(now.since_frame_s),
            }
        )
    level, text = board.level()
    return {
        "uptime_s": _number(board.uptime_s),
        "level": level,
        "level_text": text,
        "streams": streams,
    }


def stream_status(board: LiveBoard, stream: int) -> str:
    """One word: "live", "waiting" (no frame yet), "interrupted", "stalled" or "ended"."""
    now = board.now(stream)
    if board.closed:
        return "ended"
    if not now.ok:
        return "interrupted"
    silent_s = board.uptime_s if now.since_frame_s is None else now.since_frame_s
    if silent_s > STALLED_S:
        return "stalled"
    return "waiting" if now.since_frame_s is None else "live"


def healthy(board: LiveBoard) -> bool:
    """Whether at least one stream delivers, or has had little time for it."""
    return any(
        stream_status(board, stream) in ("live", "waiting") for stream in range(board.stream_count)
    )


def message(name: str, value: Mapping[str, object]) -> bytes:
    """One server-sent event."""
    return f"event: {name}\ndata: {as_json(value)}\n\n".encode()


def as_json(value: Mapping[str, object]) -> str:
    """JSON on one line, of ASCII characters."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def _point(point: Point) -> dict[str, object]:
    return {
        "n": point.number,
        "at": _number(point.at_s),
        "start": _number(point.start_s),
        "end": _number(point.end_s),
        "top": [[one.label, _number(one.probability, digits=4)] for one in point.top],
        "age": _number(point.age_ms, digits=1),
        "infer": _number(point.infer_ms, digits=1),
        "latency": _number(point.latency_ms, digits=1),
    }


def _event(event: BoardEvent) -> dict[str, object]:
    return {
        "id": event.id,
        "stream": event.stream,
        "kind": event.kind,
        "label": event.label,
        "at": _number(event.at_s),
        "start": _number(event.start_s),
        "end": _number(event.end_s),
        "peak": _number(event.peak, digits=4),
        "text": event.text,
    }


def _number(value: float | None, *, digits: int = 3) -> float | None:
    """JSON knows neither NaN nor infinity."""
    return None if value is None or not math.isfinite(value) else round(value, digits)
