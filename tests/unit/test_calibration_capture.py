from __future__ import annotations

from pathlib import Path

import pytest

from calibration.capture import clips_folder, record, seconds_of
from models.errors import OutputError, SourceError, UsageError
from runtime.sources import open_source
from tests.video_files import numbered_picture, write_video


@pytest.mark.parametrize(
    ("text", "expected"),
    [("60s", 60.0), ("60", 60.0), ("1m", 60.0), ("1.5 min", 90.0), (" 2 s ", 2.0)],
)
def test_lengths(text: str, expected: float) -> None:
    assert seconds_of(text) == expected


@pytest.mark.parametrize("text", ["", "s", "0s", "-5s", "2h", "61m", "nan", "1e3"])
def test_lengths_that_are_none(text: str) -> None:
    with pytest.raises(UsageError, match="from 1 s"):
        seconds_of(text)


def test_the_folder_lies_beside_the_bundle(tmp_path: Path) -> None:
    assert clips_folder(tmp_path / "mine") == tmp_path / "mine-clips"


@pytest.fixture
def video(tmp_path: Path) -> Path:
    return write_video(tmp_path / "v.mp4", [numbered_picture(i % 32) for i in range(75)])


def test_a_recording_is_as_long_as_asked_and_never_overwritten(video: Path, tmp_path: Path) -> None:
    seconds: list[int] = []
    folder = tmp_path / "deep" / "clips"
    first = record(str(video), folder, length_s=2.0, on_second=seconds.append)
    second = record(str(video), folder, length_s=2.0, on_second=seconds.append)
    assert [path.name for path in (first, second)] == ["capture-1.avi", "capture-2.avi"]
    assert max(seconds) == 2
    with open_source(str(first)) as source:
        times_s = [frame.time_s for frame in source]
    assert times_s[-1] - times_s[0] == pytest.approx(2.0, abs=0.1)


def test_a_source_that_ends_at_once_leaves_nothing(tmp_path: Path) -> None:
    short = write_video(tmp_path / "s.mp4", [numbered_picture(1)] * 5)
    with pytest.raises(SourceError, match="ended after"):
        record(str(short), tmp_path / "clips", length_s=5.0, on_second=lambda _: None)
    assert list((tmp_path / "clips").iterdir()) == []


def test_a_folder_that_cannot_be_made(video: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="cannot be made"):
        record(str(video), tmp_path / "file" / "clips", length_s=1.0, on_second=lambda _: None)
