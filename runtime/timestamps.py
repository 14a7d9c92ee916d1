"""Make frame times usable: every frame gets a time, and time never runs backwards."""

from __future__ import annotations

import logging
import math

logger = logging.getLogger(__name__)

FALLBACK_FPS = 25.0
"""Assumed when neither timestamps nor a frame rate are known."""

_HIGHEST_FPS = 1000.0


def plausible_fps(value: float | None) -> float | None:
    """A frame rate as a container states it, or None when it cannot be one.

    Containers that do not know say 0, NaN or the tick rate of their clock (90000).
    """
    if value is None or not math.isfinite(value) or not 0 < value <= _HIGHEST_FPS:
        return None
    return float(value)


class TimestampRepair:
    """Turn the times of a container into strictly increasing times.

    A time is taken as it is when it is a number, not negative, and later than the time given to
    the frame before; so a variable frame rate and gaps are kept. Any other frame continues from
    the last frame whose time was taken, at the nominal frame rate; with no usable time at all
    that is `index / fps`.

    At 25 fps, the container's 0.00, 0.04, none, 0.12, 0.05, 0.50 become
    0.00, 0.04, 0.08, 0.12, 0.16, 0.50: the third is missing (0.04 + 1/25), the fifth jumps back
    (0.12 + 1/25), the last is a real gap. A container stuck at 0.00 gives 0.00, 0.04, 0.08, …

    Without a frame rate 25 is assumed, once with a warning, and only when it is needed.

    Args:
        fps: Frame rate of the container; None or an impossible value when unknown.
    """

    def __init__(self, fps: float | None) -> None:
        self._fps = plausible_fps(fps)
        self._anchor: tuple[int, float] | None = None
        self._last_index = -1
        self._last_s = -math.inf

    def repair(self, index: int, container_s: float | None) -> float:
        """Time of a frame.

        Args:
            index: Position in the source; larger at every call.
            container_s: What the container says, in seconds; None or NaN when it says nothing.

        Returns:
            Seconds, later than every time returned before.

        Raises:
            ValueError: `index` did not grow.
        """
        if index <= self._last_index:
            raise ValueError(f"Frame {index} came after frame {self._last_index}.")
        self._last_index = index
        if (
            container_s is not None
            and math.isfinite(container_s)
            and container_s >= 0
            and container_s > self._last_s
        ):
            time_s = float(container_s)
            self._anchor = (index, time_s)
        else:
            time_s = self._continued(index)
        self._last_s = time_s
        return time_s

    def _continued(self, index: int) -> float:
        if self._anchor is None:
            self._anchor = (index, index / self._rate())
            return self._anchor[1]
        anchor_index, anchor_s = self._anchor
        return anchor_s + (index - anchor_index) / self._rate()

    def _rate(self) -> float:
        if self._fps is None:
            logger.warning(
                "The video tells neither usable frame times nor a frame rate; assuming %g fps.",
                FALLBACK_FPS,
            )
            self._fps = FALLBACK_FPS
        return self._fps
