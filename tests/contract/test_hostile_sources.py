"""Sources that are none, or lie, or mean harm: each a clear error or a clean skip."""

from __future__ import annotations

import pytest

from tests.hostile import words
from tests.hostile.case import Outcome, judge, play_all

CASES = {case.name: case for case in words.recorded()}


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    return play_all(tuple(CASES.values()), tmp_path_factory.mktemp("hostile"))


def test_there_are_enough_of_them() -> None:
    assert len(set(words.WORDS)) == len(words.WORDS) == len(CASES) >= 200


@pytest.mark.parametrize("name", CASES)
def test_hostile_words(name: str, outcomes: dict[str, Outcome]) -> None:
    judge(CASES[name], outcomes[name])
