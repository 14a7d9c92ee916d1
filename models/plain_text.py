"""Text from outside, made fit for a terminal."""

from __future__ import annotations

_BREAKS = (0x2028, 0x2029)
_DIRECTIONS = (0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
"""They turn the writing round, so that a line reads as another one."""

_UNFIT = dict.fromkeys((*range(32), *range(127, 160), *_BREAKS, *_DIRECTIONS), " ")
_UNFIT |= dict.fromkeys(range(0xD800, 0xE000), "\ufffd")
"""Bytes of file names that are not UTF-8 come as these, and cannot be written."""


def plain(text: str) -> str:
    """One line that does not steer a terminal, whatever a file, a name or a server says."""
    return text.translate(_UNFIT)


def shortened(line: str, longest: int = 2000) -> str:
    """A line with its middle left out where it is too long to be read."""
    if len(line) <= longest:
        return line
    half = longest // 2
    return f"{line[:half]} ... {line[-half:]}"
