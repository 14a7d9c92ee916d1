"""Folders, patterns and lists of videos."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import SourceError, SourceNotFound
from runtime.records import Frame, SourceEvent
from runtime.sources import SourceOptions, open_source
from runtime.sources.list_file import listed_videos
from tests.video_files import number_of, numbered_picture, write_numbered, write_video


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Videos a2 (3 frames) and a10 (2), a damaged one between them, and what is no video."""
    folder = tmp_path / "clips"
    folder.mkdir()
    write_numbered(folder / "a10.mp4", 2, fps=10)
    write_numbered(folder / "a2.mp4", 3, fps=10)
    (folder / "a3.mp4").write_bytes(bytes(range(256)) * 64)
    (folder / "README").write_text("what these are")
    (folder / "._a2.mp4").write_bytes(b"of a Mac")
    (folder / "thumb.png").write_bytes(b"none")
    (folder / "more.mp4").mkdir()
    return folder


def read(uri: str | Path, *, loop: bool = False) -> tuple[list[Frame], list[str]]:
    """Frames, and the texts of the events."""
    with open_source(str(uri), SourceOptions(loop=loop)) as source:
        items = list(source.frames())
    events = [one.text for one in items if isinstance(one, SourceEvent)]
    return [one for one in items if isinstance(one, Frame)], events


@pytest.mark.parametrize("ending", ["", "/"])
def test_a_folder_plays_its_videos_in_their_natural_order(folder: Path, ending: str) -> None:
    frames, events = read(f"{folder}{ending}")
    assert [(frame.file, number_of(frame.picture)) for frame in frames] == [
        *(("a2.mp4", number) for number in range(3)),
        *(("a10.mp4", number) for number in range(2)),
    ]
    assert [frame.time_s for frame in frames] == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4])
    assert [frame.epoch for frame in frames] == [0, 0, 0, 1, 1]
    assert events == [
        "1 of 3: a2.mp4",
        f"a3.mp4 is left out: {folder / 'a3.mp4'} is not a video that FFmpeg can read.",
        "3 of 3: a10.mp4",
        "left out: 1 of 3 videos",
    ]


def test_a_pattern_plays_what_matches(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    frames, _ = read("clips/a?.mp4")
    assert [frame.file for frame in frames] == ["clips/a2.mp4"] * 3
    (folder / "a2.dat").write_bytes((folder / "a2.mp4").read_bytes())
    assert read("clips/a2*")[1] == ["1 of 1: clips/a2.mp4"]
    assert read("clips/*.dat")[0][0].file == "clips/a2.dat"
    frames, _ = read("**/a[12]*.mp4")
    assert [frame.file for frame in frames] == ["clips/a2.mp4"] * 3 + ["clips/a10.mp4"] * 2
    with pytest.raises(
        SourceNotFound, match=r"No video or picture matches clips/\*\.mov"
    ) as caught:
        open_source("clips/*.mov")
    assert "'clips/*.mp4'" in caught.value.hint


def test_a_file_whose_name_looks_like_a_pattern_is_a_file(folder: Path) -> None:
    named = (folder / "a2.mp4").rename(folder / "a[2]*?.mp4")
    frames, events = read(named)
    assert len(frames) == 3
    assert not events


@pytest.mark.parametrize("pattern", ["*\0", "[z-a]*", "[[]", "*" * 300, "~nobody-of-that-name/*"])
def test_odd_patterns_match_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pattern: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "README").write_text("no video by its name")
    with pytest.raises(SourceNotFound):
        open_source(pattern)


def test_empty_folder_and_folder_that_may_not_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SourceError, match="holds neither videos nor pictures") as caught:
        open_source(str(tmp_path))
    assert f"--source '{tmp_path}/**/*.mp4'" in caught.value.hint
    with pytest.raises(SourceError, match="cannot be read"):
        open_source(f"{tmp_path}/nothing/")

    def refuse(self: Path) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(SourceError, match="cannot be read: Permission denied"):
        open_source(str(tmp_path))


def test_a_list_plays_in_its_own_order(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    (folder / "my clip.mp4").write_bytes((folder / "a2.mp4").read_bytes())
    (folder / "all.txt").write_text(
        "# first the long one\n\na10.mp4 7\n'my clip.mp4'\nclips/a2.mp4\tpan left\nnone.mp4\n",
        encoding="utf-8-sig",
    )
    frames, events = read(folder / "all.txt")
    names = ["clips/a10.mp4", "clips/my clip.mp4", "clips/a2.mp4"]
    assert [str(Path(frame.file or "").resolve()) for frame in frames] == [
        str(Path(name).resolve())
        for name, count in zip(names, (2, 3, 3), strict=True)
        for _ in range(count)
    ]
    assert "none.mp4 is left out: There is no file" in events[-2]
    assert events[-1] == "left out: 1 of 4 videos"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "names no video"),
        (b"# nothing\n\n", "names no video"),
        (b"rtsp://10.0.0.7/live\n", r"list\.txt:1: a list names files, and this is an address"),
        (b"\xff\xfe\x00", "byte 0 is not UTF-8"),
        (b"a.mp4\nb.mp4\n", r"None of the 2 videos of list\.txt can be read"),
        (b"a\0b.mp4\n", r"cannot be read"),
    ],
)
def test_lists_that_are_none(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "list.txt"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=words):
        open_source(str(path))


def test_a_list_that_is_not_there_or_no_file(tmp_path: Path) -> None:
    with pytest.raises(SourceNotFound, match="There is no list"):
        open_source(str(tmp_path / "clips.txt"))
    os.mkfifo(tmp_path / "pipe.lst")
    with pytest.raises(SourceError, match="is no file, and so no list"):
        open_source(str(tmp_path / "pipe.lst"))


@given(st.binary(max_size=200))
def test_any_bytes_are_a_list_or_an_error(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.txt"
    path.write_bytes(data)
    with contextlib.suppress(SourceError):
        assert listed_videos(path)


@given(st.text(alphabet="*?[]!-%d05/.~\0 aé\udcff#\n", max_size=12))
def test_any_text_names_something_or_is_an_error(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    # Below a folder of its own, so that it names no camera, and nothing of this machine.
    for ending in ("", "/", "\0/", ".png", "\0/%d.png", ".txt"):
        with contextlib.suppress(SourceError):
            open_source(f"{tmp_path_factory.getbasetemp()}/none/{text}{ending}").close()


def test_one_video_loops_and_so_does_a_folder(folder: Path) -> None:
    (folder / "a3.mp4").unlink()
    for uri, expected in ((folder, [0, 1, 2, 0, 1, 0]), (folder / "a10.mp4", [0, 1, 0, 1, 0, 1])):
        found = []
        with open_source(str(uri), SourceOptions(loop=True)) as source:
            for frame in source:
                found.append(frame)
                if len(found) == 6:
                    break
        assert [number_of(frame.picture) for frame in found] == expected
        assert [frame.time_s for frame in found] == pytest.approx([i / 10 for i in range(6)])


def test_videos_of_several_sizes(tmp_path: Path) -> None:
    write_numbered(tmp_path / "a.mp4", 2)
    write_video(tmp_path / "b.mp4", [numbered_picture(5, width=80, height=60)] * 2)
    frames, _ = read(tmp_path)
    assert [frame.picture.shape[:2] for frame in frames] == [(48, 64)] * 2 + [(60, 80)] * 2
    assert [frame.epoch for frame in frames] == [0, 0, 1, 1]
