"""How long something took."""

from __future__ import annotations

import time


def since_ms(started_s: float) -> float:
    """Milliseconds since a value of `time.perf_counter`."""
    return (time.perf_counter() - started_s) * 1000.0
