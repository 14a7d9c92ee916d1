"""Sizes of files in words."""

from __future__ import annotations


def size_in_words(size_bytes: int) -> str:
    """E.g. "24.1 MB", "1.4 kB", "12 bytes"."""
    if size_bytes < 1000:
        return f"{size_bytes} bytes"
    for unit, factor in (("kB", 1e3), ("MB", 1e6)):
        if size_bytes < 999.95 * factor:
            return f"{size_bytes / factor:.1f} {unit}"
    return f"{size_bytes / 1e9:.1f} GB"
