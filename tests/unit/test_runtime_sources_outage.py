from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.sources.outage import FIRST_WAIT_S, LONGEST_WAIT_S, Outage


def test_waits_double_up_to_the_longest() -> None:
    outage = Outage(None, lambda: 0.0)
    assert [outage.failed(float(i)) for i in range(7)] == [0.5, 1, 2, 4, 6, 6, 6]
    lasting = [outage.lasting]
    assert outage.over(100.0) == 100.0
    lasting.append(outage.lasting)
    assert lasting == [True, False]
    assert outage.over(101.0) is None
    assert outage.failed(102.0) == FIRST_WAIT_S


def test_chance_cuts_them_by_up_to_a_half() -> None:
    outage = Outage(None, lambda: 1.0)
    assert [outage.failed(0.0) for _ in range(6)] == [0.25, 0.5, 1, 2, 3, 3]


@pytest.mark.parametrize("retries", [0, 1, 5])
def test_so_many_retries(retries: int) -> None:
    outage = Outage(retries, lambda: 0.5)
    for _ in range(2):
        waits = [outage.failed(0.0) for _ in range(retries + 1)]
        assert all(wait is not None for wait in waits[:-1])
        assert waits[-1] is None
        outage.over(1.0)


@given(st.lists(st.booleans(), max_size=3000), st.floats(0, 1))
def test_it_is_never_given_up_nor_waited_for_long(came: list[bool], chance: float) -> None:
    outage = Outage(None, lambda: chance)
    for number, good in enumerate(came):
        if good:
            outage.over(float(number))
        else:
            wait_s = outage.failed(float(number))
            assert wait_s is not None
            assert FIRST_WAIT_S / 2 <= wait_s <= LONGEST_WAIT_S
