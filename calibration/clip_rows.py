"""From what a user names to rows: one per clip, with its label as it is written there."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from calibration.folders import folders_in
from calibration.list_lines import LineProblem, ListLine, looks_like_frame_folders, parse_lines
from calibration.text_file import printable, read_text
from models.errors import DatasetError, SourceError, SourceNotFound
from runtime.file_names import is_video_name
from runtime.sources import SOURCES
from runtime.sources.address import masked
from runtime.video_folder import videos_below

ClipKind = Literal["demo", "file", "glob", "folder", "class folders", "list"]
"""Forms in which clips are given."""

Split = Literal["train", "val"]
"""Halves of a data set."""

LABEL_FILE = "label.txt"
"""Class names of a PaddleX data set, in its folder."""

_VIDEOS_FOLDER = "videos"
_DEMO = "demo"
_SNIFFED_BYTES = 4096
_PARENTS_SEARCHED = 3
_SPLIT_NAMES: dict[Split, tuple[str, ...]] = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "test"),
}
_LIST_SUFFIXES = (".txt", ".list", ".csv")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A clip before its label is understood.

    Attributes:
        name: As listed, fit for messages and reports.
        source: As `runtime.sources.open_source` takes it.
        label: As written: digits, a class name, the name of a folder; None without.
        where: Where it is listed, e.g. "val.txt:12".
    """

    name: str
    source: str
    label: str | None
    where: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """All that was found.

    Attributes:
        kind: The form.
        rows: In a fixed order.
        problems: Lines of a list that are no clip.
        separator: Of a list; None without labels.
        skipped: Blank lines, comments and headers of a list.
        path: The list or folder that was read; None for the demo and a glob.
        label_file: The `label.txt` that belongs to it, if there is one.
    """

    kind: ClipKind
    rows: tuple[Row, ...]
    problems: tuple[LineProblem, ...] = ()
    separator: str | None = None
    skipped: int = 0
    path: Path | None = None
    label_file: Path | None = None


def find_rows(given: str, *, root: Path | None, split: Split) -> Rows:
    """Read what the user named.

    Args:
        given: `demo`, a video, a folder, a glob or a list.
        root: Where relative paths of a list start; None to find out.
        split: Which half of a data set a folder stands for, when it holds both.

    Raises:
        SourceNotFound: There is nothing of that name.
        SourceError: It is a device or pipe.
        DatasetError: There is, and it holds no clips, or cannot be read.
    """
    if given == _DEMO:
        row = Row(name=_DEMO, source=_DEMO, label=None, where=_DEMO)
        return Rows(kind="demo", rows=(row,))
    path = Path(given).expanduser()
    if path.is_dir():
        return _from_folder(path, root=root, split=split)
    if path.exists():
        return _from_file(path, given=given, root=root)
    if any(letter in given for letter in "*?["):
        return _from_glob(given)
    raise SourceNotFound(
        f"There is no file or folder {masked(given)}.",
        hint="Give a folder of videos, a list with lines `path label`, a video, a quoted glob"
        " such as 'clips/*.mp4', or demo.",
    )


def splits_of(folder: Path) -> dict[Split, Path]:
    """Lists or folders of the halves of a data set; empty for a folder of another kind.

    PaddleX: `train.txt`, `val.txt` and `label.txt` beside `videos/`, all of it perhaps one folder
    further down, as archives unpack. PaddleVideo: `train.list`, `val.list`. Also two folders
    `train` and `val`, each with a folder per class.
    """
    inside = [path.parent for path in sorted(folder.glob(f"*/{_VIDEOS_FOLDER}")) if path.is_dir()]
    for place in (folder, *(inside if len(inside) == 1 else ())):
        found: dict[Split, Path] = {}
        for split, names in _SPLIT_NAMES.items():
            lists = [place / f"{name}{suffix}" for name in names for suffix in _LIST_SUFFIXES]
            path = next((path for path in lists if path.is_file()), None)
            if path is not None:
                found[split] = path
        if found:
            return found
    folders = {path.name.lower(): path for path in folders_in(folder)}
    halves: dict[Split, Path] = {}
    for split, names in _SPLIT_NAMES.items():
        present = [folders[name] for name in names if name in folders]
        if present and videos_below(present[0]):
            halves[split] = present[0]
    return halves if len(halves) == 2 else {}


def _from_folder(folder: Path, *, root: Path | None, split: Split) -> Rows:
    splits = splits_of(folder)
    if splits:
        chosen = split if split in splits else next(iter(splits))
        path = splits[chosen]
        return _from_videos(path) if path.is_dir() else _from_list(path, root=root)
    return _from_videos(folder)


def _from_videos(folder: Path) -> Rows:
    videos = videos_below(folder)
    if not videos:
        raise DatasetError(
            f"The folder {folder} holds no video.",
            hint="Videos are known by their names: .mp4, .avi, .mkv, .mov, .webm and others.",
        )
    grouped = all(len(path.parts) > 1 for path in videos)
    rows = tuple(
        Row(
            name=printable(path.as_posix()),
            source=_source(folder / path),
            label=printable(path.parts[0]) if grouped else None,
            where=printable(str(folder / path)),
        )
        for path in videos
    )
    label_file = folder / LABEL_FILE
    return Rows(
        kind="class folders" if grouped else "folder",
        rows=rows,
        path=folder,
        label_file=label_file if label_file.is_file() else None,
    )


