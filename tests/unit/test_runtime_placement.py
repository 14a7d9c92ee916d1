from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.placement import all_on, placed


def test_a_profile_in_words() -> None:
    found = placed({"CPU": 2, "CUDA": 48}, {"CPU": 1.0, "CUDA": 49.0})
    assert found.line() == "CUDA 96 % of 50 nodes, 98 % of time; CPU 4 % of nodes, 2 % of time"
    assert found.measured


def test_one_provider_in_words() -> None:
    assert all_on("CPU").line() == "CPU 100 % of nodes, 100 % of time"
    assert not all_on("CPU").measured


@given(
    st.dictionaries(
        st.sampled_from(["CPU", "CUDA", "TensorRT"]),
        st.tuples(st.integers(1, 500), st.floats(0, 1e6)),
        min_size=1,
    )
)
def test_shares_add_up(found: dict[str, tuple[int, float]]) -> None:
    placement = placed(
        {name: nodes for name, (nodes, _) in found.items()},
        {name: time_us for name, (_, time_us) in found.items()},
    )
    assert sum(one.node_share for one in placement.shares) == pytest.approx(1)
    timed = [one.time_share for one in placement.shares if one.time_share is not None]
    assert not timed or sum(timed) == pytest.approx(1)
    assert sum(one.nodes or 0 for one in placement.shares) == sum(n for n, _ in found.values())
    assert sum(map(placement.node_share, ["CPU", "CUDA", "TensorRT"])) == pytest.approx(1)


def test_a_profile_without_time_has_no_share_of_it() -> None:
    assert placed({"CPU": 3}, {}).shares[0].time_share is None
