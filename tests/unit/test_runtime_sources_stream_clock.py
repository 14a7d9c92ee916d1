from __future__ import annotations

import math
import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.sources.stream_clock import AHEAD_S, BACK_S, LATE_S, Moment, StreamClock

OPENED_S = 1000.0


def test_without_a_clock_of_its_own_a_picture_is_from_when_it_arrived() -> None:
    clock = StreamClock(OPENED_S)
    assert clock.picture(1000.5, None) == Moment(0.5)
    assert clock.picture(1000.75, math.nan) == Moment(0.75)
    assert clock.now(1001.0) == 1.0


def test_jitter_is_smoothed() -> None:
    clock, chance = StreamClock(OPENED_S), random.Random(7)
    times_s, arrived_s = [], 0.0
    for number in range(500):
        sent_s = OPENED_S + 2.0 + number / 25
        arrived_s = max(arrived_s, sent_s + 0.1 + chance.expovariate(1 / 0.03))
        times_s.append(clock.picture(arrived_s, 90.0 + number / 25).time_s)
    steps_s = [after - before for before, after in pairwise(times_s[50:])]
    # Arrivals differ by tenths of a second; the soonest came 0.1 s after they were sent.
    assert max(abs(step - 0.04) for step in steps_s) < 0.02
    assert times_s[-1] == pytest.approx(2.0 + 499 / 25 + 0.1, abs=0.05)


@pytest.mark.parametrize("speed", [0.999, 0.9999, 1.0001, 1.001])
def test_drift_is_followed(speed: float) -> None:
    clock = StreamClock(OPENED_S)
    leaps = []
    for number in range(36_000):
        arrived_s = OPENED_S + number / 10
        moment = clock.picture(arrived_s, number / 10 * speed)
        leaps.append(moment.leap_s)
    # An hour: uncorrected it would be off by up to 3.6 s.
    assert moment.time_s == pytest.approx(arrived_s - OPENED_S, abs=0.04)
    assert set(leaps) == {None}


@pytest.mark.parametrize("leap_s", [AHEAD_S + 0.1, 86400.0, -BACK_S - 0.1, -LATE_S - 0.1, -86400.0])
def test_a_leap_makes_a_new_start(leap_s: float) -> None:
    clock = StreamClock(OPENED_S)
    for number in range(10):
        clock.picture(OPENED_S + number / 25, number / 25)
    leapt = clock.picture(OPENED_S + 0.40, 0.40 + leap_s)
    assert leapt.leap_s == pytest.approx(leap_s)
    assert leapt.time_s == pytest.approx(0.40)
    after = clock.picture(OPENED_S + 0.44, 0.44 + leap_s)
    assert after.leap_s is None
    assert after.time_s == pytest.approx(0.44)


def test_a_burst_after_a_stall_is_no_leap() -> None:
    clock = StreamClock(OPENED_S)
    clock.picture(OPENED_S, 0.0)
    moments = [clock.picture(OPENED_S + 3.0 + i / 1000, i / 25) for i in range(1, 75)]
    assert all(moment.leap_s is None for moment in moments)
    # Each is about as old as the stream says, and not as it arrived.
    assert moments[0].time_s == pytest.approx(0.04, abs=0.4)
    assert moments[-1].time_s == pytest.approx(74 / 25, abs=0.4)


def test_a_clock_that_stands_still_is_not_followed() -> None:
    clock = StreamClock(OPENED_S)
    for number in range(1000):
        moment = clock.picture(OPENED_S + number / 25, 7.0)
        assert moment.leap_s is None
        assert moment.time_s == pytest.approx(number / 25, abs=0.001)


def test_another_connection_has_another_clock() -> None:
    clock = StreamClock(OPENED_S)
    clock.picture(OPENED_S + 1, 500.0)
    clock.restart()
    assert clock.picture(OPENED_S + 9, 3.0) == Moment(9.0)


steps = st.floats(0, 20)
media = st.none() | st.floats(-1e6, 1e6) | st.just(math.nan) | st.just(math.inf)


@given(st.lists(st.tuples(steps, media), max_size=60))
def test_times_increase_and_never_lie_behind_the_arrival(steps: list[tuple[float, float]]) -> None:
    clock, arrived_s, newest_s = StreamClock(OPENED_S), OPENED_S, -math.inf
    for number, (step_s, media_s) in enumerate(steps):
        arrived_s += step_s
        moment = clock.picture(arrived_s, media_s)
        assert moment.time_s > newest_s
        assert moment.time_s <= arrived_s - OPENED_S + (number + 1) * 2e-6
        newest_s = moment.time_s
        assert clock.now(arrived_s) >= newest_s
