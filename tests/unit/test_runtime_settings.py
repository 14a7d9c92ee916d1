from __future__ import annotations

import pytest

from models.errors import UsageError
from runtime.settings import count, one_of, resolved, switch

SETTINGS = (
    switch("graph", default="on", about="."),
    count("streams", default="1", about="."),
    count("workspace_mib", default="all", about=".", least=0),
    one_of("precision", ("f32", "f16"), default="f32", about="."),
)


def test_a_later_layer_wins_and_only_what_was_set_is_told() -> None:
    values = resolved("x", SETTINGS, {"graph": "off", "streams": "2"}, {"graph": "Yes"})
    assert values == {"graph": True, "streams": 2}


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("graph", "maybe", "on or off"),
        ("streams", "0", "a whole number from 1"),
        ("streams", "two", "a whole number from 1"),
        ("workspace_mib", "-1", "a whole number from 0"),
        ("precision", "f64", "f32 or f16"),
    ],
)
def test_a_value_that_is_not_taken_is_told_with_what_is(
    name: str, text: str, expected: str
) -> None:
    with pytest.raises(UsageError) as caught:
        resolved("x", SETTINGS, {name: text})
    assert caught.value.message == f"Option {name} of backend x is {text!r}; expected {expected}."


def test_an_unknown_name_is_told_with_those_that_there_are() -> None:
    with pytest.raises(UsageError) as caught:
        resolved("x", SETTINGS, {"grahp": "on"})
    assert caught.value.message == "Backend x has no option 'grahp'."
    assert caught.value.hint == "It has graph, streams, workspace_mib, precision."


def test_a_backend_without_settings_says_so() -> None:
    with pytest.raises(UsageError) as caught:
        resolved("x", (), {"graph": "on"})
    assert caught.value.hint == "It has none."
