"""A folder of films that stays below a size."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path

import pytest

from runtime.outputs.film_folder import FilmFolder


def film(folder: Path, at: int, *, size: int = 1000, part: str = "", end: str = ".mp4") -> str:
    """A film of a second of the day."""
    name = f"20260131T1015{at:02d}Z-pan-left-0-{at}-9f3a{part}{end}"
    (folder / name).write_bytes(bytes(size))
    return name


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_oldest_go(tmp_path: Path) -> None:
    made = [film(tmp_path, at) for at in (3, 1, 2)]
    second = film(tmp_path, 1, part="-10")  # behind part 2 of the same film
    first = film(tmp_path, 1, part="-2")
    films = FilmFolder(tmp_path, 3500)
    films.make_room()
    assert names(tmp_path) == sorted([second, made[2], made[0]])
    assert films.removed == 2
    assert first not in names(tmp_path)
    films.make_room()
    assert films.removed == 2


def test_without_a_limit_nothing_goes(tmp_path: Path) -> None:
    film(tmp_path, 1)
    films = FilmFolder(tmp_path, None)
    films.begin("next.mp4")
    films.end("next.mp4")
    assert len(names(tmp_path)) == 1


def test_other_files_are_neither_counted_nor_touched(tmp_path: Path) -> None:
    others = ["holiday.mp4", "20260131T101501Z-pan-left.mp4", "20260131T101501Z-a-0-1-9f3a.txt"]
    for name in others:
        (tmp_path / name).write_bytes(bytes(5000))
    (tmp_path / "20260131T101500Z-a-0-1-9f3a.mp4").mkdir()
    (tmp_path / "20260131T101500Z-b-0-1-9f3a.mp4").symlink_to(tmp_path / others[0])
    kept = film(tmp_path, 5)
    films = FilmFolder(tmp_path, 1000)
    films.make_room()
    assert films.removed == 0
    assert kept in names(tmp_path)
    assert len(names(tmp_path)) == 6


def test_films_being_recorded_stay(tmp_path: Path) -> None:
    here = film(tmp_path, 1, end=".part.mp4")
    crashed = film(tmp_path, 2, end=".part.mp4")
    elsewhere = film(tmp_path, 3, end=".part.mp4")
    long_ago_s = time.time() - 3600
    for name in (here, crashed):
        os.utime(tmp_path / name, (long_ago_s, long_ago_s))
    films = FilmFolder(tmp_path, 1)
    films.begin(here.replace(".part", ""))
    assert names(tmp_path) == [here, elsewhere]
    (tmp_path / here).rename(tmp_path / here.replace(".part", ""))
    films.make_room()
    assert len(names(tmp_path)) == 2
    films.end(here.replace(".part", ""))
    assert names(tmp_path) == [elsewhere]


def test_the_newest_stays(tmp_path: Path) -> None:
    film(tmp_path, 1)
    newest = film(tmp_path, 2)
    FilmFolder(tmp_path, 1).make_room()
    assert names(tmp_path) == [newest]


def test_a_folder_that_lets_nothing_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    film(tmp_path, 1)
    film(tmp_path, 2)
    films = FilmFolder(tmp_path, 1)

    def refused(self: Path, *, missing_ok: bool = False) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "unlink", refused)
    with caplog.at_level(logging.WARNING):
        films.make_room()
        films.make_room()
    assert [one.getMessage() for one in caplog.records] == [
        f"{tmp_path}: old films cannot be removed: Permission denied"
    ]
