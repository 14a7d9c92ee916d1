from __future__ import annotations

from pathlib import Path

import pytest

from models.errors import UsageError
from runtime.session import SessionOptions
from runtime.settings import MOST_MIB, asked_of, count, one_of, resolved, switch
from tests.tiny_models import write_tiny_bundle

SETTINGS = (
    switch("graph", default="on", about="."),
    count("streams", default="1", about="."),
    count("workspace_mib", default="all", about=".", least=0, most=MOST_MIB),
    one_of("precision", ("f32", "f16"), default="f32", about="."),
)


def test_a_later_layer_wins_and_only_what_was_set_is_told() -> None:
    values = resolved("x", SETTINGS, {"graph": "off", "streams": "2"}, {"graph": "Yes"})
    assert values == {"graph": True, "streams": 2}


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("graph", "maybe", "on or off"),
        ("streams", "0", "a whole number from 1 to 1024"),
        ("streams", "1025", "a whole number from 1 to 1024"),
        ("streams", "two", "a whole number from 1 to 1024"),
        ("streams", "9" * 5000, "a whole number from 1 to 1024"),
        ("workspace_mib", "-1", "a whole number from 0 to 1048576"),
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


def test_options_go_over_the_card(tmp_path: Path) -> None:
    of_card = {"x": {"streams": "2", "graph": "off"}, "y": {"streams": "3"}}
    card = write_tiny_bundle(tmp_path).card.model_copy(update={"settings": of_card})
    options = SessionOptions(settings={"x": {"graph": "on"}, "y": {"precision": "f16"}})
    assert asked_of("x", SETTINGS, card, options) == {"streams": 2, "graph": True}
    assert asked_of("z", SETTINGS, card, options) == {}
