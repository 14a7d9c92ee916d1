"""Rows, levels and places of values, without any graph."""

from __future__ import annotations

from itertools import pairwise
from random import Random
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.temporal.levels import Work, levels_worth_it, rows_per_step, step_macs
from runtime.temporal.rows import Row, View, plain_places
from runtime.temporal.settle import settled

SHIFT = (-1, 0, 1)


# -- places of values ------------------------------------------------------------------------------


def rows_of(frames: int, channels: int, inner: int) -> Row:
    return Row(name="x", level=0, shape=(frames, channels, inner), axis=0, elem_type=1)


@settings(deadline=None)
@given(
    frames=st.integers(2, 6),
    deltas=st.lists(st.integers(-1, 1), min_size=1, max_size=6),
    inner=st.integers(1, 3),
    order=st.randoms(use_true_random=False),
)
def test_a_shift_is_read_off_the_places(
    frames: int, deltas: list[int], inner: int, order: Random
) -> None:
    """Channels in any order, each from a row nearby."""
    channels = list(range(len(deltas)))
    order.shuffle(channels)
    source = rows_of(frames, len(deltas), inner)
    size = len(deltas) * inner
    places = np.full(source.shape, -1, np.int32)
    for at in range(frames):
        for channel, (taken, delta) in enumerate(zip(channels, deltas, strict=True)):
            if 0 <= at + delta < frames:
                first = (at + delta) * size + taken * inner
                places[at, channel] = range(first, first + inner)
    found = settled(View(source, source.shape, None, places=places))
    assert found is not None
    assert found.axis == 0
    assert found.deltas == (tuple(deltas) if any(deltas) else ())
    positions = np.arange(size) if found.positions is None else found.positions
    assert [int(one) // inner for one in positions[::inner]] == channels


@settings(deadline=None)
@given(data=st.data())
def test_one_value_elsewhere_is_no_shift(data: st.DataObject) -> None:
    source = rows_of(4, 3, 2)
    places = plain_places(source, source.shape, 0).copy()
    at = data.draw(st.integers(0, places.size - 1))
    places.reshape(-1)[at] = data.draw(
        st.integers(-1, places.size - 1).filter(lambda place: place != at)
    )
    assert settled(View(source, source.shape, None, places=places)) is None


# -- rows and levels -------------------------------------------------------------------------------


def brute_force(frames: int, offsets: list[list[int]]) -> list[int]:
    """Rows as nested tuples of frame numbers, counted."""

    def levels(first: int) -> list[set[Any]]:
        rows: list[Any] = list(range(first, first + frames))
        found = [set(rows)]
        for taken in offsets:
            rows = [
                tuple(rows[at + one] if 0 <= at + one < frames else None for one in taken)
                for at in range(frames)
            ]
            found.append(set(rows))
        return found

    return [len(now - before) for before, now in zip(levels(0), levels(1), strict=True)]


@settings(deadline=None)
@given(
    frames=st.integers(2, 12),
    offsets=st.lists(
        st.lists(st.integers(-3, 3), min_size=1, max_size=4, unique=True).map(sorted), max_size=3
    ),
)
def test_rows_of_a_step(frames: int, offsets: list[list[int]]) -> None:
    assert list(rows_per_step(frames, offsets)) == brute_force(frames, offsets)


def test_rows_of_a_step_by_hand() -> None:
    assert rows_per_step(8, [SHIFT] * 5) == (1, 3, 5, 7, 8, 8)
    assert rows_per_step(16, [SHIFT] * 2) == (1, 3, 5)


@given(
    frames=st.integers(2, 16),
    macs=st.lists(st.integers(0, 1000), min_size=1, max_size=6),
    rest=st.integers(0, 5000),
)
def test_levels_that_are_kept_save_their_share(frames: int, macs: list[int], rest: int) -> None:
    rows = rows_per_step(frames, [SHIFT] * (len(macs) - 1))
    work = Work(frames, rows, tuple(macs), rest)
    chosen = levels_worth_it(work)
    costs = [step_macs(work, stages) for stages in range(len(macs) + 1)]
    assert all(after <= before for before, after in pairwise(costs))
    if not chosen:
        assert costs[0] == 0 or costs[1] > 0.9 * costs[0]
        return
    assert costs[chosen] <= 0.9 * costs[0]
    assert costs[chosen] < costs[chosen - 1]
    if chosen < len(macs) and costs[chosen]:
        assert costs[chosen + 1] > 0.97 * costs[chosen]


def test_stages_that_save_next_to_nothing_are_not_made() -> None:
    assert levels_worth_it(Work(8, (1, 3), (10, 10), 2000)) == 0
    assert levels_worth_it(Work(8, (1, 3), (50, 50), 1000)) == 2
