"""Sizes of files: in words, and as people write them."""

from __future__ import annotations

import re

from models.errors import UsageError

_WRITTEN = re.compile(
    r"([0-9]{1,12}(?:\.[0-9]{1,6})?)\s*(k|m|g|t)?(i?)b?", re.ASCII | re.IGNORECASE
)


def size_in_words(size_bytes: int) -> str:
    """E.g. "24.1 MB", "1.4 kB", "12 bytes"."""
    if size_bytes < 1000:
        return f"{size_bytes} bytes"
    for unit, factor in (("kB", 1e3), ("MB", 1e6)):
        if size_bytes < 999.95 * factor:
            return f"{size_bytes / factor:.1f} {unit}"
    return f"{size_bytes / 1e9:.1f} GB"


def bytes_from_text(text: str, *, option: str) -> int:
    """Read a size: `10GB`, `500 MB`, `1.5TB`, `2GiB`; a unit is needed.

    Args:
        text: As the user wrote it.
        option: Where, for the message.

    Raises:
        UsageError: It is none, or 0.
    """
    match = _WRITTEN.fullmatch(text.strip())
    if match is None or match[2] is None:
        raise UsageError(
            f"{option} takes a size with its unit, such as 500MB or 10GB; got {text!r}.",
            hint=f"{option} 10GB",
        )
    factor = 1024 if match[3] else 1000
    size = float(match[1]) * factor ** ("kmgt".index(match[2].lower()) + 1)
    if size < 1:
        raise UsageError(f"{option} must be more than 0, got {text!r}.", hint=f"{option} 10GB")
    return int(size)
