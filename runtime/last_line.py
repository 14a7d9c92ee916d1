"""The answer of a process that engines may have chattered in."""

from __future__ import annotations

import json
from typing import Any


def object_of_last_line(text: str) -> dict[str, Any] | None:
    """The JSON object that the last line is; None if it is none."""
    try:
        answer: Any = json.loads((text.strip().splitlines() or [""])[-1])
    except ValueError:
        return None
    return answer if isinstance(answer, dict) else None
