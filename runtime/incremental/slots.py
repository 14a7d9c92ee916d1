"""Which row lies in which slot of a cache: so many for each stream, the longest unused go first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Mapping

Key = Hashable
"""What determines the content of a row, within its stream."""


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
        self._rows: dict[int, OrderedDict[Key, int]] = {}

    def get(self, stream: int, key: Key) -> int | None:
        """Slot of a row; None when it is not kept."""
        rows = self._rows.get(stream)
        return None if rows is None else rows.get(key)

    def touch(self, stream: int, keys: Mapping[int, Key]) -> dict[int, int]:
        """Note that rows, as far as they are kept, were used last.

        Args:
            stream: Theirs.
            keys: By any number, such as a position.

        Returns:
            Slots of those that are kept, by the same numbers.
        """
        rows = self._rows.get(stream)
        if rows is None:
            return {}
        kept = {}
        for number, key in keys.items():
            slot = rows.get(key)
            if slot is not None:
                rows.move_to_end(key)
                kept[number] = slot
        return kept

    def add(self, stream: int, key: Key) -> int:
        """Slot for a row that is not kept, taken from the stream's longest unused one if need be.

        At most `quota` rows of a stream may be touched or added before their slots are read.
        """
        rows = self._rows.setdefault(stream, OrderedDict())
        slot = rows.popitem(last=False)[1] if len(rows) >= self._quota else self._free.pop()
        rows[key] = slot
        return slot

    def forget(self, stream: int) -> None:
        """Give the slots of a stream back."""
        rows = self._rows.pop(stream, None)
        if rows:
            self._free.extend(rows.values())
            self._free.sort(reverse=True)  # the lowest go first, so that new rows lie together
