"""Which rows of which stage must be computed for a batch of clips, and where all of them lie.

A row of a stage is determined by the frames that it depends on: those at the positions t + low to
t + high of its clip, where a position beyond the ends of the clip counts as "outside". So the
tuple of their identities, None for outside, is the key under which the row is kept. Whatever the
clips are, a row is computed if and only if no row of the same key is kept: hops of any length,
repeated and skipped frames, and restarts need no case of their own.

Example: of a clip of 8 frames and a shift by one frame to each side, rows are keyed (None, 1, 2),
(1, 2, 3), ..., (7, 8, None). One frame later, (None, 2, 3), (7, 8, 9) and (8, 9, None) are new.

Nothing here knows of an engine or a picture.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from runtime.incremental.slots import Key, SlotMap

FrameId = Hashable
"""What tells two frames of a stream apart; never None."""
Rows = NDArray[np.int64]
"""Slots of the stage before, [M, columns]; -1 is outside of the clip."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The frames of a clip.

    Attributes:
        stream: The stream they belong to.
        ids: Identities of frames before, of and after the clip, in time order.
        first: Position in `ids` of the clip's first frame.
    """

    stream: int
    ids: tuple[FrameId, ...]
    first: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class FreshRows:
    """Rows of a stage that must be computed, in ascending order of their slots.

    Attributes:
        slots: Where the results belong.
        frames: Of the frame stage: window of the batch and position in its `ids`, by row.
        rows: Of a shifted stage: what each row reads, [M, len(offsets)]; else [M, 0].
    """

    slots: list[int]
    frames: list[tuple[int, int]]
    rows: Rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a batch of windows needs.

    Attributes:
        fresh: Of every stage but the last, in their order.
        rows: Of the window stage: slots of the stage before, [N, T].
    """

    fresh: tuple[FreshRows, ...]
    rows: Rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """A stage that keeps rows.

    Attributes:
        offsets: Positions that a row reads of the stage before, relative to its own; none for the
            frame stage.
        low: First frame that a row depends on, relative to its position: 0 or less.
        high: The last one: 0 or more.
        margin_low: How far before a clip rows are read, where there are frames: 0 or less.
        margin_high: How far after it: 0 or more.
    """

    offsets: tuple[int, ...]
    low: int
    high: int
    margin_low: int
    margin_high: int

    @property
    def margin(self) -> int:
        """Rows that are read beyond those of the clip."""
        return self.margin_high - self.margin_low

    def changed(self, frames: int) -> int:
        """Rows that differ between a clip of so many frames and the one a frame later."""
        return min(frames, 1 + self.high - self.low)


def levels_of(offsets: Sequence[tuple[int, ...]]) -> tuple[Level, ...]:
    """The stages that keep rows, the frame stage first.

    Args:
        offsets: Of every shifted stage, in their order.
    """
    lows = [0, *(min(0, *each) for each in offsets)]
    highs = [0, *(max(0, *each) for each in offsets)]
    low_sums, high_sums = list(accumulate(lows)), list(accumulate(highs))
    return tuple(
        Level(
            offsets=each,
            low=low,
            high=high,
            margin_low=low_sums[-1] - low,
            margin_high=high_sums[-1] - high,
        )
        for each, low, high in zip([(), *offsets], low_sums, high_sums, strict=True)
    )


