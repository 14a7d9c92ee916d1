"""Files of streams and options that make no sense, or mean harm: each a clear error."""

from __future__ import annotations

import unicodedata

import pytest

from tests.hostile import configs
from tests.hostile.case import Outcome, judge, play_all

CASES = {case.name: case for case in configs.asked()}
MISTYPED = {case.name: case for case in configs.mistyped()}


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    return play_all(tuple(CASES.values()), tmp_path_factory.mktemp("configs"))


@pytest.fixture(scope="module")
def of_mistyped(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    return play_all(tuple(MISTYPED.values()), tmp_path_factory.mktemp("mistyped"))


def test_there_are_enough_of_them() -> None:
    told = {(case.words, case.files) for case in (*CASES.values(), *MISTYPED.values())}
    assert len(told) == len(CASES) + len(MISTYPED) >= 300


@pytest.mark.parametrize("name", CASES)
def test_hostile_configs(name: str, outcomes: dict[str, Outcome]) -> None:
    judge(CASES[name], outcomes[name])


@pytest.mark.parametrize("name", MISTYPED)
def test_mistyped_options(name: str, of_mistyped: dict[str, Outcome]) -> None:
    """The parser of options tells in a frame of several lines, after how the command is used."""
    outcome = of_mistyped[name]
    said = outcome.err.encode("latin-1").decode("utf-8")
    assert outcome.code == 2, said
    assert "Error" in said
    assert "Traceback" not in said
    assert outcome.out == ""
    assert outcome.left == ()
    assert len(said) < 20_000
    assert not [one for one in said if unicodedata.category(one) == "Cc" and one != "\n"], said
