from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.serve.guard import POLICY, Pace


@given(st.lists(st.floats(0, 0.05), min_size=1, max_size=300))
def test_never_more_than_burst_and_rate(gaps_s: list[float]) -> None:
    pace = Pace(per_s=100.0, burst=10)
    now_s, starts_s = 1000.0, []
    for gap_s in gaps_s:
        now_s += gap_s
        starts_s.append(now_s + pace.delay_s(now_s))
    assert starts_s == sorted(starts_s)
    for first in range(len(starts_s)):
        for last in range(first, len(starts_s)):
            taken_s = starts_s[last] - starts_s[first]
            assert last - first + 1 <= 10 + 100 * taken_s + 1 + 1e-6


def test_who_is_slow_never_waits() -> None:
    pace = Pace(per_s=100.0, burst=10)
    assert {pace.delay_s(at * 0.011) for at in range(1000)} == {0.0}


def test_a_flood_waits() -> None:
    pace = Pace(per_s=100.0, burst=10)
    delays_s = [pace.delay_s(5.0) for _ in range(61)]
    assert delays_s[:10] == [0.0] * 10
    assert delays_s[-1] == pytest.approx(0.5, abs=0.02)


def test_nothing_from_elsewhere() -> None:
    assert "http" not in POLICY
    assert "unsafe" not in POLICY
