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
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from runtime.incremental.slots import Key, SlotMap

FrameId = Hashable
"""What tells two frames of a stream apart; never None."""
Rows = NDArray[np.int64]
"""Slots of the stage before, [M, columns]; -1 is outside of the clip."""
_Place = tuple[int, int, int]
"""A row: its slot, the window of the batch, the position in its `ids`."""


class Window(NamedTuple):
    """The frames of a clip.

    Attributes:
        stream: The stream they belong to.
        ids: Identities of frames before, of and after the clip, in time order.
        first: Position in `ids` of the clip's first frame.
    """

    stream: int
    ids: tuple[FrameId, ...]
    first: int = 0


class FreshRows(NamedTuple):
    """Rows of a stage that must be computed, in ascending order of their slots.

    Attributes:
        slots: Where the results belong.
        frames: Of the frame stage: window of the batch and position in its `ids`, by row.
        rows: Of a shifted stage: what each row reads, [M, len(offsets)]; None of the frame stage.
    """

    slots: list[int]
    frames: list[tuple[int, int]]
    rows: Rows | None


class Plan(NamedTuple):
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
        self._batch = 0
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
        self._batch += 1
        known = [
            _KnownRows(slots, level, windows, self._frames, self._batch)
            for level, slots in zip(self._levels, self._maps, strict=True)
        ]
        wanted: list[Iterable[int]] = [
            range(window.first, window.first + self._frames) for window in windows
        ]
        added: list[list[_Place]] = []
        for rows, level in zip(reversed(known), reversed(self._levels), strict=True):
            fresh = rows.add(wanted)
            added.append(fresh)
            wanted = _read_by(fresh, level.offsets, windows)
        added.reverse()
        reads = [None, *known[:-1]]
        return Plan(
            fresh=tuple(
                FreshRows(
                    slots=[slot for slot, _, _ in fresh],
                    frames=[(w, position) for _, w, position in fresh],
                    rows=None if read is None else read.slots_read(fresh, level.offsets),
                )
                for fresh, level, read in zip(added, self._levels, reads, strict=True)
            ),
            rows=known[-1].slots_of_clips(windows, self._frames),
        )

    def _admit(self, windows: Sequence[Window]) -> None:
        """Make room for the streams of a batch."""
        for window in windows:
            self._streams[window.stream] = None
            self._streams.move_to_end(window.stream)
        while len(self._streams) > self._most_streams:
            self.forget(next(iter(self._streams)))


class _KnownRows:
    """The rows of a level that the clips of a batch may need, and the slots of those that exist.

    Args:
        slots: Of the level.
        level: Which.
        windows: Of the batch.
        frames: Frames of a clip.
        batch: Number of the batch.
    """

    def __init__(
        self, slots: SlotMap, level: Level, windows: Sequence[Window], frames: int, batch: int
    ) -> None:
        self._slots = slots
        self._batch = batch
        self._clips: list[tuple[int, int, Sequence[Key], list[int]]] = []
        for stream, ids, first in windows:
            start = max(0, first + level.margin_low)
            end = min(len(ids), first + frames + level.margin_high)
            keys = _keys(ids, level, start, end)
            self._clips.append((stream, start, keys, slots.find(stream, keys, batch)))

    def add(self, wanted: Sequence[Iterable[int]]) -> list[_Place]:
        """Give a slot to every wanted row that has none.

        Args:
            wanted: Positions by window.

        Returns:
            The rows that were added, by slot.
        """
        added: list[_Place] = []
        slots, batch = self._slots, self._batch
        for w, ((stream, start, keys, places), positions) in enumerate(
            zip(self._clips, wanted, strict=True)
        ):
            missing: dict[Key, list[int]] = {}
            for position in positions:
                if places[position - start] < 0:
                    missing.setdefault(keys[position - start], []).append(position)
            if not missing:
                continue
            fresh = list(missing)
            if w:  # a window before may have added some
                found = slots.find(stream, fresh, batch)
                for key, slot in zip(fresh, found, strict=True):
                    if slot >= 0:
                        for position in missing.pop(key):
                            places[position - start] = slot
            given = slots.add(stream, list(missing), batch)
            for slot, same in zip(given, missing.values(), strict=True):
                for position in same:
                    places[position - start] = slot
                added.append((slot, w, same[0]))
        added.sort()
        return added

    def slots_read(self, rows: Sequence[_Place], offsets: tuple[int, ...]) -> Rows:
        """What rows of the next level read, [M, len(offsets)]; -1 beyond the known frames."""
        slots = []
        for _, w, position in rows:
            _, start, _, places = self._clips[w]
            at = position - start
            slots.append([places[at + o] if 0 <= at + o < len(places) else -1 for o in offsets])
        return np.array(slots, np.int64)

    def slots_of_clips(self, windows: Sequence[Window], frames: int) -> Rows:
        """The rows of every clip, [N, T]."""
        return np.array(
            [
                places[window.first - start : window.first - start + frames]
                for window, (_, start, _, places) in zip(windows, self._clips, strict=True)
            ],
            np.int64,
        )


def _keys(ids: tuple[FrameId, ...], level: Level, start: int, end: int) -> Sequence[Key]:
    """Keys of the rows of a level at the positions from `start` to before `end`."""
    if not level.offsets:
        return ids[start:end]
    outside = (None,)
    padded = outside * -level.low + ids + outside * level.high
    width = level.high - level.low + 1
    return [padded[position : position + width] for position in range(start, end)]


def _read_by(
    rows: Sequence[_Place], offsets: tuple[int, ...], windows: Sequence[Window]
) -> list[Iterable[int]]:
    """Positions, by window, that rows read of the level before."""
    read: list[dict[int, None]] = [{} for _ in windows]
    for _, w, position in rows:
        last = len(windows[w].ids) - 1
        for offset in offsets:
            if 0 <= position + offset <= last:
                read[w][position + offset] = None
    return [*read]
