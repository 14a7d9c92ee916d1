"""Values of a tensor, counted as they come: the memory that takes is fixed."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

BINS = 4096
"""Bins of equal width from -reach to reach; even, so that 0 is an edge."""

SMALLEST_REACH = 2.0**-40


def _no_counts() -> NDArray[np.int64]:
    return np.zeros(BINS, dtype=np.int64)


@dataclass(slots=True, kw_only=True)
class Histogram:
    """Counts of values in `BINS` bins from -reach to reach, and the exact smallest and largest.

    The reach is a power of two and doubles when a larger value comes; pairs of bins then become
    one, so nothing is lost but resolution, and the order of the values does not matter.

    Attributes:
        reach: Half of the width of all bins.
        counts: int64 [BINS].
        minimum: Smallest value noted; infinity before the first.
        maximum: Largest value noted; minus infinity before the first.
        zeros: How many of the values counted were exactly 0.
    """

    reach: float = SMALLEST_REACH
    counts: NDArray[np.int64] = field(default_factory=_no_counts)
    minimum: float = float("inf")
    maximum: float = float("-inf")
    zeros: int = 0

    def note(self, minimum: float, maximum: float) -> None:
        """Take note of the ends of values of which `add` gets only some."""
        self.minimum = min(self.minimum, minimum)
        self.maximum = max(self.maximum, maximum)

    def add(self, values: NDArray[np.float32]) -> None:
        """Count values.

        Args:
            values: Any shape, finite, not modified.
        """
        if not values.size:
            return
        low, high = float(values.min()), float(values.max())
        self.note(low, high)
        self._reach_to(max(-low, high))
        places = (values.ravel() * np.float32(BINS / 2 / self.reach)).astype(np.float64)
        bins = np.clip(np.floor(places).astype(np.int64) + BINS // 2, 0, BINS - 1)
        self.counts += np.bincount(bins, minlength=BINS)
        self.zeros += int(values.size - np.count_nonzero(values))

    def quantile(self, share: float) -> float:
        """Value below which that share of the values lies, linear within a bin.

        Args:
            share: 0 to 1.
        """
        total = int(self.counts.sum())
        if total == 0:
            return 0.0
        running = np.concatenate([[0], np.cumsum(self.counts)])
        edges = np.linspace(-self.reach, self.reach, BINS + 1)
        wanted = share * total
        place = int(np.clip(np.searchsorted(running, wanted, side="left") - 1, 0, BINS - 1))
        inside = (wanted - running[place]) / max(1, self.counts[place])
        value = edges[place] + inside * (edges[place + 1] - edges[place])
        return float(np.clip(value, self.minimum, self.maximum))

    def magnitudes(self) -> NDArray[np.int64]:
        """Counts of the absolute values but 0: int64 [BINS / 2], bins from 0 to `reach`."""
        half = BINS // 2
        magnitudes = self.counts[half:] + self.counts[:half][::-1]
        magnitudes[0] -= self.zeros
        return magnitudes

    def summary(self, bins: int) -> tuple[int, ...]:
        """Counts in fewer bins, equal ones from `minimum` to `maximum`, for showing.

        A bin of ours goes whole into that which its centre lies in.
        """
        if not self.counts.any() or self.maximum <= self.minimum:
            return (int(self.counts.sum()),)
        centres = (np.arange(BINS) + 0.5) * (2 * self.reach / BINS) - self.reach
        span = max(self.maximum - self.minimum, SMALLEST_REACH)
        share = np.clip((centres - self.minimum) / span, 0.0, 1.0)
        places = np.minimum((share * bins).astype(np.int64), bins - 1)
        return tuple(np.bincount(places, weights=self.counts, minlength=bins).astype(int).tolist())

    def _reach_to(self, magnitude: float) -> None:
        """Double the reach until it covers a magnitude; pairs of bins become one."""
        quarter = BINS // 4
        while self.reach < magnitude:
            wider = _no_counts()
            wider[quarter : BINS - quarter] = self.counts.reshape(-1, 2).sum(axis=1)
            self.counts = wider
            self.reach *= 2.0
