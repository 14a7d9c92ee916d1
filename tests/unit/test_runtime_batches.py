from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.batches import recurring_pieces


@pytest.mark.parametrize(
    ("total", "sizes", "expected"),
    [
        (8, (1, 3), [3, 3, 1, 1]),
        (8, (3,), [3, 3, 3]),
        (2, (3, 12), [3]),
        (14, (3, 12), [12, 3]),
        (3, (3, 12), [3]),
        (0, (1,), []),
    ],
)
def test_recurring_pieces(total: int, sizes: tuple[int, ...], expected: list[int]) -> None:
    assert [size for _, size in recurring_pieces(total, sizes)] == expected


@given(total=st.integers(0, 60), sizes=st.lists(st.integers(1, 20), min_size=1, max_size=4))
def test_recurring_pieces_follow_each_other_and_only_the_last_reaches_beyond(
    total: int, sizes: list[int]
) -> None:
    end = 0
    for start, size in recurring_pieces(total, sizes):
        assert start == end < total
        assert size in sizes
        end = start + size
    assert end - total < min(sizes)
