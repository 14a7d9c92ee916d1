"""Lists of clips from folders, globs, lists and data sets; labels by number and by name."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from calibration.clip_list import (
    ClipList,
    ListOptions,
    checked,
    evenly_chosen,
    merged,
    read_clips,
)
from models.errors import DatasetError, SourceError, SourceNotFound

MODEL = ("still", "pan left", "zoom in")


def files(folder: Path, *names: str) -> Path:
    """Empty files; nothing here opens them."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


def write_list(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def read(given: Path | str, **options: object) -> ClipList:
    return read_clips(str(given), ListOptions(**options))  # type: ignore[arg-type]


def pairs(clips: ClipList) -> list[tuple[str, int | None]]:
    return [(clip.name, clip.label) for clip in clips.clips]


# -- where clips come from ---------------------------------------------------------------------


def test_demo() -> None:
    clips = read("demo")
    assert (clips.kind, pairs(clips)) == ("demo", [("demo", None)])
    assert clips.clips[0].source == "demo"


def test_single_video(tmp_path: Path) -> None:
    files(tmp_path, "a.MP4")
    clips = read(tmp_path / "a.MP4")
    assert (clips.kind, clips.labelled) == ("file", 0)
    assert clips.clips[0].source == str(tmp_path / "a.MP4")


def test_folder_is_recursive_and_ordered(tmp_path: Path) -> None:
    files(tmp_path, "b.mp4", "a/z.avi", "a.mkv", "._b.mp4", ".hidden/c.mp4", "notes.txt")
    clips = read(tmp_path)
    assert clips.kind == "folder"
    assert pairs(clips) == [("a/z.avi", None), ("a.mkv", None), ("b.mp4", None)]


@pytest.mark.skipif(os.name == "nt", reason="symbolic links")
def test_links_to_folders_are_followed_once(tmp_path: Path) -> None:
    files(tmp_path / "real", "one.mp4")
    (tmp_path / "real" / "loop").symlink_to(tmp_path / "real")
    files(tmp_path / "data", "two.mp4")
    (tmp_path / "data" / "linked").symlink_to(tmp_path / "real")
    assert [clip.name for clip in read(tmp_path / "data").clips] == ["linked/one.mp4", "two.mp4"]


def test_glob(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files(tmp_path, "x/b.mp4", "x/a.mp4", "x/notes.txt", "x/raw.bin", "y/c.mp4")
    monkeypatch.chdir(tmp_path)
    assert [clip.name for clip in read("x/*").clips] == ["x/a.mp4", "x/b.mp4"]
    assert [clip.name for clip in read("**/*.mp4").clips] == ["x/a.mp4", "x/b.mp4", "y/c.mp4"]
    assert [clip.name for clip in read("x/*.bin").clips] == ["x/raw.bin"]
    assert len(read(f"{tmp_path}/x/*.mp4").clips) == 2
    with pytest.raises(SourceNotFound, match=r"No file matches z/\*\.mp4"):
        read("z/*.mp4")
    with pytest.raises(SourceNotFound, match=r"None of the 1 files that matches x/\*\.t\?t"):
        read("x/*.t?t")


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(SourceNotFound, match="no file or folder"):
        read(tmp_path / "absent")
    with pytest.raises(DatasetError, match="holds no video"):
        read(files(tmp_path, "notes.txt"))
    with pytest.raises(DatasetError, match="is empty"):
        read(write_list(tmp_path / "empty.txt", "# nothing", ""))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="POSIX pipes")
def test_pipes_are_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SourceError, match="device or pipe"):
        read(tmp_path / "pipe")


def test_names_that_are_cameras_stay_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files(tmp_path, "0", "demo")
    write_list(tmp_path / "list.txt", "0 1", "demo 2")
    monkeypatch.chdir(tmp_path)
    sources = [clip.source for clip in read("list.txt").clips]
    assert sources == [os.path.join(".", "0"), os.path.join(".", "demo")]  # noqa: PTH118


