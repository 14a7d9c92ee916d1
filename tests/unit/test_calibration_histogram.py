from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibration.histogram import BINS, Histogram
from calibration.report import Method
from calibration.thresholds import RANGES, activation_range, range_entropy

VALUES = st.lists(
    st.floats(-1e4, 1e4, width=32, allow_subnormal=False), min_size=1, max_size=60
).map(lambda values: np.array(values, dtype=np.float32))


def counted(*pieces: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> Histogram:
    histogram = Histogram()
    for piece in pieces:
        histogram.add(piece)
    return histogram


@given(VALUES, VALUES)
def test_order_and_grouping_do_not_matter(
    one: np.ndarray[tuple[int], np.dtype[np.float32]],
    two: np.ndarray[tuple[int], np.dtype[np.float32]],
) -> None:
    together = counted(np.concatenate([one, two]))
    for other in (counted(one, two), counted(two, one)):
        assert other.reach == together.reach
        assert (other.minimum, other.maximum) == (together.minimum, together.maximum)
        assert (other.counts == together.counts).all()
        assert other.zeros == together.zeros


@given(VALUES)
def test_nothing_is_lost_and_ends_are_exact(
    values: np.ndarray[tuple[int], np.dtype[np.float32]],
) -> None:
    histogram = counted(*(values[place : place + 1] for place in range(len(values))))
    assert histogram.counts.sum() == len(values)
    assert histogram.minimum == values.min()
    assert histogram.maximum == values.max()
    assert sum(histogram.summary(16)) == len(values)
    assert histogram.magnitudes().sum() == np.count_nonzero(values)


@given(VALUES, st.floats(0, 1))
def test_quantiles_lie_within_a_bin_of_the_true_ones(
    values: np.ndarray[tuple[int], np.dtype[np.float32]], share: float
) -> None:
    histogram = counted(values)
    width = 2 * histogram.reach / BINS
    found = histogram.quantile(share)
    below = float((values <= found + width).mean())
    above = float((values >= found - width).mean())
    assert below >= share - 1e-6
    assert above >= 1 - share - 1e-6


def test_quantiles_of_a_normal_distribution() -> None:
    histogram = counted(np.random.default_rng(0).normal(0, 2, 200_000).astype(np.float32))
    assert histogram.quantile(0.5) == pytest.approx(0, abs=0.02)
    assert histogram.quantile(0.975) == pytest.approx(3.92, abs=0.05)


@pytest.mark.parametrize("method", sorted(RANGES))
def test_zero_is_always_inside(method: Method) -> None:
    for values in ([3.0, 5.0], [-5.0, -3.0], [0.0, 0.0], [1e-30, 0.0]):
        low, high = activation_range(counted(np.array(values, np.float32)), method)
        assert low <= 0 <= high
        assert min(*values, 0.0) - 1e-9 <= low
        assert high <= max(*values, 0.0) + 1e-9


def test_percentile_and_entropy_clip_an_outlier_and_minmax_does_not() -> None:
    values = np.random.default_rng(0).normal(0, 1, 500_000).astype(np.float32)
    values[0] = 300.0
    histogram = counted(values)
    assert activation_range(histogram, "minmax")[1] == 300.0
    assert activation_range(histogram, "percentile")[1] < 6
    assert activation_range(histogram, "entropy")[1] < 60


def test_entropy_does_not_count_the_zeros_of_a_relu() -> None:
    values = np.random.default_rng(0).exponential(1.0, 100_000).astype(np.float32)
    zeros = np.zeros(1_000_000, dtype=np.float32)
    assert range_entropy(counted(values, zeros))[1] == range_entropy(counted(values))[1]


def test_values_that_are_all_zero() -> None:
    histogram = counted(np.zeros(10, np.float32))
    assert {activation_range(histogram, method) for method in RANGES} == {(0.0, 0.0)}
    assert histogram.summary(8) == (10,)
