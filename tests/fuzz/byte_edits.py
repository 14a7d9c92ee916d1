"""Damage that knows nothing of formats: flipped, lost, doubled and foreign bytes."""

from __future__ import annotations

import struct
from collections.abc import Callable
from random import Random

Edit = Callable[[Random, bytes], bytes]

_BOUNDARIES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1)
_MOST_EDITS = 4


def edit_bytes(rng: Random, content: bytes, *, other: bytes) -> bytes:
    """Damage a file in one to four places.

    Args:
        rng: Decides everything.
        content: The file.
        other: Another file, of which pieces may be put in.
    """
    for _ in range(rng.randint(1, _MOST_EDITS)):
        if not content:
            return content
        if rng.random() < 0.1:
            content = _splice(rng, content, other)
        else:
            content = rng.choice(EDITS)(rng, content)
    return content


def _place(rng: Random, content: bytes) -> int:
    """A position; every third time near the beginning, where headers are."""
    end = len(content) if rng.random() < 0.67 else min(len(content), 256)
    return rng.randrange(end)


def _flip(rng: Random, content: bytes) -> bytes:
    at = _place(rng, content)
    return content[:at] + bytes([content[at] ^ 1 << rng.randrange(8)]) + content[at + 1 :]


def _overwrite(rng: Random, content: bytes) -> bytes:
    at = _place(rng, content)
    count = rng.choice((1, 2, 4, 16, 64))
    return content[:at] + rng.randbytes(count) + content[at + count :]


def _boundary(rng: Random, content: bytes) -> bytes:
    """An integer at a limit of its type, in either byte order."""
    at = _place(rng, content)
    value, size = rng.choice(_BOUNDARIES), rng.choice((1, 2, 4, 8))
    packed = struct.pack("<Q", value)[:size]
    packed = packed if rng.random() < 0.7 else packed[::-1]
    return content[:at] + packed + content[at + size :]


def _delete(rng: Random, content: bytes) -> bytes:
    at = _place(rng, content)
    return content[:at] + content[at + rng.choice((1, 3, 17, 1000)) :]


def _insert(rng: Random, content: bytes) -> bytes:
    at = _place(rng, content)
    return content[:at] + rng.randbytes(rng.choice((1, 5, 300))) + content[at:]


def _double(rng: Random, content: bytes) -> bytes:
    at = _place(rng, content)
    block = content[at : at + rng.choice((1, 20, 2000))]
    return content[:at] + block * rng.choice((2, 3, 50)) + content[at + len(block) :]


def _truncate(rng: Random, content: bytes) -> bytes:
    return content[: _place(rng, content)]


def _fill(rng: Random, content: bytes) -> bytes:
    at, count = _place(rng, content), rng.choice((8, 100, 4000))
    filler = rng.choice((b"\x00", b"\xff", b" ", b"("))
    return content[:at] + filler * len(content[at : at + count]) + content[at + count :]


def _splice(rng: Random, content: bytes, other: bytes) -> bytes:
    """The beginning of one file, the end of another."""
    cut = _place(rng, other) if other else 0
    return content[: _place(rng, content)] + other[cut:]


EDITS: tuple[Edit, ...] = (
    *(_flip, _flip, _overwrite, _overwrite, _boundary, _boundary),
    *(_delete, _insert, _double, _truncate, _fill),
)
"""Small damage is the most likely: large damage is noticed by any parser."""
