"""What a check of a data set finds, on real videos."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calibration.class_balance import IMBALANCE, balance_findings
from calibration.clip_facts import clip_facts
from calibration.clip_list import ClipList, ListOptions, read_clips
from calibration.clip_rows import Split
from calibration.dataset_check import CheckOptions, check_dataset
from calibration.dataset_report import DatasetReport, SplitFacts
from models.errors import SourceError
from tests.video_files import numbered_picture, write_numbered, write_video

NAMES = ("run", "walk")


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five videos of different content, of which one is short and one is cut off."""
    folder = tmp_path_factory.mktemp("videos")
    for place, count in enumerate((12, 13, 14, 3)):
        write_numbered(folder / f"{place}.mp4", count)
    # Without an index, as a camera leaves it when its power goes: readable up to the cut.
    whole = write_numbered(folder / "whole.mkv", 32)
    (folder / "cut.mkv").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    whole.unlink()
    return folder


@pytest.fixture
def data(videos: Path, tmp_path: Path) -> Path:
    """A data set of its own, to spoil."""
    shutil.copytree(videos, tmp_path / "videos")
    (tmp_path / "label.txt").write_text("0 run\n1 walk\n")
    return tmp_path


def report(data: Path, *, thorough: bool = False, **lists: list[str]) -> DatasetReport:
    """Check lists that are written beside the videos."""
    splits: dict[Split, ClipList] = {}
    names: tuple[Split, Split] = ("train", "val")
    for split in names:
        if split in lists:
            path = data / f"{split}.txt"
            path.write_text("".join(f"{line}\n" for line in lists[split]))
            splits[split] = read_clips(str(path), ListOptions(split=split))
    return check_dataset(splits, CheckOptions(frames=8, thorough=thorough))


def kinds(found: DatasetReport) -> list[tuple[str, str]]:
    return [(one.severity, one.kind) for one in found.findings]


def test_nothing_wrong(data: Path) -> None:
    found = report(data, train=["videos/0.mp4 0", "videos/1.mp4 1"])
    assert found.passed
    assert found.findings == ()
    assert (found.class_names, found.splits[0].counts) == (NAMES, (1, 1))
    videos = found.videos
    assert (videos.readable, videos.unreadable) == (2, 0)
    assert (videos.resolutions, videos.frame_rates) == ({"64x48": 2}, {"25": 2})
    assert videos.frames is not None
    assert (videos.frames.least, videos.frames.greatest) == (12, 13)
    assert videos.duration_s is not None
    assert videos.duration_s.median == pytest.approx(0.5)


def test_files_that_cannot_be_used(data: Path) -> None:
    (data / "videos" / "empty.mp4").touch()
    (data / "videos" / "text.mp4").write_text("no video\n")
    found = report(
        data,
        train=["videos/0.mp4 0", "videos/1.mp4 1", "videos/absent.mp4 1"],
        val=["videos/empty.mp4 0", "videos/text.mp4 1"],
    )
    assert kinds(found) == [("error", "missing"), ("error", "unreadable"), ("error", "unreadable")]
    missing, empty, text = found.findings
    assert missing.where == f"{data}/train.txt:3"
    assert empty.message == "videos/empty.mp4 is empty (0 bytes)."
    assert text.message == "videos/text.mp4 is a text file, not a video."
    assert (found.videos.readable, found.videos.unreadable) == (2, 3)
    assert not found.passed


def test_short(data: Path) -> None:
    found = report(data, train=["videos/0.mp4 0", "videos/3.mp4 1"])
    assert kinds(found) == [("warning", "short")]
    assert "has 3 frames, the model takes 8" in found.findings[0].message
    assert found.passed


def test_damage_shows_when_every_frame_is_decoded(data: Path) -> None:
    lines = ["videos/0.mp4 0", "videos/cut.mkv 1"]
    quick, thorough = report(data, train=lines), report(data, train=lines, thorough=True)
    assert quick.findings == ()
    assert kinds(thorough) == [("warning", "damaged")]
    assert "videos/cut.mkv: only " in thorough.findings[0].message
    assert thorough.videos.frames is not None
    assert thorough.videos.frames.greatest < 32


def test_copies(data: Path) -> None:
    for copy in ("same", "other", "tested"):
        shutil.copy(data / "videos" / "0.mp4", data / "videos" / f"{copy}.mp4")
    found = report(
        data,
        train=["videos/0.mp4 0", "videos/same.mp4 0", "videos/other.mp4 1", "videos/1.mp4 1"],
        val=["videos/tested.mp4 0", "videos/2.mp4 1"],
    )
    assert kinds(found) == [("error", "contradiction"), ("error", "leak"), ("warning", "duplicate")]
    contradiction, leak, duplicate = found.findings
    assert f"videos/other.mp4 ({data}/train.txt:3) with another label" in contradiction.message
    assert f"videos/tested.mp4 ({data}/val.txt:1)" in leak.message
    assert f"videos/same.mp4 ({data}/train.txt:2)" in duplicate.message


