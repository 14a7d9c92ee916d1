from __future__ import annotations

import logging
import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.timestamps import TimestampRepair, plausible_fps


def repaired(container: list[float | None], fps: float | None = 25.0) -> list[float]:
    repair = TimestampRepair(fps)
    return [repair.repair(index, value) for index, value in enumerate(container)]


@pytest.mark.parametrize(
    ("container", "expected"),
    [
        # The example of the docstring: missing, backward jump, real gap.
        ([0.00, 0.04, None, 0.12, 0.05, 0.50], [0.00, 0.04, 0.08, 0.12, 0.16, 0.50]),
        # Stuck at zero: frame number over frame rate.
        ([0.0] * 4, [0.0, 0.04, 0.08, 0.12]),
        ([None] * 4, [0.0, 0.04, 0.08, 0.12]),
        ([math.nan, math.inf, -1.0, -math.inf], [0.0, 0.04, 0.08, 0.12]),
        # A variable frame rate is kept as it is.
        ([0.0, 0.1, 0.11, 0.9], [0.0, 0.1, 0.11, 0.9]),
        # A container that starts late is kept too.
        ([3.0, 3.04], [3.0, 3.04]),
        ([-1.0, 0.04, 0.08], [0.0, 0.04, 0.08]),
        # The same time twice.
        ([0.0, 0.04, 0.04, 0.12], [0.0, 0.04, 0.08, 0.12]),
        # Two files joined: the second half starts from zero again.
        ([0.0, 0.04, 0.08, 0.0, 0.04, 0.08], [0.0, 0.04, 0.08, 0.12, 0.16, 0.20]),
        # Times come back after a while without.
        ([None, None, None, 0.13], [0.0, 0.04, 0.08, 0.13]),
    ],
)
def test_table(container: list[float | None], expected: list[float]) -> None:
    assert repaired(container) == pytest.approx(expected)


def test_unknown_rate_assumes_25_and_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="runtime.timestamps"):
        assert repaired([None] * 5, fps=None) == pytest.approx([0.0, 0.04, 0.08, 0.12, 0.16])
    assert [record.getMessage() for record in caplog.records] == [
        "The video tells neither usable frame times nor a frame rate; assuming 25 fps."
    ]


def test_unknown_rate_is_no_matter_while_times_are_good(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert repaired([0.0, 0.5, 1.0], fps=0.0) == [0.0, 0.5, 1.0]
    assert not caplog.records


def test_index_must_grow() -> None:
    repair = TimestampRepair(25.0)
    repair.repair(3, 1.0)
    with pytest.raises(ValueError, match="Frame 3 came after frame 3"):
        repair.repair(3, 2.0)


@given(
    st.lists(st.none() | st.floats(allow_nan=True, allow_infinity=True, width=32), max_size=60),
    st.none() | st.floats(1, 240),
)
def test_times_always_increase(container: list[float | None], fps: float | None) -> None:
    bounded = [v if v is None or not abs(v) > 1e9 else math.nan for v in container]
    times_s = repaired(bounded, fps)
    assert all(math.isfinite(time_s) for time_s in times_s)
    assert all(a < b for a, b in pairwise(times_s))


@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=50))
def test_good_times_are_not_touched(steps: list[int]) -> None:
    times_s = [sum(steps[:i]) / 1000 for i in range(len(steps))]
    assert repaired(list(times_s)) == times_s


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (25.0, 25.0), (29.97, 29.97), (1000.0, 1000.0),
        (0.0, None), (-5.0, None), (math.nan, None), (math.inf, None), (90000.0, None),
        (None, None),
    ],
)  # fmt: skip
def test_plausible_fps(value: float | None, expected: float | None) -> None:
    assert plausible_fps(value) == expected
