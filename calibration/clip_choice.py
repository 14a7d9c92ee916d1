"""Which windows of which videos are calibrated on, and which are held out. Pure; fixed by a seed.

Windows are spread over the videos first and over time second. A video is either calibrated on or
held out, never both; only when there is a single video is its time divided instead.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Part = Literal["calibration", "held_out"]

OVERLAP = 4
"""Windows may start a quarter of a clip's length apart, where video is scarce."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """How many windows.

    Attributes:
        calibration: To read ranges off, at least 1.
        held_out: To compare fp32 and INT8 on, at least 1.
        seed: Fixes the choice.
    """

    calibration: int
    held_out: int
    seed: int

    @property
    def held_out_share(self) -> float:
        """Share of all windows that is held out."""
        return self.held_out / (self.calibration + self.held_out)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """Windows of one video.

    Attributes:
        video: Index of the video.
        windows: Their numbers on the grid of `window_count`, growing.
        part: What they are for.
    """

    video: int
    windows: tuple[int, ...]
    part: Part


def window_count(duration_s: float | None, length_s: float) -> int:
    """Windows on the grid of a video: they start `length_s / OVERLAP` apart, all within it.

    10 s of video and windows of 4 s: starts at 0, 1, …, 6 s, so 7. A video shorter than a window,
    or of unknown length, has one. A video that ends a thousandth early still has its last.

    Args:
        duration_s: Of the video; None when unknown.
        length_s: Of a window.
    """
    if duration_s is None or duration_s <= length_s:
        return 1
    return 1 + math.floor((duration_s - length_s) / (length_s / OVERLAP) + 1e-3)


def divide_videos(labels: Sequence[int | None], wanted: Wanted) -> tuple[tuple[int, Part], ...]:
    """Order the videos by chance and say what each is for.

    The classes take turns, so that the first videos cover as many as possible, and each class is
    divided like the whole. Of a single video nothing can be said: it is given for both parts.

    Args:
        labels: Class of every video; None when unknown.
        wanted: Numbers of windows and the seed.

    Returns:
        Pairs of video and part; every video once, except a single one.
    """
    if len(labels) == 1:
        return ((0, "calibration"), (0, "held_out"))
    generator = random.Random(wanted.seed)
    by_class: dict[int | None, list[int]] = {}
    for video, label in enumerate(labels):
        by_class.setdefault(label, []).append(video)
    for videos in by_class.values():
        generator.shuffle(videos)
    order = sorted(by_class, key=lambda label: (label is None, label or 0))
    parts: dict[int, Part] = {}
    owed = wanted.held_out_share / 2
    for label in order:
        for video in by_class[label]:
            owed += wanted.held_out_share
            parts[video] = "held_out" if owed >= 1.0 else "calibration"
            owed -= owed >= 1.0
    _both_present(parts)
    rounds = max(len(videos) for videos in by_class.values())
    turns = [
        by_class[label][turn]
        for turn in range(rounds)
        for label in order
        if turn < len(by_class[label])
    ]
    return tuple((video, parts[video]) for video in turns)


def _both_present(parts: dict[int, Part]) -> None:
    """With few videos the shares may leave one part empty; the last video then goes over."""
    present = set(parts.values())
    if len(present) == 1:
        last = max(parts)
        parts[last] = "held_out" if present == {"calibration"} else "calibration"


def share_out(wanted: int, capacities: Sequence[int]) -> tuple[int, ...]:
    """Divide a number as evenly as capacities allow; who comes first gets what is left over.

    10 among capacities 1, 9, 9: 1, 5, 4. 10 among 2, 2: 2, 2.

    Args:
        wanted: What is to be divided.
        capacities: Most that each can take.
    """
    shares = [0] * len(capacities)
    left = min(wanted, sum(capacities))
    while left:
        open_ = [place for place, most in enumerate(capacities) if shares[place] < most]
        each = max(1, left // len(open_))
        for place in open_:
            given = min(each, capacities[place] - shares[place], left)
            shares[place] += given
            left -= given
    return tuple(shares)


def spread(count: int, available: int, *, seed: int) -> tuple[int, ...]:
    """Numbers below `available`, one by chance of each of `count` equal stretches, growing.

    Args:
        count: How many, at most `available`.
        available: Windows on the grid.
        seed: Fixes the choice.
    """
    generator = random.Random(seed)
    edges = [index * available // count for index in range(count + 1)]
    return tuple(generator.randrange(low, high) for low, high in itertools.pairwise(edges))


def divide_time(available: int, wanted: Wanted) -> tuple[range, range]:
    """Divide the windows of a single video: its beginning is calibrated on, its end held out.

    Windows that overlap both are left out, where there are enough of them.

    Args:
        available: Windows on the grid, at least 2.
        wanted: Numbers of windows.
    """
    cut = min(max(1, round(available * (1 - wanted.held_out_share))), available - 1)
    gap = OVERLAP - 1 if available - cut > 2 * OVERLAP else 0
    return range(cut), range(cut + gap, available)
