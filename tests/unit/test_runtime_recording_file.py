"""What is recorded comes back bit for bit, also from a file that a crash cut off."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from models.errors import SourceError, SourceNotFound
from runtime.recording import recording_file
from runtime.recording.entries import (
    Asked,
    Counts,
    Ended,
    Entry,
    Happened,
    entries_of,
    lines_of,
)
from runtime.recording.recording import Recording, StoredPicture
from runtime.recording.recording_file import PICTURE_CODECS, RecordingFile
from runtime.records import Frame, SourceCounts
from tests.recordings import befell, noise, opening, shown

PICTURES = 24


def recorded(path: Path, *, pictures: int = PICTURES, close: bool = True) -> list[Frame]:
    """A recording with two picture sizes, odd ones too."""
    file = RecordingFile(path, opening())
    frames = []
    for index in range(pictures):
        time_s = 0.1234567891 + index / 3
        picture = noise(index) if index < pictures // 2 else noise(index, width=33, height=21)
        frames.append(shown(index * 2, time_s, epoch=index // 12, picture=picture))
        file.note(Asked(time_s=time_s, answer="yes"))
        file.add(frames[-1], SourceCounts(received=index + 1, delivered=index + 1))
    file.note(Happened.of(befell("lost", 9.0, delivers=False, breaks=True)))
    file.note(Ended(how="stopped", counts=Counts(received=pictures)))
    if close:
        file.close()
        file.close()
    return frames


def read_back(path: Path, frames: list[Frame]) -> list[object]:
    """All entries that can be read; pictures must be the recorded ones, from the first on."""
    found: list[object] = []
    with Recording(path) as recording:
        assert recording.opening == opening()
        for entry in recording.entries():
            if isinstance(entry, StoredPicture):
                frame = frames[sum(isinstance(one, StoredPicture) for one in found)]
                assert np.array_equal(recording.picture(entry), frame.picture)
                assert entry.entry.time_s == frame.time_s
                assert (entry.entry.index, entry.entry.epoch) == (frame.index, frame.epoch)
            found.append(entry)
    return found


@pytest.mark.parametrize("codec", [one[0] for one in PICTURE_CODECS])
def test_it_all_comes_back(codec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usable = tuple(one for one in PICTURE_CODECS if one[0] == codec)
    monkeypatch.setattr(recording_file, "PICTURE_CODECS", usable)
    frames = recorded(tmp_path / "a.mkv")
    found = read_back(tmp_path / "a.mkv", frames)
    assert len(found) == 2 * PICTURES + 2
    assert found[0] == Asked(time_s=0.1234567891, answer="yes")
    happened, ended = found[-2:]
    assert isinstance(happened, Happened)
    assert happened.event() == befell("lost", 9.0, delivers=False, breaks=True)
    assert ended == Ended(how="stopped", counts=Counts(received=PICTURES))


def test_a_player_shows_it_as_a_video(tmp_path: Path) -> None:
    frames = recorded(tmp_path / "a.mkv")
    with av.open(str(tmp_path / "a.mkv")) as container:
        shown_frames = list(container.decode(video=0))
    assert len(shown_frames) == PICTURES
    assert np.array_equal(shown_frames[-1].to_ndarray(format="rgb24"), frames[-1].picture)
    assert shown_frames[-1].time == pytest.approx((PICTURES - 1) / 3, abs=0.001)


def test_a_file_that_was_never_completed_is_read_up_to_its_last_second(tmp_path: Path) -> None:
    frames = recorded(tmp_path / "a.mkv", close=False)
    found = read_back(tmp_path / "a.mkv", frames)
    pictures = [one for one in found if isinstance(one, StoredPicture)]
    assert frames[-1].time_s - pictures[-1].entry.time_s <= 1.0


def test_a_file_cut_anywhere_is_read_up_to_there(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    frames = recorded(path)
    whole = path.read_bytes()
    counts = []
    for size in range(0, len(whole), len(whole) // 60):
        path.write_bytes(whole[:size])
        try:
            counts.append(len(read_back(path, frames)))
        except SourceError:  # not even the first picture is there
            assert size < 20_000
            counts.append(0)
    assert counts == sorted(counts)
    assert len(set(counts)) > PICTURES // 2


def test_damage_is_told_and_never_shown(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    known = {frame.picture.tobytes() for frame in recorded(path, pictures=6)}
    whole = path.read_bytes()
    random = np.random.default_rng(5)
    failures = 0
    for _ in range(60):
        bad = bytearray(whole)
        bad[int(random.integers(0, len(bad)))] ^= int(random.integers(1, 256))
        path.write_bytes(bad)
        try:
            with Recording(path) as recording:
                for entry in recording.entries():
                    if isinstance(entry, StoredPicture):
                        assert recording.picture(entry).tobytes() in known
        except SourceError:
            failures += 1
    assert failures > 10


def test_a_recording_without_a_picture(tmp_path: Path) -> None:
    file = RecordingFile(tmp_path / "a.mkv", opening())
    file.note(Ended(how="ended"))
    file.close()
    assert read_back(tmp_path / "a.mkv", []) == [Ended(how="ended")]


@pytest.mark.parametrize("content", [b"", b"RIFF", b"\x1aE\xdf\xa3" + bytes(500)])
def test_what_is_no_recording(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.mkv").write_bytes(content)
    with pytest.raises(SourceError, match="no recording"):
        Recording(tmp_path / "a.mkv")


def test_a_video_is_no_recording(tmp_path: Path) -> None:
    from runtime.video_writer import VideoWriter

    writer = VideoWriter(tmp_path / "a.mkv", fps=10.0, width=64, height=48)
    writer.write(noise(1))
    writer.close()
    with pytest.raises(SourceError, match="no recording"):
        Recording(tmp_path / "a.mkv")


def test_there_is_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(SourceNotFound, match="no recording"):
        Recording(tmp_path / "a.mkv")


def test_entries_are_lines_of_json() -> None:
    entries: list[Entry] = [
        opening(),
        Asked(time_s=0.1 + 0.2, answer="all"),
        Ended(how="cut", text="full"),
    ]
    lines = lines_of(entries)
    assert lines.count(b"\n") == 2
    assert entries_of(lines) == entries


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"[]",
        b"{}",
        b'{"entry":"nothing"}',
        b'{"entry":"asked","time_s":NaN,"answer":"yes"}',
        b'{"entry":"asked","time_s":1,"answer":"perhaps"}',
        b'{"entry":"sized","width":0,"height":5}',
        b'{"entry":"sized","width":5,"height":99999999}',
        b'{"entry":"sized","width":16384,"height":16384}',
        b'{"entry":"ended","how":"ended","text":"\\u001b[31m"}',
        b"\xff\xfe",
    ],
)
def test_what_is_no_entry(line: bytes) -> None:
    with pytest.raises(ValueError, match="an entry is none"):
        entries_of(line)


def test_the_log_must_agree_with_itself(tmp_path: Path) -> None:
    file = RecordingFile(tmp_path / "a.mkv", opening())
    file.note(Asked(time_s=2.0, answer="no"))
    file.note(Asked(time_s=1.0, answer="no"))
    file.close()
    with (
        Recording(tmp_path / "a.mkv") as recording,
        pytest.raises(SourceError, match="comes after"),
    ):
        list(recording.entries())
