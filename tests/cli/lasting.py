"""What a run says that does not depend on when and how fast it ran."""

from __future__ import annotations

import json
from typing import Any

from tests.cli.in_process import Done


def lasting(done: Done) -> list[dict[str, Any]]:
    """JSON lines without times of day, latencies, and the names of the sources."""
    assert done.code == 0, done.err
    lines = [json.loads(line) for line in done.out.splitlines()]
    lines = [line for line in lines if line["type"] != "header"]
    for line in lines:
        for name in ("source", "latency_ms", "frame_age_ms", "at", "began_at", "seconds", "reason"):
            line.pop(name, None)
        for stream in line.get("streams", ()):
            del stream["source"]
    return lines
