"""Where the points of the grid of sliding windows lie, for a window and a stride."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from models.errors import UsageError
from runtime.sampling import EPSILON_S, WindowSpec

GapPolicy = Literal["reset", "hold"]
"""What becomes of the ring when no frame came for a while."""

LEAST_STEP_S = 0.001
"""Least distance of two grid points: far below the interval of any camera."""

_LEAST_GAP_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class GridSpec:
    """Where the points of the grid lie, and which of them complete a window.

    Point n lies at t0 + interval / 2 + n * step, t0 being the time of the first frame. Window k
    covers [t0 + k * stride, t0 + k * stride + length); its frames are those of T points an
    interval apart. With several phases there are that many rings, which take turns.

    2.5 s, 8 frames: the interval is 0.3125 s, and the first window takes the frames at 0.156,
    0.469, …, 2.344 s. A stride of 1 s becomes 0.9375 s, every third point; one of 0.1 s becomes
    0.104 s, three phases.

    Attributes:
        length_s: Seconds of a window.
        frames: Frames per window T.
        phases: Rings that take turns; 1 when the stride is an interval or more.
        every: Points from one window to the next; 1 when there are several phases.
        gap_after_s: Seconds without a frame that count as a gap.
        gap: `reset` empties the ring; `hold` lets the frame before the gap stand in for it.
    """

    length_s: float
    frames: int
    phases: int
    every: int
    gap_after_s: float
    gap: GapPolicy

    @property
    def interval_s(self) -> float:
        """Seconds between two frames of a window."""
        return self.length_s / self.frames

    @property
    def step_s(self) -> float:
        """Seconds between two points of the grid."""
        return self.interval_s / self.phases

    @property
    def stride_s(self) -> float:
        """Seconds from one window to the next: that asked for, rounded to the grid."""
        return self.step_s * self.every


def grid_spec(
    frames: int,
    *,
    length_s: float,
    stride_s: float | None = None,
    gap_after_s: float | None = None,
    gap: GapPolicy = "reset",
) -> GridSpec:
    """The grid for a window and a stride.

    Args:
        frames: Frames per window T, at least 1.
        length_s: Seconds of a window.
        stride_s: Seconds from one window to the next, rounded to a whole number of intervals, or
            to a whole fraction of one; None for one interval.
        gap_after_s: Seconds without a frame that count as a gap; None for two intervals, at
            least 1 s.
        gap: See `GridSpec`.

    Raises:
        UsageError: A number is out of range, or the points would lie less than 1 ms apart.
    """
    if frames < 1:
        raise ValueError(f"A window needs at least 1 frame, got {frames}.")
    interval_s = WindowSpec(length_s, length_s).length_s / frames
    wanted_s = interval_s if stride_s is None else WindowSpec(length_s, stride_s).stride_s
    every = phases = 1
    if wanted_s >= interval_s:
        every = _rounded(wanted_s / interval_s)
    else:
        phases = _rounded(interval_s / wanted_s)
    if interval_s / phases < LEAST_STEP_S - EPSILON_S:
        raise UsageError(
            f"A window of {length_s:g} s of {frames} frames, {wanted_s:g} s apart, needs frames"
            f" every {interval_s / phases * 1000:.3f} ms; the least is 1 ms.",
            hint="Give a longer --window or --stride, or --sampling windowed.",
        )
    if gap_after_s is None:
        gap_after_s = max(_LEAST_GAP_S, 2 * interval_s)
    if not 0 < gap_after_s <= 86400:
        raise UsageError(
            f"A gap must be more than 0 s and up to 86400 s long, got {gap_after_s} s.",
            hint="--gap-after 1",
        )
    return GridSpec(
        length_s=length_s,
        frames=frames,
        phases=phases,
        every=every,
        gap_after_s=gap_after_s,
        gap=gap,
    )


def _rounded(value: float) -> int:
    """To the nearest whole number, halves up, at least 1."""
    return max(1, math.floor(value + 0.5))
