"""Which files make up an archive."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import pytest

from models.errors import SourceError, SourceNotFound, UsageError
from runtime.archive.files import Stamp, archive_files, stamp_of


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in (
        "b/2.mp4",
        "b/10.mp4",
        "a.MKV",
        "tape.dat",
        "list.txt",
        ".hidden.mp4",
        ".trash/x.mp4",
    ):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(name.encode())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_folder_gives_the_videos_below_it(tree: Path) -> None:
    expected = [str(tree / name) for name in ("a.MKV", "b/10.mp4", "b/2.mp4")]

    assert list(archive_files([str(tree)])) == expected
    assert list(archive_files(["."])) == ["a.MKV", "b/10.mp4", "b/2.mp4"]


def test_a_file_is_taken_whatever_its_name(tree: Path) -> None:
    assert archive_files(["tape.dat"]) == ("tape.dat",)


def test_a_pattern_gives_videos_in_their_natural_order(tree: Path) -> None:
    assert archive_files(["b/*"]) == ("b/2.mp4", "b/10.mp4")
    assert archive_files(["**/*.mp4"]) == ("b/2.mp4", "b/10.mp4")


def test_every_file_is_there_once(tree: Path) -> None:
    assert archive_files(["b/2.mp4", "b", "./b/../b/2.mp4"]) == ("b/2.mp4", "b/10.mp4")


@pytest.mark.parametrize("ends", [b"\n", b"\r\n", b"\0"])
def test_a_list_names_files_that_need_not_be_there(tree: Path, ends: bytes) -> None:
    Path("list").write_bytes(ends.join([b"b/2.mp4", b"not there.mp4", b"caf\xe9.mp4", b""]))

    files = archive_files(["a.MKV"], ["list"])

    assert files == ("a.MKV", "b/2.mp4", "not there.mp4", os.fsdecode(b"caf\xe9.mp4"))


def test_a_list_may_come_on_stdin(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"b/2.mp4\n")))

    assert archive_files([], ["-"]) == ("b/2.mp4",)


@pytest.mark.parametrize(
    ("place", "error", "words"),
    [
        ("nothing.mp4", SourceNotFound, "no file or folder nothing.mp4"),
        ("*.avi", SourceNotFound, r"matches \*.avi"),
        ("rtsp://me:secret@box/1", UsageError, "an address"),
        ("list.txt", UsageError, "list.txt is a list of videos"),
        ("empty", SourceError, "no videos in empty; in folders"),
    ],
)
def test_what_names_no_file_is_refused(
    tree: Path, place: str, error: type[Exception], words: str
) -> None:
    (tree / "empty").mkdir()
    with pytest.raises(error, match=words) as refused:
        archive_files([place])
    assert "secret" not in str(getattr(refused.value, "hint", ""))


def test_a_list_that_is_not_there_is_refused(tree: Path) -> None:
    with pytest.raises(SourceNotFound, match="no list nowhere"):
        archive_files([], ["nowhere"])
    with pytest.raises(SourceError, match="cannot be read"):
        archive_files([], ["b"])


def test_a_stamp_changes_with_the_file(tree: Path) -> None:
    before = stamp_of("a.MKV")
    os.utime("a.MKV", ns=(5, 7))

    assert stamp_of("a.MKV") == Stamp(5, 7) != before
    assert stamp_of("nothing") is None
