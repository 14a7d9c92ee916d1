"""A ring of frames on a fixed grid of times: windows that share all their frames but one.

Pure: no clock, no threads, no decoder. The grid points lie where the centres of the segments of
a window lie, an interval of window / T apart. Each point takes the first frame at or after it;
each point completes a window, once T of them are filled.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

from runtime.grid_spec import GapPolicy, GridSpec, grid_spec
from runtime.records import Clip, Frame
from runtime.sampling import EPSILON_S, FrameInterval, SegmentFrame, segment_frames

__all__ = ["GapPolicy", "GridSampler", "GridSpec", "Neighbours", "grid_spec"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbours:
    """How many points beyond its window a clip is to know the frames of.

    Attributes:
        before: Points before the window.
        after: Points after it; the clip comes as many intervals later.
    """

    before: int = 0
    after: int = 0


@dataclass(frozen=True, slots=True)
class _Placement:
    """Points that a frame fills; none when `last` is before `first`.

    Attributes:
        time_s: Of the frame.
        first: First of the points.
        last: Last of them.
        resets: Times that the ring was emptied before.
        gap: The frame ends a gap over which the one before it is held.
    """

    time_s: float
    first: int
    last: int
    resets: int
    gap: bool


class GridSampler:
    """Give out a clip for every window of a grid, as soon as its last point has a frame.

    Two halves that may live in two threads: `wanted` looks at the time of every frame of the
    source, in order, and says which are needed; `push` takes those. A frame that was wanted and
    never came (a live source dropped it) leaves its points to the next that comes.

    A camera slower than the grid repeats: a frame fills all points since the one before it. Over
    a gap the ring is emptied, and the first window after it lies wholly behind it; or the frame
    before the gap fills the points within, which complete no window. Numbers and times of the
    windows go on as if there had been no gap. A new epoch of the source empties the ring as well.

    Length 1 s, 4 frames, frames at 0.00, 0.04, …: the points are 0.125, 0.375, …; the frames
    taken 0.16, 0.40, 0.64, 0.88, and the last of these completes window 0; that at 1.16 window 1,
    [0.25, 1.25).

    Memory: the frames of one window per phase.

    Args:
        spec: The grid.
        rule: How T frames are chosen from a stream that ends within its first window.
        neighbours: Frames beyond the window that clips are to know.
        short: Want all frames of the first window, so that if the stream ends within it, the
            choice is from all of them. Set it for a file that may be that short.

    Attributes:
        take_every: Of the windows, only those whose number is a multiple of this are given out.
            May change at any time: the ring holds the frames of the others as well.
    """

    def __init__(
        self,
        spec: GridSpec,
        *,
        rule: SegmentFrame,
        neighbours: Neighbours | None = None,
        short: bool = False,
    ) -> None:
        self.spec = spec
        self.take_every = 1
        self._rule = rule
        self._around = neighbours or Neighbours()
        self._short = short
        self._span = (self._around.before + spec.frames + self._around.after) * spec.phases
        # More points than this apart, one of them is used whatever the stride.
        self._reach = max(spec.every, self._span)
        # Of `wanted`:
        self._origin_s: float | None = None
        self._newest_s = 0.0
        self._next = 0
        self._resets = 0
        self._interval = FrameInterval()
        # From `wanted` to `push`; appending and taking from the left are atomic.
        self._placements: deque[_Placement] = deque()
        # Of `push`:
        self._ring: dict[int, Frame] = {}
        self._before: Frame | None = None
        self._undecided = 0
        self._gaps = 0
        self._epoch: int | None = None
        self._resets_told = 0
        self._first_window: list[Frame] = []
        self._given = False

    @property
    def gaps(self) -> int:
        """Gaps so far after which the ring was emptied."""
        return self._resets

    def wanted(self, time_s: float) -> bool:
        """Whether the grid needs the frame of that time; to be asked once for each, in order.

        Args:
            time_s: Not before that of the frame asked for last.

        Raises:
            ValueError: Time ran backwards (`TimestampRepair` in front prevents that).
        """
        first_of_all = self._origin_s is None
        if first_of_all:
            self._origin_s = self._newest_s = time_s
        if not time_s >= self._newest_s:
            raise ValueError(
                f"A frame at {time_s} s came after one at {self._newest_s} s; times must not"
                " decrease."
            )
        silent_s = time_s - self._newest_s
        self._newest_s = time_s
        self._interval.push(time_s)
        last = self._last_point(time_s)
        first = self._next
        gap = silent_s > self.spec.gap_after_s + EPSILON_S
        if gap and self.spec.gap == "reset":
            self._resets += 1
            first = max(first, last)
            gap = False
        self._next = max(first, last + 1)
        # A gap that is over before the next point fills none, and still empties the ring.
        filled = any(self._used(point) for point in range(max(first, last - self._reach), last + 1))
        spare = first_of_all or (self._short and last < self.spec.frames * self.spec.phases)
        if filled or spare:
            self._placements.append(_Placement(time_s, first, last, self._resets, gap))
        return filled or spare

    def due(self, time_s: float) -> bool:
        """Whether `push` has a use for the frame of that time."""
        return bool(self._placements) and self._placements[0].time_s <= time_s

    def push(self, frame: Frame) -> tuple[Clip, ...]:
        """Take a frame that was wanted; one that was not is let go.

        Returns:
            A clip for each window that it completes, in order; usually one or none.
        """
        placed: list[_Placement] = []
        while self._placements and self._placements[0].time_s <= frame.time_s:
            placed.append(self._placements.popleft())
        if not placed:
            return ()
        clips: list[Clip] = []
        newest = placed[-1]
        first = placed[0].first
        if self._epoch is None:
            self._epoch = frame.epoch
        if newest.resets != self._gaps or frame.epoch != self._epoch:
            clips += self._lacking_only_frames_behind()
            self._resets_told += 1
            self._ring.clear()
            self._first_window.clear()
            first = max(first, newest.last)
        elif any(one.gap for one in placed):
            clips += self._lacking_only_frames_behind()
            stand_in = self._before or frame
            for point in range(max(first, newest.last - self._span), newest.last):
                self._fill(point, stand_in)
            first = self._undecided = max(first, newest.last)
        self._gaps, self._epoch, self._before = newest.resets, frame.epoch, frame
        if not self._given and not self._resets_told and (self._short or not self._first_window):
            self._first_window.append(frame)
        for point in range(first, newest.last + 1):
            self._fill(point, frame)
            clips += self._windows_until(point - self._around.after * self.spec.phases)
        if clips:
            self._given = True
            self._first_window.clear()
        return tuple(clips)

    def finish(self) -> tuple[Clip, ...]:
        """Close the stream: what only lacked frames behind it, or all of a stream that is short.

        Returns:
            The windows that only lacked frames behind them; of a stream shorter than its first
            window, one clip of all its frames.
        """
        clips = self._lacking_only_frames_behind()
        short = self._next <= (self.spec.frames - 1) * self.spec.phases
        if short and not (self._given or clips or self._resets or self._resets_told):
            clips = self._of_short_stream()
        self._given = True
        self._ring.clear()
        self._first_window.clear()
        return tuple(clips)

    def _lacking_only_frames_behind(self) -> list[Clip]:
        """The windows that are complete but for the frames after them."""
        if not self._ring:
            return []
        return self._windows_until(next(reversed(self._ring)))

    def _windows_until(self, point: int) -> list[Clip]:
        """The complete windows of which nothing was decided yet, up to that last point."""
        first = max(self._undecided, point + 1 - self._span)
        self._undecided = max(first, point + 1)
        return [clip for one in range(first, point + 1) for clip in self._window_ending(one)]

    def _used(self, point: int) -> bool:
        """Whether a window, or what it is to know around it, has this point."""
        place = point % self.spec.every
        behind = self.spec.frames + self._around.after
        return place < behind or place >= self.spec.every - self._around.before

    def _last_point(self, time_s: float) -> int:
        """Number of the last point at or before a time; negative before the first."""
        elapsed_s = time_s - (self._origin_s or 0.0) - self.spec.interval_s / 2
        return math.floor((elapsed_s + EPSILON_S) / self.spec.step_s)

    def _fill(self, point: int, frame: Frame) -> None:
        if not self._used(point):
            return
        self._ring[point] = frame
        oldest = point - self._span
        while (first := next(iter(self._ring))) <= oldest:
            del self._ring[first]

    def _window_ending(self, point: int) -> list[Clip]:
        """The clip of the window whose last point this is; none when it is not complete."""
        phases, frames = self.spec.phases, self.spec.frames
        first = point - (frames - 1) * phases
        if first < 0 or first % (self.spec.every * self.take_every):
            return []
        ring = self._ring
        points = range(first, point + 1, phases)
        if not all(one in ring for one in points):
            return []
        before = range(first - self._around.before * phases, first, phases)
        after = range(point + phases, point + phases * (self._around.after + 1), phases)
        chosen = tuple(ring[one] for one in points)
        distinct = len({frame.index for frame in chosen})
        index = first // self.spec.every
        start_s = (self._origin_s or 0.0) + first * self.spec.step_s
        return [
            Clip(
                frames=chosen,
                start_s=start_s,
                end_s=start_s + self.spec.length_s,
                available=distinct,
                index=index,
                arrived_s=chosen[-1].arrived_s,
                before=tuple(ring[one] for one in before if one in ring),
                after=tuple(ring[one] for one in after if one in ring),
                held=frames - distinct,
                resets=self._resets_told,
            )
        ]

    def _of_short_stream(self) -> list[Clip]:
        """One clip of what there is of the first window."""
        there = self._first_window
        if not self._short and self._ring:
            phase = [frame for at, frame in self._ring.items() if at % self.spec.phases == 0]
            there = list({frame.index: frame for frame in phase}.values())
        if not there:
            return []
        chosen = segment_frames(len(there), self.spec.frames, rule=self._rule)
        distinct = len({there[i].index for i in chosen})
        return [
            Clip(
                frames=tuple(there[i] for i in chosen),
                start_s=self._origin_s or 0.0,
                end_s=self._newest_s + self._interval.seconds,
                available=len(there),
                index=0,
                arrived_s=there[-1].arrived_s,
                held=self.spec.frames - distinct,
            )
        ]