def _from_file(path: Path, *, given: str, root: Path | None) -> Rows:
    if not path.is_file():
        raise SourceError(f"{given} is a device or pipe, not a file.", hint=f"ls -l {given}")
    if is_video_name(path.name) or not _is_text(path):
        row = Row(name=printable(given), source=_source(path), label=None, where=printable(given))
        return Rows(kind="file", rows=(row,), path=path)
    return _from_list(path, root=root)


def _from_glob(pattern: str) -> Rows:
    # Not Path.glob: that refuses absolute patterns, and `clips/**` gives it folders only.
    matches = sorted(glob.glob(str(Path(pattern).expanduser()), recursive=True))  # noqa: PTH207
    files = [path for path in map(Path, matches) if path.is_file()]
    ending = Path(pattern).suffix
    told = bool(ending) and not any(letter in ending for letter in "*?[")
    videos = [path for path in files if told or is_video_name(path.name)]
    if not videos:
        what = f"None of the {len(files)} files" if files else "No file"
        raise SourceNotFound(
            f"{what} that matches {pattern} is a video by its name."
            if files
            else f"No file matches {pattern}.",
            hint="Quote the pattern, so that the shell leaves it alone: --clips 'clips/*.mp4'",
        )
    rows = tuple(
        Row(
            name=printable(path.as_posix()),
            source=_source(path),
            label=None,
            where=printable(str(path)),
        )
        for path in videos
    )
    return Rows(kind="glob", rows=rows)


def _from_list(path: Path, *, root: Path | None) -> Rows:
    parsed = parse_lines(read_text(path, what="list of clips"))
    if not parsed.lines:
        if parsed.problems:
            first = parsed.problems[0]
            raise DatasetError(
                f"{path}:{first.number}: {first.message}",
                hint="Lines are `path label`, with a class number or name; or paths of videos.",
            )
        raise DatasetError(f"The list {path} is empty.")
    homes = (root,) if root is not None else _homes(path)
    starts = homes if root is not None else tuple(dict.fromkeys((*homes, Path())))
    _refuse_frame_folders(path, parsed.lines, starts)
    rows = tuple(
        Row(
            name=printable(line.path),
            source=_source(_located(line.path, starts)),
            label=None if line.label is None else printable(line.label),
            where=printable(f"{path}:{line.number}"),
        )
        for line in parsed.lines
    )
    label_file = next((one / LABEL_FILE for one in homes if (one / LABEL_FILE).is_file()), None)
    return Rows(
        kind="list",
        rows=rows,
        problems=parsed.problems,
        separator=parsed.separator,
        skipped=parsed.skipped,
        path=path,
        label_file=label_file,
    )


def _homes(path: Path) -> tuple[Path, ...]:
    """Folders that relative paths of a list may start from, the likeliest first.

    The folder of the list; then the root of the data, which is the nearest folder above that holds
    `videos/` or `label.txt`, PaddleX's convention. (PaddleVideo's is the current folder.)
    """
    parents = path.absolute().parents[: _PARENTS_SEARCHED + 1]
    data = (
        one for one in parents if (one / _VIDEOS_FOLDER).is_dir() or (one / LABEL_FILE).is_file()
    )
    root = next(data, None)
    if root is None or root == path.absolute().parent:
        return (path.parent,)
    return (path.parent, root)


def _located(written: str, starts: Sequence[Path]) -> Path:
    """The file that a list means; where there is none, the likeliest place."""
    for spelling in (written, written.replace("\\", "/")):
        path = Path(spelling).expanduser()
        for start in starts:
            if (start / path).exists():
                return start / path
    return starts[0] / Path(written).expanduser()


def _refuse_frame_folders(path: Path, lines: Sequence[ListLine], starts: Sequence[Path]) -> None:
    if not looks_like_frame_folders(lines) or _located(lines[0].path, starts).exists():
        return
    first = lines[0]
    raise DatasetError(
        f"{path}:{first.number}: '{first.path} {first.label}' is a line of a frame list"
        " (`folder n_frames label`), and only videos are read here, not folders of pictures.",
        hint="Give the list of the videos that the frames were taken from: `path label`.",
    )


def _source(path: Path) -> str:
    """A path in a form that no other kind of source claims: a file named 0 is no camera."""
    text = str(path)
    claimed = any(kind.claims(text) for kind in SOURCES[:-1])
    return f".{os.sep}{text}" if claimed and not path.is_absolute() else text


def _is_text(path: Path) -> bool:
    try:
        with path.open("rb") as stream:
            head = stream.read(_SNIFFED_BYTES)
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror or error}.") from error
    utf16 = head.startswith((b"\xff\xfe", b"\xfe\xff"))
    return utf16 or b"\0" not in head