class Planner:
    """Plans batch after batch; what it plans must be computed before the next one is planned.

    Args:
        levels: Stages that keep rows.
        frames: Frames of a clip, T.
        streams: Streams at a time; a further one takes the place of the longest unused.
        phases: Clips of one stream between which no frames are shared, taken in turns.
        neighbours: Windows may name frames before and after their clip.
    """

    def __init__(
        self,
        levels: tuple[Level, ...],
        *,
        frames: int,
        streams: int = 1,
        phases: int = 1,
        neighbours: bool = False,
    ) -> None:
        self._levels = levels
        self._frames = frames
        self._neighbours = neighbours
        self._most_streams = streams
        self._phases = phases
        self._streams: OrderedDict[int, None] = OrderedDict()
        self._maps = tuple(
            SlotMap(quota=self.quota(level), streams=streams) for level in self._levels
        )

    def quota(self, level: Level) -> int:
        """Slots of a stream: what its clips of all phases can need at once."""
        return (self._frames + (level.margin if self._neighbours else 0)) * self._phases

    def batches(self, windows: Sequence[Window]) -> Iterator[Sequence[Window]]:
        """Cut windows into batches for whose rows there are slots, in the same order."""
        start = 0
        counts: Counter[int] = Counter()
        for end, window in enumerate(windows):
            full = counts[window.stream] == self._phases
            if full or (window.stream not in counts and len(counts) == self._most_streams):
                yield windows[start:end]
                start = end
                counts.clear()
            counts[window.stream] += 1
        if start < len(windows):
            yield windows[start:]

    def forget(self, stream: int) -> None:
        """Drop all that is kept of a stream; nothing happens if it is unknown."""
        self._streams.pop(stream, None)
        for slots in self._maps:
            slots.forget(stream)

    def forget_all(self) -> None:
        """Drop everything that is kept."""
        for stream in list(self._streams):
            self.forget(stream)

    def plan(self, windows: Sequence[Window]) -> Plan:
        """What to compute for a batch as `batches` gives them.

        Returns:
            Its rows count as kept from now on.
        """
        self._admit(windows)
        kept = [
            _KeptRows(windows, level, slots, self._frames)
            for level, slots in zip(self._levels, self._maps, strict=True)
        ]
        clip = range(self._frames)
        wanted = [(w, window.first + t) for w, window in enumerate(windows) for t in clip]
        fresh: list[FreshRows] = []
        for number in range(len(kept) - 1, -1, -1):
            offsets = self._levels[number].offsets
            added = kept[number].add(wanted)
            wanted = [(w, position + offset) for _, w, position in added for offset in offsets]
            fresh.append(
                FreshRows(
                    slots=[slot for slot, _, _ in added],
                    frames=[(w, position) for _, w, position in added],
                    rows=np.empty((len(added), 0), np.int64),
                )
            )
        fresh.reverse()
        for number, level in enumerate(self._levels[1:], start=1):
            reads = [[(w, p + o) for o in level.offsets] for w, p in fresh[number].frames]
            fresh[number] = replace(fresh[number], rows=kept[number - 1].rows(reads))
        last = [[(w, window.first + t) for t in clip] for w, window in enumerate(windows)]
        return Plan(fresh=tuple(fresh), rows=kept[-1].rows(last))

    def _admit(self, windows: Sequence[Window]) -> None:
        """Make room for the streams of a batch."""
        for window in windows:
            self._streams[window.stream] = None
            self._streams.move_to_end(window.stream)
        while len(self._streams) > self._most_streams:
            self.forget(next(iter(self._streams)))


class _KeptRows:
    """The rows of a level that the clips of a batch have: those that are kept, then all."""

    def __init__(
        self, windows: Sequence[Window], level: Level, slots: SlotMap, frames: int
    ) -> None:
        self._windows = windows
        self._slots = slots
        self._keys = [_keys(window, level, frames) for window in windows]
        self._places = [
            slots.touch(window.stream, keys)
            for window, keys in zip(windows, self._keys, strict=True)
        ]

    def add(self, wanted: Sequence[tuple[int, int]]) -> list[tuple[int, int, int]]:
        """Give a slot to every wanted row that has none.

        Args:
            wanted: Window and position; those beyond the known frames are left out.

        Returns:
            Slot, window and position of the rows that were added, by slot. They get their slots
            frame by frame, so that the rows of streams that go in step lie together.
        """
        windows, added = self._windows, []
        missing = [(p - windows[w].first, w) for w, p in wanted if p not in self._places[w]]
        for time, w in sorted(set(missing)):
            position = time + windows[w].first
            key = self._keys[w].get(position)
            if key is None:
                continue
            stream = windows[w].stream
            slot = self._slots.get(stream, key)
            if slot is None:
                slot = self._slots.add(stream, key)
                added.append((slot, w, position))
            self._places[w][position] = slot
        return sorted(added)

    def rows(self, reads: list[list[tuple[int, int]]]) -> Rows:
        """Slots at windows and positions, [M, columns]; -1 beyond the known frames."""
        places = self._places
        return np.array(
            [[places[w].get(position, -1) for w, position in row] for row in reads],
            dtype=np.int64,
        )


def _keys(window: Window, level: Level, frames: int) -> dict[int, Key]:
    """Keys of the rows of a level that a clip may need, by position in `window.ids`."""
    ids = window.ids
    positions = range(
        max(0, window.first + level.margin_low),
        min(len(ids), window.first + frames + level.margin_high),
    )
    if not level.offsets:
        return {position: ids[position] for position in positions}
    outside = (None,)
    padded = outside * -level.low + ids + outside * level.high
    width = level.high - level.low + 1
    return {position: padded[position : position + width] for position in positions}
