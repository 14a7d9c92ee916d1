"""`--max-latency` and `--fallback` of `edgecls run`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from models.errors import UsageError

MaxLatencyOption = Annotated[
    str | None,
    typer.Option(
        "--max-latency",
        metavar="TIME",
        show_default="no limit",
        help="Do less while results of live sources are older than this, e.g. 300ms: fewer"
        " windows, then INT8, then --fallback; and more again when there is room.",
    ),
]

FallbackOption = Annotated[
    Path | None,
    typer.Option(
        "--fallback",
        metavar="BUNDLE",
        show_default=False,
        help="A model of fewer frames and the same labels, for --max-latency.",
    ),
]

_TIME = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)\s*(ms|s)", re.ASCII)
_LEAST_MS, _MOST_MS = 1.0, 3_600_000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DegradeRequest:
    """What is to be done about late results.

    Attributes:
        limit_ms: Age of results above which they are late.
        fallback: Bundle of the cheapest model; None for none.
    """

    limit_ms: float
    fallback: Path | None = None


def degrade_asked(max_latency: str | None, fallback: Path | None) -> DegradeRequest | None:
    """What the two options ask for; None for nothing.

    Raises:
        UsageError: A time that is none, or a fallback without a limit.
    """
    if max_latency is None:
        if fallback is not None:
            raise UsageError(
                "--fallback is the model for when results are older than --max-latency, which was"
                " not given.",
                hint=f"--max-latency 300ms --fallback {fallback}",
            )
        return None
    found = _TIME.fullmatch(max_latency.strip())
    limit_ms = float(found[1]) * (1.0 if found[2] == "ms" else 1000.0) if found else 0.0
    if not _LEAST_MS <= limit_ms <= _MOST_MS:
        raise UsageError(
            f"--max-latency takes a time with its unit, from 1ms to 3600s, got {max_latency!r}.",
            hint="--max-latency 300ms   (or 0.3s)",
        )
    return DegradeRequest(limit_ms=limit_ms, fallback=fallback)
