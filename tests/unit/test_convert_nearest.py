"""How near a network is to a family."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert.nearest import kind, nearest
from tests.family_shapes import NARROW

SMALL = {
    "a": ("stem.weight", "block.0.weight", "fc.weight"),
    "twin of a": ("stem.weight", "block.0.weight", "fc.weight"),
    "b": ("stem.weight", "layer.0.weight"),
}
FULL = {
    name: tuple({kind(one): one for one in member()}.values()) for name, member in NARROW.items()
}
"""One tensor of each kind of every family."""


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("backbone.bb_3_2.conv0._conv.weight", "backbone.bb_#_#.conv#._conv.weight"),
        ("backbone.res4b12.short._conv.weight", "backbone.res#.short._conv.weight"),
        ("backbone.res2a.conv0._conv.weight", "backbone.res#.conv#._conv.weight"),
        ("head.fc.weight", "head.fc.weight"),
        ("conv3d.weight", "conv#.weight"),
    ],
)
def test_kinds_forget_numbers(name: str, expected: str) -> None:
    assert kind(name) == expected


def test_the_largest_share_wins_and_twins_go_together() -> None:
    found = nearest(["stem.weight", "block.4.weight", "block.5.weight", "out.weight"], SMALL)
    assert found is not None
    assert found.families == ("a", "twin of a")
    assert found.share == pytest.approx(2 / 3)
    assert (found.lacking, found.extra) == (("fc.weight",), ("out.weight",))


def test_of_equal_shares_the_one_with_the_fewest_other_kinds() -> None:
    found = nearest(
        ["x.weight", "y.weight"], {"one": ("x.weight", "z.weight"), "two": ("x.weight", "y.weight")}
    )
    assert found is not None
    assert found.families == ("two",)
    tie = nearest(["x.weight"], {"wide": ("x.weight",), "same": ("x.weight", "x.weight")})
    assert tie is not None
    assert tie.families == ("wide",)


def test_nothing_in_common() -> None:
    assert nearest(["x"], SMALL) is None
    assert nearest([], SMALL) is None
    assert nearest(["x"], {}) is None


@given(
    st.sampled_from(list(FULL)),
    st.integers(0, 99),
    st.lists(st.from_regex(r"extra\.[a-z]{1,8}", fullmatch=True), max_size=3),
)
def test_a_family_is_nearest_to_itself(family: str, number: int, extra: list[str]) -> None:
    """Whatever its blocks are numbered, and whatever it has besides."""
    names = [name.replace("0", str(number)) for name in FULL[family]]
    found = nearest([*names, *extra], FULL)
    assert found is not None
    assert family in found.families
    assert (found.share, found.lacking, set(found.extra)) == (1, (), set(extra))
