"""Which frames of a window or a file are taken."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import pairwise
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.spec import ClipSpec
from runtime.sampling import (
    SEGMENT_RULES,
    SegmentFrame,
    dense_frames,
    dense_starts,
    segment_centres,
    segment_frames,
    segment_lefts,
)


@pytest.mark.parametrize(
    ("available", "segments", "expected"),
    [
        (131, 8, (7, 23, 39, 55, 71, 87, 103, 119)),
        (131, 16, (3, 11, 19, 27, 35, 43, 51, 59, 67, 75, 83, 91, 99, 107, 115, 123)),
        (8, 8, (0, 1, 2, 3, 4, 5, 6, 7)),
        (9, 8, (0, 1, 2, 3, 4, 5, 6, 7)),
        (16, 8, (0, 2, 4, 6, 8, 10, 12, 14)),
        (24, 8, (1, 4, 7, 10, 13, 16, 19, 22)),
        (3, 8, (0, 1, 2, 0, 1, 2, 0, 1)),
        (1, 4, (0, 0, 0, 0)),
        (300, 1, (149,)),
    ],
)
def test_segment_centres(available: int, segments: int, expected: tuple[int, ...]) -> None:
    assert segment_centres(available, segments) == expected


@given(st.integers(1, 5000), st.integers(1, 64))
def test_segment_centres_lie_in_their_segments(available: int, segments: int) -> None:
    chosen = segment_centres(available, segments)
    assert len(chosen) == segments
    if available < segments:
        assert chosen == tuple(i % available for i in range(segments))
    else:
        average = available // segments
        for i, index in enumerate(chosen):
            assert i * average <= index < (i + 1) * average
            # As near to the segment's middle as a whole number gets, ties towards the start.
            assert 0 <= Fraction(average - 1, 2) - (index - i * average) < 1


@pytest.mark.parametrize(("available", "segments"), [(0, 8), (-1, 8), (5, 0)])
@pytest.mark.parametrize("rule", ["centre", "left"])
def test_segment_frames_refuses_nothing(available: int, segments: int, rule: SegmentFrame) -> None:
    with pytest.raises(ValueError, match="Cannot choose"):
        segment_frames(available, segments, rule=rule)


@pytest.mark.parametrize(
    ("available", "segments", "expected"),
    [
        (131, 8, (8, 24, 40, 57, 73, 90, 106, 122)),
        (131, 3, (21, 65, 109)),
        (250, 3, (41, 125, 208)),
        (9, 8, (0, 1, 2, 3, 5, 6, 7, 8)),
        (16, 8, (1, 3, 5, 7, 9, 11, 13, 15)),
        # No more frames than segments: the first, again and again.
        (8, 8, (0,) * 8),
        (3, 8, (0,) * 8),
        (1, 1, (0,)),
        (2, 1, (1,)),
    ],
)
def test_segment_lefts(available: int, segments: int, expected: tuple[int, ...]) -> None:
    assert segment_lefts(available, segments) == expected


def test_segment_lefts_keeps_the_float_arithmetic_of_the_reference() -> None:
    exact = [30 * (2 * i + 1) // 50 for i in range(25)]
    assert [i for i in range(25) if exact[i] != segment_lefts(30, 25)[i]] == [12]
    assert (exact[12], segment_lefts(30, 25)[12]) == (15, 14)


@given(st.integers(1, 5000), st.integers(1, 64))
def test_segment_lefts_are_the_middles_of_fractional_segments(
    available: int, segments: int
) -> None:
    chosen = segment_lefts(available, segments)
    assert len(chosen) == segments
    if available <= segments:
        assert set(chosen) == {0}
        return
    for i, index in enumerate(chosen):
        middle = Fraction(available * (2 * i + 1), 2 * segments)
        # Rounded down; a middle that is a whole number may come out as one less.
        assert index == math.floor(middle) or (middle.denominator == 1 and index == middle - 1)
    assert list(chosen) == sorted(set(chosen))
    assert 0 <= chosen[0] <= chosen[-1] < available


@given(st.integers(1, 500), st.integers(1, 40), st.sampled_from(["centre", "left"]))
def test_segment_frames_follows_the_rule(available: int, segments: int, rule: SegmentFrame) -> None:
    expected = {"centre": segment_centres, "left": segment_lefts}[rule](available, segments)
    assert segment_frames(available, segments, rule=rule) == expected


def test_rules_are_those_of_the_clip_specification() -> None:
    assert set(get_args(ClipSpec.model_fields["segment_frame"].annotation)) == set(SEGMENT_RULES)


# --- dense testing --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("available", "expected"),
    [
        (131, (0, 7, 14, 22, 29, 37, 44, 52, 59, 67)),
        (65, (0, 0, 0, 0, 0, 0, 0, 0, 0, 1)),
        (64, (0,) * 10),
        (1, (0,) * 10),
        (154, (0, 10, 20, 30, 40, 50, 60, 70, 80, 90)),
    ],
)
def test_dense_starts(available: int, expected: tuple[int, ...]) -> None:
    assert dense_starts(available) == expected


@given(st.integers(1, 200_000))
def test_dense_starts_are_ninths_rounded_down(available: int) -> None:
    span = max(0, available - 64)
    assert dense_starts(available) == tuple(k * span // 9 for k in range(10))


@given(st.integers(1, 3000), st.integers(1, 64))
def test_dense_frames_follow_each_other_within_64(available: int, segments: int) -> None:
    clips = dense_frames(available, segments)
    assert len(clips) == 10
    for start, clip in zip(dense_starts(available), clips, strict=True):
        assert len(clip) == segments
        assert clip[0] == start
        steps = {(b - a) % available for a, b in pairwise(clip)}
        assert steps <= {64 // segments % available}
        if available >= 64:
            assert list(clip) == sorted(set(clip))
            assert clip[-1] - clip[0] < 64
        assert all(0 <= index < available for index in clip)


def test_dense_frames_of_a_short_video_go_round() -> None:
    assert set(dense_frames(40, 8)) == {(0, 8, 16, 24, 32, 0, 8, 16)}
    assert set(dense_frames(1, 3)) == {(0, 0, 0)}


@pytest.mark.parametrize(("available", "segments"), [(0, 8), (100, 0), (100, 65)])
def test_dense_frames_refuses_nothing_and_too_much(available: int, segments: int) -> None:
    with pytest.raises(ValueError, match="Cannot choose"):
        dense_frames(available, segments)
