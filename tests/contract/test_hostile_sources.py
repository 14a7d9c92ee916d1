"""Sources that are none, or lie, or mean harm: each a clear error or a clean skip."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hostile import answers, containers, seeds, words
from tests.hostile.canary import watched
from tests.hostile.case import CANARY, Case, Outcome, judge, play_all
from tests.hostile.hosts import Host

WORDS = {case.name: case for case in words.recorded()}
FILES = {case.name: case for case in containers.recorded()}


@pytest.fixture(scope="module")
def of_words(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    return play_all(tuple(WORDS.values()), tmp_path_factory.mktemp("words"))


@pytest.fixture(scope="module")
def canary() -> Iterator[Path]:
    path = Path(CANARY)
    path.write_bytes(seeds.video("ts"))
    yield path
    path.unlink()


@pytest.fixture(scope="module")
def of_files(canary: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    with watched(canary):
        return play_all(tuple(FILES.values()), tmp_path_factory.mktemp("files"))


@pytest.fixture(scope="module")
def hosts() -> Iterator[dict[str, Host]]:
    found = answers.hosts()
    yield found
    for host in found.values():
        host.close()


@pytest.fixture(scope="module")
def streams(hosts: dict[str, Host]) -> dict[str, Case]:
    return {case.name: case for case in answers.watched(hosts)}


@pytest.fixture(scope="module")
def of_answers(
    streams: dict[str, Case], canary: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Outcome]:
    again = answers.watched_on(streams.values())
    with watched(canary):
        return play_all((*streams.values(), *again), tmp_path_factory.mktemp("answers"), at_once=16)


def test_there_are_enough_of_them() -> None:
    assert len(set(words.WORDS)) == len(words.WORDS) == len(WORDS) >= 200
    assert len(set(answers.NAMES)) == len(answers.NAMES) >= 200
    assert (
        len({(case.words, case.files, case.stdin) for case in FILES.values()}) == len(FILES) >= 200
    )


@pytest.mark.parametrize("name", WORDS)
def test_hostile_words(name: str, of_words: dict[str, Outcome]) -> None:
    judge(WORDS[name], of_words[name])


@pytest.mark.parametrize("name", answers.NAMES)
def test_hostile_answers(
    name: str, streams: dict[str, Case], of_answers: dict[str, Outcome]
) -> None:
    judge(streams[name], of_answers[name])


@pytest.mark.parametrize("name", answers.TRIED_AGAIN)
def test_what_may_be_mended_is_tried_again(
    name: str, streams: dict[str, Case], of_answers: dict[str, Outcome]
) -> None:
    outcome = of_answers[f"{name}, again"]
    judge(streams[name], outcome)
    assert "trying again in" in outcome.err
    assert "also when tried 1 more time." in outcome.err


@pytest.mark.parametrize("name", FILES)
def test_hostile_files(name: str, of_files: dict[str, Outcome]) -> None:
    judge(FILES[name], of_files[name])
