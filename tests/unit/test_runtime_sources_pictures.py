"""Numbered pictures and folders of pictures."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from models.errors import SourceError, SourceNotFound
from runtime.records import Picture
from runtime.sources import SourceOptions, open_source
from tests.video_files import number_of, numbered_picture


def write_picture(path: Path, picture: Picture) -> Path:
    assert cv2.imwrite(str(path), np.ascontiguousarray(picture[:, :, ::-1]))
    return path


@pytest.fixture
def frames_of(tmp_path: Path) -> Path:
    """Pictures img_00003.png to img_00008.png, without 6, and with a damaged 7."""
    for number in (3, 4, 5, 7, 8):
        write_picture(tmp_path / f"img_{number:05d}.png", numbered_picture(number))
    damaged = tmp_path / "img_00007.png"
    damaged.write_bytes(damaged.read_bytes()[:-60])
    write_picture(tmp_path / "img_9.png", numbered_picture(9))
    write_picture(tmp_path / "other_00001.png", numbered_picture(1))
    return tmp_path


def test_numbered_pictures_keep_their_places_in_time(frames_of: Path) -> None:
    options = SourceOptions(picture_fps=10.0)
    with open_source(str(frames_of / "img_%05d.png"), options) as source:
        assert source.description == "img_%05d.png (5 pictures, 64x48, 10 fps)"
        assert (source.live, source.fps) == (False, 10.0)
        assert source.duration_s == pytest.approx(0.6)
        frames = list(source)
        counts = source.counts
    assert [number_of(frame.picture) for frame in frames] == [3, 4, 5, 8]
    assert [frame.time_s for frame in frames] == pytest.approx([0.0, 0.1, 0.2, 0.5])
    assert [frame.index for frame in frames] == [0, 1, 2, 4]
    assert {frame.epoch for frame in frames} == {0}
    assert {frame.file for frame in frames} == {None}
    assert (counts.received, counts.delivered, counts.broken) == (5, 4, 1)


def test_a_number_without_zeros_before_it(frames_of: Path) -> None:
    with open_source(str(frames_of / "img_%d.png")) as source:
        assert [number_of(frame.picture) for frame in source] == [9]


@pytest.mark.parametrize("pattern", ["", "/", "/*.png"])
def test_pictures_of_a_folder_come_in_their_natural_order(tmp_path: Path, pattern: str) -> None:
    for number in (1, 2, 10):
        write_picture(tmp_path / f"{number}.png", numbered_picture(number))
    with open_source(f"{tmp_path}{pattern}", SourceOptions(picture_fps=2.0)) as source:
        assert "3 pictures, 64x48, 2 fps" in source.description
        frames = list(source)
    assert [number_of(frame.picture) for frame in frames] == [1, 2, 10]
    assert [frame.time_s for frame in frames] == [0.0, 0.5, 1.0]


def test_unwanted_pictures_are_not_read(frames_of: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    bytes_of = Path.read_bytes

    def noted(self: Path) -> bytes:
        read.append(self.name)
        return bytes_of(self)

    with open_source(str(frames_of / "img_%05d.png"), SourceOptions(picture_fps=10.0)) as source:
        monkeypatch.setattr(Path, "read_bytes", noted)
        frames = list(source.frames(lambda time_s: time_s >= 0.15))
        assert source.counts.skipped == 2
    assert len(frames) == 2
    assert read == ["img_00005.png", "img_00007.png", "img_00008.png"]


def test_colours_depth_and_turn_are_those_of_the_picture(tmp_path: Path) -> None:
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[:] = (220, 30, 60)
    write_picture(tmp_path / "a.png", picture)
    deep = np.full((48, 64), 128 * 257, np.uint16)
    assert cv2.imwrite(str(tmp_path / "b.png"), deep)
    with open_source(str(tmp_path)) as source:
        first, second = list(source)
    assert tuple(first.picture[0, 0]) == (220, 30, 60)
    assert tuple(second.picture[0, 0]) == (128, 128, 128)
    assert first.picture.dtype == second.picture.dtype == np.uint8


def test_another_size_begins_an_epoch(tmp_path: Path) -> None:
    for number, width in enumerate((64, 64, 80, 64)):
        write_picture(tmp_path / f"{number}.png", numbered_picture(number, width=width))
    with open_source(str(tmp_path)) as source:
        assert [frame.epoch for frame in source] == [0, 0, 1, 2]


def test_pictures_play_again_and_again(tmp_path: Path) -> None:
    for number in (1, 2):
        write_picture(tmp_path / f"{number}.jpg", numbered_picture(number))
    options = SourceOptions(picture_fps=10.0, loop=True)
    with open_source(str(tmp_path / "%d.jpg"), options) as source:
        frames = iter(source)
        found = [next(frames) for _ in range(5)]
    assert [number_of(frame.picture) for frame in found] == [1, 2, 1, 2, 1]
    assert [frame.time_s for frame in found] == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4])


def test_nothing_of_the_kind(tmp_path: Path) -> None:
    with pytest.raises(SourceNotFound, match=r"no picture .*img_%05d\.png with any number"):
        open_source(str(tmp_path / "img_%05d.png"))
    with pytest.raises(SourceNotFound, match="There is no folder"):
        open_source(str(tmp_path / "none" / "img_%05d.png"))
    for number in range(3):
        (tmp_path / f"{number}.png").write_bytes(b"no picture" * number)
    with pytest.raises(SourceError, match="None of the 3 pictures of"):
        open_source(str(tmp_path / "%d.png"))


def test_a_file_of_exactly_that_name_is_a_file(tmp_path: Path) -> None:
    named = write_picture(tmp_path / "img_%05d.png", numbered_picture(3))
    with open_source(str(named)) as source:
        assert [number_of(frame.picture) for frame in source] == [3]
