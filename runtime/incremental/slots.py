"""Which row lies in which slot of a cache: so many for each stream, the longest unused go first."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

Key = Hashable
"""What determines the content of a row, within its stream."""


@dataclass(slots=True)
class _Stream:
    """Slots of a stream by key; by slot the key, and the batch that used it last."""

    slots: dict[Key, int] = field(default_factory=dict)
    used: dict[int, tuple[int, Key]] = field(default_factory=dict)


class SlotMap:
    """Slots of one cache by stream and key.

    Every stream has `quota` slots at most, so that a busy one cannot displace the rows of a quiet
    one. Slots are numbered from 0 to `streams * quota - 1` and belong to no stream in particular.

    Args:
        quota: Most rows of a stream.
        streams: Most streams at a time.
    """

    def __init__(self, *, quota: int, streams: int) -> None:
        self._quota = quota
        self._free = list(range(quota * streams - 1, -1, -1))
        self._streams: dict[int, _Stream] = {}

    def find(self, stream: int, keys: Sequence[Key], batch: int) -> list[int]:
        """Slots of rows, -1 for those that are not kept; the others are used in this batch."""
        rows = self._streams.get(stream)
        if rows is None:
            return [-1] * len(keys)
        slots, used = rows.slots, rows.used
        found = [slots.get(key, -1) for key in keys]
        for slot, key in zip(found, keys, strict=True):
            if slot >= 0:
                used[slot] = (batch, key)
        return found

    def add(self, stream: int, keys: Sequence[Key], batch: int) -> list[int]:
        """Slots for rows that are not kept, used in this batch.

        Once the stream has `quota` rows, those that were not used in this batch go, the longest
        unused first. A batch uses at most `quota` rows of a stream.

        Args:
            stream: Theirs.
            keys: All different.
            batch: Number of the batch; numbers grow.
        """
        rows = self._streams.setdefault(stream, _Stream())
        room = self._quota - len(rows.slots)
        given = [self._free.pop() for _ in keys[:room]]
        if len(given) < len(keys):
            unused = sorted((last, slot) for slot, (last, _) in rows.used.items() if last != batch)
            for _, slot in unused[: len(keys) - len(given)]:
                del rows.slots[rows.used[slot][1]]
                given.append(slot)
        for slot, key in zip(given, keys, strict=True):
            rows.slots[key] = slot
            rows.used[slot] = (batch, key)
        return given

    def forget(self, stream: int) -> None:
        """Give the slots of a stream back."""
        rows = self._streams.pop(stream, None)
        if rows:
            self._free.extend(rows.slots.values())
            self._free.sort(reverse=True)  # the lowest go first, so that new rows lie together
