from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibration.clip_choice import (
    Wanted,
    divide_time,
    divide_videos,
    share_out,
    spread,
    window_count,
)

COUNTS = st.integers(1, 40)


@pytest.mark.parametrize(
    ("duration_s", "length_s", "expected"),
    [
        (None, 10.0, 1),
        (3.0, 10.0, 1),
        (10.0, 10.0, 1),
        (10.0, 4.0, 7),
        (12.5, 10.0, 2),
        (12.49, 10.0, 1),
        (12.4999, 10.0, 2),
    ],
)
def test_window_count(duration_s: float | None, length_s: float, expected: int) -> None:
    assert window_count(duration_s, length_s) == expected


@given(st.integers(0, 500), st.lists(st.integers(0, 50), max_size=12))
def test_share_out_gives_all_it_can_and_evenly(wanted: int, capacities: list[int]) -> None:
    shares = share_out(wanted, capacities)
    assert sum(shares) == min(wanted, sum(capacities))
    assert all(share <= most for share, most in zip(shares, capacities, strict=True))
    open_ = [share for share, most in zip(shares, capacities, strict=True) if share < most]
    if open_:  # who could take more has at most one less than anybody
        assert min(open_) >= max(shares) - 1


def test_share_out_examples() -> None:
    assert share_out(10, (1, 9, 9)) == (1, 5, 4)
    assert share_out(10, (2, 2)) == (2, 2)


@given(COUNTS, st.integers(0, 200), st.integers(0, 9))
def test_spread_takes_one_of_each_stretch(count: int, more: int, seed: int) -> None:
    available = count + more
    chosen = spread(count, available, seed=seed)
    assert list(chosen) == sorted(set(chosen))
    assert [place * available // count for place in range(count)] <= list(chosen)
    assert chosen[-1] < available
    assert chosen == spread(count, available, seed=seed)


@given(
    st.lists(st.none() | st.integers(0, 4), min_size=2, max_size=80),
    COUNTS,
    COUNTS,
    st.integers(0, 5),
)
def test_every_video_has_one_part(
    labels: list[int | None], calibration: int, held_out: int, seed: int
) -> None:
    wanted = Wanted(calibration=calibration, held_out=held_out, seed=seed)
    divided = divide_videos(labels, wanted)
    assert sorted(video for video, _ in divided) == list(range(len(labels)))
    parts = Counter(part for _, part in divided)
    assert min(parts["calibration"], parts["held_out"]) >= 1
    expected = wanted.held_out_share * len(labels)
    assert abs(parts["held_out"] - expected) <= 1.5
    assert divided == divide_videos(labels, wanted)


def test_classes_are_divided_alike_and_take_turns() -> None:
    labels = [number // 10 for number in range(40)]
    divided = divide_videos(labels, Wanted(calibration=60, held_out=60, seed=3))
    assert {labels[video] for video, _ in divided[:4]} == {0, 1, 2, 3}
    for label in range(4):
        held_out = sum(part == "held_out" for video, part in divided if labels[video] == label)
        assert held_out == 5


def test_another_seed_is_another_choice() -> None:
    orders = {divide_videos([None] * 30, Wanted(calibration=5, held_out=5, seed=s)) for s in (1, 2)}
    assert len(orders) == 2


@given(st.integers(2, 400), COUNTS, COUNTS)
def test_a_single_video_is_divided_in_time(available: int, calibration: int, held_out: int) -> None:
    wanted = Wanted(calibration=calibration, held_out=held_out, seed=0)
    first, last = divide_time(available, wanted)
    assert first.start == 0
    assert last.stop == available
    assert len(first) >= 1
    assert len(last) >= 1
    assert first.stop <= last.start