# -- lists -------------------------------------------------------------------------------------


def test_list_beside_its_videos(tmp_path: Path) -> None:
    files(tmp_path, "videos/a b.mp4", "videos/c.mp4")
    clips = read(write_list(tmp_path / "val.txt", "videos/a b.mp4 1", "videos/c.mp4 0"))
    assert pairs(clips) == [("videos/a b.mp4", 1), ("videos/c.mp4", 0)]
    assert [clip.where for clip in clips.clips] == [f"{tmp_path}/val.txt:{n}" for n in (1, 2)]
    assert Path(clips.clips[0].source) == tmp_path / "videos" / "a b.mp4"


def test_list_in_a_folder_of_the_data_set(tmp_path: Path) -> None:
    """Paths count from the data root, which has videos/ and label.txt."""
    files(tmp_path, "videos/a.mp4")
    write_list(tmp_path / "label.txt", "0 run", "1 walk")
    clips = read(write_list(tmp_path / "lists" / "val.txt", "videos/a.mp4 1"))
    assert Path(clips.clips[0].source) == tmp_path / "videos" / "a.mp4"
    assert clips.class_names == ("run", "walk")
    assert clips.label_file == tmp_path / "label.txt"


def test_list_with_paths_from_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As PaddleVideo reads it."""
    files(tmp_path, "data/k400/videos/a.mp4")
    write_list(tmp_path / "label.txt", "0 of another data set")
    write_list(tmp_path / "data/k400/val.list", "data/k400/videos/a.mp4 1")
    monkeypatch.chdir(tmp_path)
    clips = read("data/k400/val.list")
    assert Path(clips.clips[0].source).is_file()
    assert clips.class_names is None


def test_root_and_backslashes(tmp_path: Path) -> None:
    files(tmp_path / "elsewhere", "x/a.mp4")
    path = write_list(tmp_path / "lists" / "val.txt", "x\\a.mp4 1")
    assert Path(read(path, root=tmp_path / "elsewhere").clips[0].source).is_file()
    missing = Path(read(path).clips[0].source)
    assert missing.parent == tmp_path / "lists"


def test_absolute_paths(tmp_path: Path) -> None:
    files(tmp_path, "a.mp4")
    path = write_list(tmp_path / "lists" / "val.txt", f"{tmp_path / 'a.mp4'} 1")
    assert Path(read(path).clips[0].source) == tmp_path / "a.mp4"


def test_frame_lists_are_refused(tmp_path: Path) -> None:
    path = write_list(tmp_path / "frames.list", "# PaddleVideo", "frames/abc 150 1")
    with pytest.raises(DatasetError, match=r"frames\.list:2: .*`folder n_frames label`"):
        read(path)


def test_files_without_ending_are_no_frame_list(tmp_path: Path) -> None:
    files(tmp_path, "take 3")
    clips = read(write_list(tmp_path / "val.txt", "take 3 1"))
    assert pairs(clips) == [("take 3", 1)]


def test_mistakes_name_file_and_line(tmp_path: Path) -> None:
    write_list(tmp_path / "label.txt", "run", "walk")
    path = write_list(tmp_path / "val.txt", "a.mp4 1", "b.mp4", "c.mp4 2", "d.mp4 -1")
    clips = read(path)
    assert pairs(clips) == [("a.mp4", 1), ("c.mp4", None), ("d.mp4", None)]
    assert [(one.kind, one.where) for one in clips.problems] == [
        ("line", f"{path}:2"),
        ("label", f"{path}:3"),
        ("label", f"{path}:4"),
    ]
    assert "class numbers are 0 to 1" in clips.problems[1].message
    with pytest.raises(DatasetError, match=rf"{path}:2: .*\(2 more like it\)"):
        checked(clips)


def test_text_that_is_no_list(tmp_path: Path) -> None:
    path = write_list(tmp_path / "README.md", "# Title", "Some prose about clips.")
    with pytest.raises(DatasetError, match=r"README\.md:2"):
        read(path)


# -- labels ------------------------------------------------------------------------------------


def test_folder_per_class(tmp_path: Path) -> None:
    files(tmp_path, "Pan_Left/a.mp4", "ZOOM IN/deep/er/b.mp4", "still/c.mp4")
    clips = read(tmp_path, model_names=MODEL)
    assert clips.kind == "class folders"
    assert sorted(pairs(clips)) == [
        ("Pan_Left/a.mp4", 1),
        ("ZOOM IN/deep/er/b.mp4", 2),
        (
            "still/c.mp4",
            0,
        ),
    ]
    assert clips.notes == ()


def test_one_folder_misspelt(tmp_path: Path) -> None:
    files(tmp_path, "pan lfet/a.mp4", "still/c.mp4")
    clips = read(tmp_path, model_names=MODEL)
    assert sorted(pairs(clips)) == [("pan lfet/a.mp4", None), ("still/c.mp4", 0)]
    with pytest.raises(DatasetError, match=r"'pan lfet', which is none of the 3 .*'pan left'"):
        checked(clips)


@pytest.mark.parametrize(
    ("names", "numbers", "note"),
    [
        (None, [0, 1, 2], "numbered in sorted order"),
        (("x", "y", "z"), [0, 1, 2], "'anna' is class 0, 'x'"),
        (("x", "y"), [None, None, None], "have no labels"),
    ],
)
def test_folders_that_are_no_known_classes(
    tmp_path: Path, names: tuple[str, ...] | None, numbers: list[int | None], note: str
) -> None:
    files(tmp_path, "carl/3.mp4", "anna/1.mp4", "bert/2.mp4")
    clips = read(tmp_path, model_names=names)
    assert [clip.label for clip in clips.clips] == numbers
    assert note in clips.notes[0]


def test_folders_called_by_number(tmp_path: Path) -> None:
    files(tmp_path, "0/a.mp4", "10/b.mp4", "2/c.mp4")
    assert sorted(pairs(read(tmp_path))) == [("0/a.mp4", 0), ("10/b.mp4", 10), ("2/c.mp4", 2)]
    by_name = read(tmp_path, model_names=("10", "2", "0"))
    assert sorted(pairs(by_name)) == [("0/a.mp4", 2), ("10/b.mp4", 0), ("2/c.mp4", 1)]
    beyond = read(tmp_path, model_names=MODEL)
    assert [one.kind for one in beyond.problems] == ["label"]


def test_one_folder_is_no_class(tmp_path: Path) -> None:
    clips = read(files(tmp_path, "videos/a.mp4", "videos/b.mp4"))
    assert (clips.labelled, clips.class_names) == (0, None)


def test_lists_with_class_names(tmp_path: Path) -> None:
    path = write_list(tmp_path / "val.csv", "video,class", "a.mp4,Pan Left", "b.mp4,still")
    assert pairs(read(path, model_names=MODEL)) == [("a.mp4", 1), ("b.mp4", 0)]
    alone = read(path)
    assert (alone.class_names, [clip.label for clip in alone.clips]) == (
        ("Pan Left", "still"),
        [
            0,
            1,
        ],
    )


def test_label_file_of_another_order_than_the_model(tmp_path: Path) -> None:
    write_list(tmp_path / "label.txt", "0 Zoom In", "1 Still")
    path = write_list(tmp_path / "val.txt", "a.mp4 0", "b.mp4 1")
    clips = read(path, model_names=MODEL)
    assert pairs(clips) == [("a.mp4", 2), ("b.mp4", 0)]
    assert clips.class_names == MODEL
    assert "by name" in clips.notes[0]


def test_label_file_with_other_names_and_as_many(tmp_path: Path) -> None:
    write_list(tmp_path / "label.txt", "0 run", "1 walk", "2 swim")
    clips = read(write_list(tmp_path / "val.txt", "a.mp4 2"), model_names=MODEL)
    assert pairs(clips) == [("a.mp4", 2)]
    assert "taken as they are" in clips.notes[0]


def test_label_file_of_another_model(tmp_path: Path) -> None:
    write_list(tmp_path / "label.txt", "0 still", "1 walk", "2 swim")
    path = write_list(tmp_path / "val.txt", "a.mp4 0", "b.mp4 2")
    with pytest.raises(DatasetError, match=r"val\.txt:2: of the 2 classes .* 1 are none .*'swim'"):
        read(path, model_names=MODEL)
    only_known = write_list(tmp_path / "val2.txt", "a.mp4 0")
    assert pairs(read(only_known, model_names=MODEL)) == [("a.mp4", 0)]


# -- data sets ---------------------------------------------------------------------------------


@pytest.mark.parametrize("nested", ["", "k400_examples"])
def test_paddlex_data_set(tmp_path: Path, nested: str) -> None:
    root = tmp_path / nested
    files(root, "videos/a.mp4", "videos/b.mp4")
    write_list(root / "label.txt", "0 run", "1 walk")
    write_list(root / "train.txt", "videos/a.mp4 0")
    write_list(root / "val.txt", "videos/b.mp4 1")
    val, train = read(tmp_path), read(tmp_path, split="train")
    assert pairs(val) == [("videos/b.mp4", 1)]
    assert pairs(train) == [("videos/a.mp4", 0)]
    assert val.class_names == train.class_names == ("run", "walk")
    assert (val.origin, val.place) == (str(tmp_path), str(root / "val.txt"))


def test_folders_train_and_val(tmp_path: Path) -> None:
    files(tmp_path, "train/run/a.mp4", "train/walk/b.mp4", "val/walk/c.mp4", "val/run/d.mp4")
    assert pairs(read(tmp_path)) == [("run/d.mp4", 0), ("walk/c.mp4", 1)]
    assert len(read(tmp_path, split="train").clips) == 2


def test_a_class_called_train_is_no_half(tmp_path: Path) -> None:
    files(tmp_path, "train/a.mp4", "bus/b.mp4")
    assert pairs(read(tmp_path)) == [("bus/b.mp4", 0), ("train/a.mp4", 1)]


# -- whole lists -------------------------------------------------------------------------------


def listed(tmp_path: Path, name: str, labels: Sequence[int]) -> ClipList:
    lines = [f"{name}{place}.mp4 {label}" for place, label in enumerate(labels)]
    return read(write_list(tmp_path / f"{name}.txt", *lines))


def test_digest_counts_names_and_labels(tmp_path: Path) -> None:
    first = listed(tmp_path, "a", [0, 1])
    assert first.sha256 == listed(tmp_path / "moved", "a", [0, 1]).sha256
    assert first.sha256 != listed(tmp_path, "a", [1, 0]).sha256
    assert first.sha256 != listed(tmp_path, "a", [0, 1, 1]).sha256


def test_merged(tmp_path: Path) -> None:
    one, two = listed(tmp_path, "a", [0, 1]), listed(tmp_path, "b", [1])
    both = merged([one, two])
    assert [clip.name for clip in both.clips] == ["a0.mp4", "a1.mp4", "b0.mp4"]
    assert merged([one]) is one
    files(tmp_path, "c/x/1.mp4", "c/y/1.mp4", "d/x/1.mp4", "d/z/1.mp4")
    with pytest.raises(DatasetError, match="name different classes"):
        merged([read(tmp_path / "c"), read(tmp_path / "d")])


@pytest.mark.parametrize(("limit", "places"), [(4, [0, 2, 5, 7]), (1, [0]), (10, list(range(10)))])
def test_evenly_chosen(tmp_path: Path, limit: int, places: list[int]) -> None:
    chosen = evenly_chosen(listed(tmp_path, "a", range(10)), limit)
    assert [clip.label for clip in chosen.clips] == places
    assert evenly_chosen(chosen, None) is chosen
