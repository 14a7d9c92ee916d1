"""From the values seen to the range that INT8 keeps: all of it, most of it, or the most telling."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from calibration.histogram import Histogram
from calibration.report import Method

PERCENTILE = 0.9999
"""Share of the values between the ends that `percentile` keeps at either side."""

LEVELS = 128
"""Magnitudes that INT8 tells apart."""

_STEP = 16
"""Bins between two thresholds that `entropy` considers."""

Range = tuple[float, float]


def range_minmax(histogram: Histogram) -> Range:
    """Everything seen."""
    return histogram.minimum, histogram.maximum


def range_percentile(histogram: Histogram) -> Range:
    """Leaves out one value in ten thousand at either end."""
    return histogram.quantile(1.0 - PERCENTILE), histogram.quantile(PERCENTILE)


def range_entropy(histogram: Histogram) -> Range:
    """The magnitude at which clipped and quantized values lose least information.

    Of the magnitudes' histogram P, clipped at a threshold, with what lies beyond counted in the
    last bin, and of Q, the same in 128 levels spread evenly over the bins that are not empty, the
    Kullback-Leibler divergence sum P log(P / Q) is least (S. Migacz, "8-bit inference with
    TensorRT", GTC 2017). Exact zeros, of which a ReLU makes very many, are left out: INT8 holds
    them exactly at any threshold.
    """
    counts = histogram.magnitudes()
    used = int(np.flatnonzero(counts)[-1]) + 1 if counts.any() else 0
    if used <= LEVELS:
        return histogram.minimum, histogram.maximum
    candidates = [*range(LEVELS, used, _STEP), used]
    best = min(candidates, key=lambda bins: _divergence(counts, bins))
    threshold = histogram.reach * best / len(counts)
    return max(histogram.minimum, -threshold), min(histogram.maximum, threshold)


def _divergence(counts: NDArray[np.int64], bins: int) -> float:
    """Information lost when values beyond the first `bins` bins are clipped."""
    kept = counts[:bins].astype(np.float64)
    clipped = kept.copy()
    clipped[-1] += counts[bins:].sum()
    levels = np.arange(bins) * LEVELS // bins
    filled = kept > 0
    sums = np.bincount(levels, weights=kept, minlength=LEVELS)
    cells = np.bincount(levels, weights=filled, minlength=LEVELS)
    spread = np.where(filled, (sums / np.maximum(cells, 1))[levels], 0.0)
    p, q = clipped / clipped.sum(), spread / max(spread.sum(), 1e-300)
    seen = p > 0
    return float(np.sum(p[seen] * np.log(p[seen] / np.maximum(q[seen], 1e-12))))


RANGES: dict[Method, Callable[[Histogram], Range]] = {
    "minmax": range_minmax,
    "percentile": range_percentile,
    "entropy": range_entropy,
}
"""The methods."""


def activation_range(histogram: Histogram, method: Method) -> Range:
    """Range of an activation; 0 is always inside, since zero padding must be exact.

    Args:
        histogram: Its values.
        method: How.
    """
    low, high = RANGES[method](histogram)
    return min(low, 0.0), max(high, 0.0)
