from __future__ import annotations

import json
from pathlib import Path

import pytest

from models.card import card_from_json
from models.errors import BundleError
from tests.tiny_models import write_tiny_bundle


def test_a_card_without_settings_is_as_it_was_before_there_were_any(tmp_path: Path) -> None:
    text = (write_tiny_bundle(tmp_path).path / "card.json").read_text()
    assert "settings" not in json.loads(text)
    card = card_from_json(text, origin="card.json")
    assert card.settings == {}
    assert card.to_json() == text


def test_settings_are_kept(tmp_path: Path) -> None:
    card = write_tiny_bundle(tmp_path).card
    settings = {"openvino": {"streams": "2"}, "cpu": {"spinning": "on"}}
    changed = card.model_copy(update={"settings": settings})
    assert card_from_json(changed.to_json(), origin="card.json").settings == settings


@pytest.mark.parametrize(
    "settings",
    [{"cpu": "fast"}, {"cpu": {"threads": 2}}, {"cpu": {"a": "\x1b[2J"}}, {"\n": {}}, [], "cpu"],
)
def test_settings_of_another_form_are_refused(tmp_path: Path, settings: object) -> None:
    facts = json.loads((write_tiny_bundle(tmp_path).path / "card.json").read_text())
    with pytest.raises(BundleError, match="settings"):
        card_from_json(json.dumps({**facts, "settings": settings}), origin="card.json")