def test_the_same_line_twice(data: Path) -> None:
    found = report(
        data, train=["videos/0.mp4 0", "videos/1.mp4 1", "videos/0.mp4 0"], val=["videos/1.mp4 1"]
    )
    assert ("warning", "duplicate") in kinds(found)
    assert ("error", "leak") in kinds(found)
    assert any("is listed again" in one.message for one in found.findings)


def test_files_of_one_size_are_told_apart(data: Path) -> None:
    content = bytearray((data / "videos" / "0.mp4").read_bytes())
    content[-1] ^= 1
    (data / "videos" / "twin.mp4").write_bytes(content)
    found = report(data, train=["videos/0.mp4 0", "videos/twin.mp4 1"])
    assert found.findings == ()


def test_lines_and_labels(data: Path) -> None:
    found = report(data, train=["videos/0.mp4 0", "videos/1.mp4 1", "videos/2.mp4 2", "oops"])
    assert kinds(found) == [("error", "bad-line"), ("error", "bad-label")]
    assert [one.where for one in found.findings] == [f"{data}/train.txt:{n}" for n in (4, 3)]
    assert found.splits[0].samples == 3
    assert found.splits[0].labelled == 2


def test_what_paddle_cannot_read(data: Path) -> None:
    shutil.copy(data / "videos" / "0.mp4", data / "videos" / "a b.mp4")
    found = report(data, train=["# comment", "videos/a b.mp4,0", "videos/1.mp4,1"])
    assert kinds(found) == [("warning", "paddle-format")]
    assert found.findings[0].message.endswith(
        "it has a comma between path and label and blanks in 1 path and 1 line that are blank,"
        " comments or column names."
    )


def test_classes_without_names(data: Path) -> None:
    (data / "label.txt").unlink()
    found = report(data, train=["videos/0.mp4 0", "videos/1.mp4 2"], val=["videos/2.mp4 1"])
    assert (found.class_names, found.named) == (("class 0", "class 1", "class 2"), False)
    assert kinds(found) == [
        ("warning", "empty-class"),
        ("warning", "untested-class"),
        ("warning", "untrained-class"),
    ]


def test_unlabelled_folder(videos: Path) -> None:
    clips = read_clips(str(videos))
    found = check_dataset({"train": clips}, CheckOptions(frames=2))
    assert found.findings == ()
    assert found.class_names == ()


def test_every_video_is_looked_at_once(data: Path) -> None:
    clips = read_clips(str(data / "videos"))
    seen: list[str] = []
    check_dataset({"train": clips, "val": clips}, CheckOptions(frames=8), on_clip=seen.append)
    assert seen == [clip.name for clip in clips.clips]


def test_demo_counts_as_a_clip() -> None:
    found = check_dataset({"train": read_clips("demo")}, CheckOptions(frames=8))
    assert found.videos.resolutions == {"320x240": 1}


# -- facts of one video ------------------------------------------------------------------------


def test_facts_are_counted_only_when_asked_for(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.avi", [numbered_picture(n) for n in range(20)], fps=10.0)
    quick, thorough = (clip_facts(str(path), thorough=how) for how in (False, True))
    assert (quick.counted, thorough.counted) == (False, True)
    assert quick.frames == thorough.frames == 20
    assert (quick.width, quick.height, quick.fps) == (64, 48, 10.0)
    assert quick.duration_s == pytest.approx(2.0)
    assert thorough.duration_s == pytest.approx(2.0)


def test_cameras_are_no_clips(monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.fakes import FakeSource

    live = FakeSource([], live=True)
    monkeypatch.setattr("calibration.clip_facts.open_source", lambda uri: live)
    with pytest.raises(SourceError, match="has no end"):
        clip_facts("camera0", thorough=False)
    assert live.closed


# -- balance -----------------------------------------------------------------------------------


def half(split: Split, counts: list[int]) -> SplitFacts:
    return SplitFacts(
        split=split, origin=split, samples=sum(counts), counts=tuple(counts), sources=()
    )


counts = st.lists(st.integers(0, 60), min_size=3, max_size=3)


@settings(max_examples=80, deadline=None)
@given(train=counts, val=counts)
def test_balance(train: list[int], val: list[int]) -> None:
    names = ("a", "b", "c")
    found = {one.kind for one in balance_findings([half("train", train), half("val", val)], names)}
    present = [count for count in train if count]
    if not present:
        assert found == set()
        return
    assert ("empty-class" in found) == (0 in train)
    assert ("imbalance" in found) == (max(present) > IMBALANCE * min(present))
    pairs = list(zip(train, val, strict=True))
    assert ("untested-class" in found) == (any(val) and any(a and not b for a, b in pairs))
    assert ("untrained-class" in found) == any(b and not a for a, b in pairs)
