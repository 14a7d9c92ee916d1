"""How a run ended, and what became of every frame of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from runtime.feed import Stream

EndReason = Literal["ended", "stopped", "limit", "event", "failed"]
"""The sources ended; Ctrl-C, SIGTERM or the window of `--show`; `--max-windows`; `--until`; an
error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamEnd:
    """What became of the frames of a stream.

    `received` is the sum of all others but `windows` and `gaps`.

    Attributes:
        windows: Results.
        gaps: Times that its windows began anew.
        received: Pictures that came from the source.
        used: In a window.
        unused: Wanted for a window that was never complete.
        watched: For films, pages and the like only.
        waiting: Not looked at when the run ended.
        skipped: Needed by nobody.
        dropped: Nobody had time for them.
        broken: Could not be decoded.
    """

    windows: int
    gaps: int
    received: int
    used: int
    unused: int
    watched: int
    waiting: int
    skipped: int
    dropped: int
    broken: int

    @classmethod
    def of(cls, stream: Stream, *, windows: int, gaps: int) -> StreamEnd:
        """Of a stream whose source is closed."""
        counts, account = stream.source.counts, stream.account
        return cls(
            windows=windows,
            gaps=gaps,
            received=counts.received,
            used=account.used,
            unused=account.unused,
            watched=account.only_watched,
            waiting=account.left,
            skipped=counts.skipped,
            dropped=counts.dropped,
            broken=counts.broken,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnd:
    """The end of a run.

    Attributes:
        reason: Why it ended.
        seconds: How long it took.
        streams: Of each, in the order of their numbers.
    """

    reason: EndReason
    seconds: float
    streams: tuple[StreamEnd, ...]


def end_record(end: RunEnd, sources: Sequence[str]) -> dict[str, Any]:
    """The end of a run for programs; docs/cli.md says what the fields mean.

    Args:
        end: What is known.
        sources: Names, without secrets.
    """
    return {
        "reason": end.reason,
        "seconds": round(end.seconds, 3),
        "windows": sum(stream.windows for stream in end.streams),
        "streams": [
            {"source": source, **{name: getattr(stream, name) for name in stream.__slots__}}
            for source, stream in zip(sources, end.streams, strict=True)
        ],
    }
