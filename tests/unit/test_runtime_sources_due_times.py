from __future__ import annotations

import pytest

from runtime.sources.due_times import DueTimes
from tests.live_connections import StepClock


def shown(clock: StepClock, comes: list[tuple[float, float]]) -> list[float]:
    """When pictures are shown, given when each comes and its time of the stream's clock."""
    due = DueTimes(lambda: False, clock=clock, sleep=clock.pause)
    times_s = []
    for comes_s, media_s in comes:
        clock.now_s = max(clock.now_s, 100.0 + comes_s)
        due.wait_for(media_s)
        times_s.append(clock.now_s - 100.0)
    return times_s


def test_a_burst_is_spread_out() -> None:
    comes = [(0.0, 7.0 + i / 4) for i in range(8)] + [(2.0, 9.0 + i / 4) for i in range(8)]
    assert shown(StepClock(), comes) == pytest.approx([i / 4 for i in range(16)])


def test_who_is_late_sets_the_pace_anew() -> None:
    comes = [(0.0, 0.0), (0.0, 0.5), (3.0, 1.0), (3.0, 1.5)]
    assert shown(StepClock(), comes) == pytest.approx([0.0, 0.5, 3.0, 3.5])


@pytest.mark.parametrize("leap_s", [1e5, -1e5])
def test_so_does_a_leap_of_the_clock(leap_s: float) -> None:
    comes = [(0.0, 0.0), (0.0, 0.5), (0.5, leap_s), (0.5, leap_s + 0.5)]
    assert shown(StepClock(), comes) == pytest.approx([0.0, 0.5, 0.5, 1.0])


def test_nobody_waits_who_is_not_wanted() -> None:
    clock = StepClock()
    due = DueTimes(lambda: True, clock=clock, sleep=clock.pause)
    due.wait_for(0.0)
    due.wait_for(10.0)
    assert clock.now_s == 100.0
