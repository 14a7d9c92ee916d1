"""The journal of an archive: what is in it survives, whatever befalls its end."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import OutputError, UsageError
from runtime.archive.files import stamp_of
from runtime.archive.journal import IDENTITY, Journal, begun, discard, journal_of
from runtime.archive.result import FileResult
from runtime.records import ScoredLabel

HEADER: dict[str, Any] = {**dict.fromkeys(IDENTITY, "x"), "engine": "any"}
TOP = (ScoredLabel(label="zoom ün", probability=0.75),)


def result_of(file: str, **facts: Any) -> FileResult:
    return FileResult(file=file, stamp=stamp_of(file), start_s=0.0, end_s=2.5, top=TOP, **facts)


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    paths = [tmp_path / f"{number}.mp4" for number in range(4)]
    for path in paths:
        path.write_bytes(b"video")
    return list(map(str, paths))


def test_results_come_back_in_the_order_asked_for(tmp_path: Path, files: list[str]) -> None:
    path = journal_of(tmp_path / "out.jsonl")
    odd = os.fsdecode(b"/caf\xe9\n.mp4")
    with Journal(path, HEADER) as journal:
        for file in reversed(files):
            journal.append(result_of(file, warnings=("cut off",)))
        journal.append(FileResult(file=odd, stamp=None, error="no such file"))

    with Journal(path, HEADER) as journal:
        assert journal.undone([*files, odd]) == []
        assert [one.file for one in journal.results([*files, odd])] == [*files, odd]
        assert next(journal.results(files)) == result_of(files[0], warnings=("cut off",))


@settings(max_examples=40)
@given(cut=st.integers(0, 900))
def test_a_torn_line_is_dropped_and_its_file_done_again(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    folder = tmp_path_factory.mktemp("torn")
    path = folder / "journal"
    names = [str(folder / f"{number}.mp4") for number in range(3)]
    with Journal(path, HEADER) as journal:
        for name in names:
            journal.append(result_of(name))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) - min(cut, len(whole))])
    left = path.read_bytes().count(b"\n") - 1

    with Journal(path, HEADER) as journal:
        assert journal.undone(names) == names[max(left, 0) :]
        for name in journal.undone(names):
            journal.append(result_of(name))
        assert [one.file for one in journal.results(names)] == names
    assert path.read_bytes() == whole


def test_a_damaged_line_in_the_middle_is_dropped(
    tmp_path: Path, files: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "journal"
    with Journal(path, HEADER) as journal:
        for file in files:
            journal.append(result_of(file))
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:2], b"\0" * 20 + b"\n", *lines[3:]]))

    with caplog.at_level(logging.WARNING), Journal(path, HEADER) as journal:
        assert journal.undone(files) == [files[1]]
    assert "1 lines are damaged" in caplog.text


def test_a_second_header_is_a_damaged_line(tmp_path: Path, files: list[str]) -> None:
    path = tmp_path / "journal"
    with Journal(path, HEADER) as journal:
        for file in files:
            journal.append(result_of(file))
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:2], lines[0], *lines[3:]]))

    with Journal(path, HEADER) as journal:
        assert journal.undone(files) == [files[1]]


def test_a_damaged_header_is_called_so(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    Journal(path, HEADER).close()
    path.write_bytes(path.read_bytes().replace(b"}", b"\0"))

    with pytest.raises(OutputError, match=r"^The first line .* is damaged") as caught:
        Journal(path, HEADER)
    assert f"rm {path}" in caught.value.hint


def test_a_file_that_changed_is_done_again(tmp_path: Path, files: list[str]) -> None:
    path = tmp_path / "journal"
    with Journal(path, HEADER) as journal:
        for file in files:
            journal.append(result_of(file))
        os.utime(files[0], ns=(1, 1))
        Path(files[1]).write_bytes(b"longer video")
        Path(files[2]).unlink()
        assert journal.undone(files) == files[:3]
        journal.append(result_of(files[0], error="now broken"))

    with Journal(path, HEADER) as journal:
        assert journal.undone(files) == files[1:3]
        assert next(journal.results(files)).error == "now broken"


@pytest.mark.parametrize("field", IDENTITY)
def test_a_journal_of_something_else_is_refused(tmp_path: Path, field: str) -> None:
    path = tmp_path / "journal"
    Journal(path, HEADER).close()

    with pytest.raises(UsageError, match=f"another {IDENTITY[field]}"):
        Journal(path, {**HEADER, field: "y"})
    Journal(path, {**HEADER, "engine": "other"}).close()


def test_two_runs_do_not_write_one_journal(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal", HEADER), pytest.raises(OutputError, match="Another run"):
        Journal(tmp_path / "journal", HEADER)


def test_files_of_others_are_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    path.write_text("dear diary\n")

    assert begun(path) is None
    with pytest.raises(OutputError, match="something else"):
        Journal(path, HEADER)
    with pytest.raises(OutputError, match="no journal"):
        discard(path)
    assert path.read_text() == "dear diary\n"


def test_what_was_begun_is_known_until_it_is_discarded(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    journal = Journal(path, HEADER)
    assert (begun(path) or {})["engine"] == "any"
    journal.discard()
    assert begun(path) is None
    assert not path.exists()
    discard(path)
