"""Smoothing: against the definitions, written out."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import UsageError
from runtime.events import Smoothing, SmoothKind, smoother
from runtime.events.smoothing import Probabilities

KINDS: tuple[SmoothKind, ...] = ("ema", "mean", "vote")

results = st.lists(
    st.tuples(
        st.integers(1, 40),  # hundredths of a second since the result before
        st.lists(st.floats(0.01, 1.0), min_size=3, max_size=3),
    ),
    min_size=1,
    max_size=25,
)


def timed(steps: list[tuple[int, list[float]]]) -> list[tuple[float, Probabilities]]:
    at, out = 0, []
    for step, weights in steps:
        at += step
        values = np.array(weights)
        out.append((at / 100, values / values.sum()))
    return out


@given(steps=results, span=st.integers(1, 100))
def test_ema_is_the_recursion(steps: list[tuple[int, list[float]]], span: int) -> None:
    smooth = smoother(Smoothing(kind="ema", span_s=span / 100))
    expected: Probabilities | None = None
    before_s = 0.0
    for time_s, values in timed(steps):
        if expected is None:
            expected = values
        else:
            kept = math.exp(-(time_s - before_s) * 100 / span)
            expected = expected * kept + values * (1 - kept)
        before_s = time_s
        np.testing.assert_allclose(smooth.push(time_s, values), expected, atol=1e-9)


@given(steps=results, span=st.integers(1, 100))
def test_mean_and_vote_are_the_definitions(steps: list[tuple[int, list[float]]], span: int) -> None:
    mean = smoother(Smoothing(kind="mean", span_s=span / 100))
    vote = smoother(Smoothing(kind="vote", span_s=span / 100))
    seen: list[tuple[int, Probabilities]] = []
    for time_s, values in timed(steps):
        now = round(time_s * 100)
        seen.append((now, values))
        recent = [one for at, one in seen if at > now - span]
        np.testing.assert_allclose(mean.push(time_s, values), np.mean(recent, axis=0), atol=1e-12)
        won = [int(one.argmax()) for one in recent]
        expected = [won.count(number) / len(won) for number in range(3)]
        np.testing.assert_allclose(vote.push(time_s, values), expected, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@given(steps=results)
def test_what_comes_out_is_a_distribution_of_ones_own(
    kind: SmoothKind, steps: list[tuple[int, list[float]]]
) -> None:
    smooth = smoother(Smoothing(kind=kind, span_s=0.3))
    first = None
    for time_s, values in timed(steps):
        given_values = values.copy()
        out = smooth.push(time_s, values)
        assert out.sum() == pytest.approx(1)
        assert (out >= 0).all()
        out[:] = 99.0  # spoils nothing
        assert (values == given_values).all()
        values[:] = -1.0
        first = given_values if first is None else first
    smooth.reset()
    again = smooth.push(0.0, np.array([0.2, 0.5, 0.3]))
    expected = [0, 1, 0] if kind == "vote" else [0.2, 0.5, 0.3]
    np.testing.assert_allclose(again, expected)


@pytest.mark.parametrize("span_s", [0.0, -1.0, math.nan, math.inf])
def test_a_span_must_be_a_time(span_s: float) -> None:
    with pytest.raises(UsageError, match="smooth-span"):
        Smoothing(kind="ema", span_s=span_s)


def test_memory_is_bounded_by_the_span() -> None:
    smooth = smoother(Smoothing(kind="mean", span_s=1.0))
    for number in range(5000):
        smooth.push(number / 10, np.array([0.5, 0.5]))
    assert len(smooth._kept) == 10  # type: ignore[attr-defined]
