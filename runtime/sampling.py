"""Cut a stream of timed frames into windows and choose the frames the network sees.

Pure: no clock, no threads, no decoder. Windows are counted in seconds of the frames' own times,
so frames that a live source had to drop do not stretch a window.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Literal

import numpy as np

from models.errors import UsageError
from runtime.records import Clip, Frame
from runtime.timestamps import FALLBACK_FPS

EPSILON_S = 1e-6
"""Slack of every comparison with a window's edge: far above float error, far below a frame."""

_INTERVALS_KEPT = 63

SegmentFrame = Literal["centre", "left"]
"""Values of `ClipSpec.segment_frame`."""

DENSE_CLIPS = 10
"""Clips of a file in dense testing."""

DENSE_SPAN = 64
"""Frames of the video that one of them is spread over."""


def segment_centres(available: int, segments: int) -> tuple[int, ...]:
    """Indices of the centre frames of equal segments, exactly as PaddleVideo takes them.

    With n frames and T segments: n >= T gives `i * (n // T) + (n // T - 1) // 2`, so the tail
    of n % T frames is never looked at; n < T repeats the frames in turn, `i % n`.
    131 frames, 8 segments: 7, 23, 39, 55, 71, 87, 103, 119. 3 frames, 8 segments:
    0, 1, 2, 0, 1, 2, 0, 1.

    Args:
        available: Number of frames n, at least 1.
        segments: Number of segments T, at least 1.

    Raises:
        ValueError: Either is below 1.
    """
    _check_counts(available, segments)
    if available < segments:
        return tuple(i % available for i in range(segments))
    average = available // segments
    return tuple(i * average + (average - 1) // 2 for i in range(segments))


def segment_lefts(available: int, segments: int) -> tuple[int, ...]:
    """Indices as PaddleVideo takes them with `select_left`: segments of fractional length.

    With n frames and T segments: n > T gives `int(n / T / 2 + n / T * i)`, so the tail counts
    too; n <= T gives the first frame T times. The float arithmetic is the reference's, in its
    order: of 30 frames and 25 segments the middle one is 14, where exact arithmetic gives 15.
    131 frames, 8 segments: 8, 24, 40, 57, 73, 90, 106, 122. 9 frames, 8 segments:
    0, 1, 2, 3, 5, 6, 7, 8. 8 frames, 8 segments: 0, 0, 0, 0, 0, 0, 0, 0.

    Args:
        available: Number of frames n, at least 1.
        segments: Number of segments T, at least 1.

    Raises:
        ValueError: Either is below 1.
    """
    _check_counts(available, segments)
    if available <= segments:
        return (0,) * segments
    average = available / segments
    return tuple(int(average / 2.0 + average * i) for i in range(segments))


SEGMENT_RULES: dict[SegmentFrame, Callable[[int, int], tuple[int, ...]]] = {
    "centre": segment_centres,
    "left": segment_lefts,
}
"""The rules of `ClipSpec.segment_frame`."""


def segment_frames(available: int, segments: int, *, rule: SegmentFrame) -> tuple[int, ...]:
    """Indices of the frames that a rule takes, one of each segment.

    131 frames, 3 segments: 21, 64, 107 by `centre`, 21, 65, 109 by `left`.

    Args:
        available: Number of frames, at least 1.
        segments: Number of segments, at least 1.
        rule: Which frame of a segment.

    Raises:
        ValueError: A number is below 1.
    """
    return SEGMENT_RULES[rule](available, segments)


def dense_starts(available: int) -> tuple[int, ...]:
    """First frames of the ten clips of dense testing, evenly from 0 to n - 64.

    `numpy.linspace` with whole numbers, as PaddleVideo has it, which rounds down: 131 frames
    give 0, 7, 14, 22, 29, 37, 44, 52, 59, 67. Up to 64 frames give 0 ten times.

    Args:
        available: Number of frames n, at least 1.

    Raises:
        ValueError: It is below 1.
    """
    _check_counts(available, 1)
    last = max(0, available - DENSE_SPAN)
    return tuple(np.linspace(0, last, num=DENSE_CLIPS, dtype=int).tolist())


def dense_frames(available: int, segments: int) -> tuple[tuple[int, ...], ...]:
    """Indices of the ten clips of dense testing, as PaddleVideo takes them for PP-TSM.

    From each of `dense_starts` on, T frames are taken `64 // T` apart; a video of less than 64
    frames is gone through again from its start: `(start + i * (64 // T)) % n`. 131 frames,
    8 segments: 0, 8, …, 56, then 7, 15, …, 63, and at last 67, 75, …, 123. 40 frames,
    8 segments: ten times 0, 8, 16, 24, 32, 0, 8, 16.

    Args:
        available: Number of frames n, at least 1.
        segments: Frames per clip T, 1 to 64.

    Returns:
        Ten tuples of T indices.

    Raises:
        ValueError: A number is out of range.
    """
    _check_counts(available, segments)
    if segments > DENSE_SPAN:
        raise ValueError(f"Cannot choose {segments} frames of {DENSE_SPAN} without repeating one.")
    stride = DENSE_SPAN // segments
    return tuple(
        tuple((start + i * stride) % available for i in range(segments))
        for start in dense_starts(available)
    )


def _check_counts(available: int, segments: int) -> None:
    if available < 1 or segments < 1:
        raise ValueError(f"Cannot choose {segments} frames of {available}.")


@dataclass(frozen=True, slots=True)
class WindowSpec:
    """Length and spacing of the windows.

    Attributes:
        length_s: Seconds of video that one prediction is about.
        stride_s: Seconds from one window's start to the next. Smaller than `length_s`:
            windows overlap; larger: video between them is not looked at.
    """

    length_s: float
    stride_s: float

    def __post_init__(self) -> None:
        for name, value_s in (("window", self.length_s), ("stride", self.stride_s)):
            if not (math.isfinite(value_s) and 0.001 <= value_s <= 86400):
                raise UsageError(
                    f"The {name} must be from 0.001 s to 86400 s long, got {value_s} s.",
                    hint="For example: --window 2 --stride 0.5",
                )


class FrameInterval:
    """Median time between the newest frames; robust against gaps and doubled frames."""

    def __init__(self) -> None:
        self._steps: deque[float] = deque(maxlen=_INTERVALS_KEPT)
        self._last_s: float | None = None

    def push(self, time_s: float) -> None:
        """Take note of a frame's time, in seconds."""
        if self._last_s is not None and time_s > self._last_s:
            self._steps.append(time_s - self._last_s)
        self._last_s = time_s

    @property
    def seconds(self) -> float:
        """The interval in seconds; 0.04 while fewer than two distinct times are known."""
        return median(self._steps) if self._steps else 1.0 / FALLBACK_FPS


class ClipSampler:
    """Give out a clip for every window, as soon as the window is over.

    Window k covers [t0 + k * stride, t0 + k * stride + length), t0 being the time of the first
    frame; starts are multiplied out, never summed up, so they do not drift. Of the n frames
    inside, `segment_frames(n, segments)` are taken. A window without frames (a gap) gives no
    clip, but its number is used up; so is that of a window that a new epoch of the source breaks.

    Length 1 s, stride 0.5 s, frames at 0.00, 0.25, …, 2.25: the frame at 1.00 completes window 0
    (frames 0.00 to 0.75), 1.50 completes window 1 (0.50 to 1.25), 2.00 window 2; `finish`
    completes window 3 ([1.5, 2.5)), since the last frame lasts until 2.5.

    Memory: frames of one window; those before the next window's start are let go.

    Args:
        window: Length and stride.
        segments: Frames per clip, T.
        rule: Which frame of a segment is taken.

    Attributes:
        take_every: Of the windows, only those whose number is a multiple of this are given out.
            May change at any time.
    """

    def __init__(self, window: WindowSpec, segments: int, *, rule: SegmentFrame) -> None:
        if segments < 1:
            raise ValueError(f"A clip needs at least 1 frame, got {segments}.")
        self._window = window
        self._segments = segments
        self._rule = rule
        self.take_every = 1
        self.reset()

    def reset(self) -> None:
        """Forget everything; the next frame sets a new t0."""
        self._pending: deque[Frame] = deque()
        self._interval = FrameInterval()
        self._origin_s: float | None = None
        self._last_s = 0.0
        self._next = 0
        self._epoch: int | None = None
        self._resets = 0

    @property
    def gaps(self) -> int:
        """Windows on their own know no gaps."""
        return 0

    def wanted(self, time_s: float) -> bool:
        """Every frame is wanted: which are taken depends on how many there are."""
        return True

    def due(self, time_s: float) -> bool:
        """Every frame is of use."""
        return True

    def push(self, frame: Frame) -> tuple[Clip, ...]:
        """Take the next frame.

        Args:
            frame: Its `time_s` must not be before that of the frame pushed last.

        Returns:
            A clip for each window that ended at or before this frame, in order; usually none.

        Raises:
            ValueError: Time ran backwards (`TimestampRepair` in front prevents that).
        """
        if self._origin_s is None:
            self._origin_s = frame.time_s
        elapsed_s = frame.time_s - self._origin_s
        if not elapsed_s >= self._last_s:
            raise ValueError(
                f"Frame {frame.index} at {frame.time_s} s came after one at"
                f" {self._origin_s + self._last_s} s; times must not decrease."
            )
        clips = self._complete_until(elapsed_s + EPSILON_S)
        if self._epoch is not None and frame.epoch != self._epoch:
            self._resets += 1
            self._pending.clear()
            started = math.ceil((elapsed_s - EPSILON_S) / self._window.stride_s)
            self._next = max(self._next, started)
        self._epoch = frame.epoch
        if not self._pending:
            self._skip_windows_before(elapsed_s)
        if elapsed_s >= self._start_s(self._next) - EPSILON_S:
            self._pending.append(frame)
        self._last_s = elapsed_s
        self._interval.push(frame.time_s)
        return clips

    def finish(self) -> tuple[Clip, ...]:
        """Close the stream, and start anew as after `reset`.

        The last frame lasts one frame interval (the median of the newest ones). Windows that end
        by then, give or take half an interval, are complete. A stream shorter than its first
        window gives one clip of all its frames.

        Returns:
            The remaining clips, in order; none for an empty stream.
        """
        interval_s = self._interval.seconds
        end_s = self._last_s + interval_s
        clips = self._complete_until(end_s + interval_s / 2)
        if self._next == 0 and self._pending and not self._resets:
            clips = (self._clip(end_s),)
        self.reset()
        return clips

    def _complete_until(self, elapsed_s: float) -> tuple[Clip, ...]:
        clips = []
        while self._pending and self._end_s(self._next) <= elapsed_s:
            if self._next % self.take_every == 0:
                clips.append(self._clip(self._end_s(self._next)))
            self._next += 1
            edge_s = self._start_s(self._next) - EPSILON_S
            while self._pending and self._since_origin_s(self._pending[0]) < edge_s:
                self._pending.popleft()
        return tuple(clips)

    def _skip_windows_before(self, elapsed_s: float) -> None:
        """Move on to the first window that is not over yet; arithmetic, for gaps of any length."""
        length_s, stride_s = self._window.length_s, self._window.stride_s
        guess = math.floor((elapsed_s - length_s) / stride_s) - 1
        self._next = max(self._next, guess)
        while self._end_s(self._next) <= elapsed_s + EPSILON_S:
            self._next += 1

    def _clip(self, end_s: float) -> Clip:
        """The clip of all pending frames; `end_s` counts from t0."""
        origin_s = self._origin_s or 0.0
        chosen = segment_frames(len(self._pending), self._segments, rule=self._rule)
        frames = list(self._pending)
        return Clip(
            frames=tuple(frames[i] for i in chosen),
            start_s=origin_s + self._start_s(self._next),
            end_s=origin_s + end_s,
            available=len(frames),
            index=self._next,
            arrived_s=frames[-1].arrived_s,
            resets=self._resets,
        )

    def _since_origin_s(self, frame: Frame) -> float:
        return frame.time_s - (self._origin_s or 0.0)

    def _start_s(self, index: int) -> float:
        return index * self._window.stride_s

    def _end_s(self, index: int) -> float:
        return index * self._window.stride_s + self._window.length_s
