"""The lines of a list of clips: `path label`, in the forms that people have. Pure: text only."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from calibration.text_file import lines_of
from runtime.file_names import VIDEO_SUFFIXES

SEPARATORS = ("tab", "comma", "semicolon", "space")
"""Between path and label, in the order in which they are preferred where several would do."""

_CHARACTERS: dict[str, str | None] = {"tab": "\t", "comma": ",", "semicolon": ";", "space": None}
_COMMENT = "#"
_INTEGER = re.compile(r"[+-]?[0-9]+", re.ASCII)
_FRAME_COUNT = re.compile(r"^(?P<folder>.*\S)[\s,;]+(?P<frames>[0-9]+)$", re.ASCII)
_HEADER_PATHS = frozenset(
    ("path", "file", "filename", "file_name", "filepath", "video", "video_path", "clip", "name")
)
_SUFFIX = "|".join(re.escape(suffix) for suffix in sorted(VIDEO_SUFFIXES))
_NAMED = re.compile(rf"^(?P<path>.*(?:{_SUFFIX}))\s+(?P<label>\S.*)$", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListLine:
    """A clip of a list.

    Attributes:
        number: Line of the file, from 1.
        path: As written, without quotes.
        label: As written: digits or a class name; None when the list has no labels.
    """

    number: int
    path: str
    label: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LineProblem:
    """A line that says nothing usable.

    Attributes:
        number: Line of the file, from 1.
        message: What is wrong with it, a sentence.
    """

    number: int
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedLines:
    """All lines of a list.

    Attributes:
        lines: Clips, in the order of the file.
        problems: Lines that are no clip, likewise.
        separator: One of `SEPARATORS`; None when the list has no labels, or no lines.
        skipped: Number of blank lines, comments and headers.
    """

    lines: tuple[ListLine, ...]
    problems: tuple[LineProblem, ...]
    separator: str | None
    skipped: int


def parse_lines(text: str) -> ParsedLines:
    """Read a list of clips.

    The separator is the one with which most lines end in a whole number; a path may hold it too,
    since only its last occurrence counts (`my clip 2.mp4 7` is clip "my clip 2.mp4" of class 7).
    Without any such line, a list whose lines all end like a video has no labels; otherwise
    the labels are class names (`clip.mp4,pan left`; after a space only where the path ends
    like a video). Blank lines, lines that start with `#` and a first line of column names are
    skipped; quotes around a path or label are taken off.

    Args:
        text: Content of the file.
    """
    kept, skipped = [], 0
    for number, line in enumerate(lines_of(text), start=1):
        stripped = line.strip()
        if not stripped or stripped.startswith(_COMMENT):
            skipped += 1
        else:
            kept.append((number, stripped))
    numbered = {name: _count(kept, name) for name in SEPARATORS}
    best = max(SEPARATORS, key=lambda name: numbered[name])
    if not kept:
        return ParsedLines(lines=(), problems=(), separator=None, skipped=skipped)
    if numbered[best]:
        return _parsed(kept, best, skipped, numbers=True)
    if all(_looks_like_a_video(line) for _, line in kept):
        lines = tuple(
            ListLine(number=number, path=_unquoted(line), label=None) for number, line in kept
        )
        return ParsedLines(lines=lines, problems=(), separator=None, skipped=skipped)
    named = {name: sum(_named(line, name) is not None for _, line in kept) for name in SEPARATORS}
    return _parsed(kept, max(SEPARATORS, key=lambda name: named[name]), skipped, numbers=False)


def looks_like_frame_folders(lines: Sequence[ListLine]) -> bool:
    """Whether these are lines `folder n_frames label`, as PaddleVideo lists decoded frames.

    True when every "path" ends in a number and what stands before it does not end like a video.
    """
    found = [_FRAME_COUNT.match(line.path) for line in lines]
    return bool(lines) and all(
        match is not None and not _looks_like_a_video(match["folder"]) for match in found
    )


def _parsed(
    kept: Sequence[tuple[int, str]], separator: str, skipped: int, *, numbers: bool
) -> ParsedLines:
    lines, problems = [], []
    for place, (number, line) in enumerate(kept):
        parts = _split(line, separator) if numbers else _named(line, separator)
        if place == 0 and parts is not None and _is_header(parts, numbers=numbers):
            skipped += 1
        elif parts is None:
            problems.append(LineProblem(number=number, message=f"'{line}' has no label."))
        elif numbers and not _INTEGER.fullmatch(parts[1]):
            problems.append(
                LineProblem(
                    number=number,
                    message=f"'{line}': the label '{parts[1]}' is not a whole number, as those of"
                    " other lines are.",
                )
            )
        else:
            lines.append(ListLine(number=number, path=parts[0], label=parts[1]))
    return ParsedLines(
        lines=tuple(lines), problems=tuple(problems), separator=separator, skipped=skipped
    )


def _count(kept: Sequence[tuple[int, str]], separator: str) -> int:
    """Number of lines that end in a whole number behind the separator."""
    parts = (_split(line, separator) for _, line in kept)
    return sum(part is not None and bool(_INTEGER.fullmatch(part[1])) for part in parts)


def _split(line: str, separator: str) -> tuple[str, str] | None:
    """Path and label around the last separator; None without both."""
    parts = line.rsplit(_CHARACTERS[separator], 1)
    if len(parts) != 2:
        return None
    path, label = (_unquoted(part) for part in parts)
    return (path, label) if path and label else None


def _named(line: str, separator: str) -> tuple[str, str] | None:
    """Path and class name."""
    if separator != "space":
        return _split(line, separator)
    match = _NAMED.match(line)
    return None if match is None else (_unquoted(match["path"]), _unquoted(match["label"]))


def _is_header(parts: tuple[str, str], *, numbers: bool) -> bool:
    words = parts[0].lower() in _HEADER_PATHS
    return words and not (numbers and _INTEGER.fullmatch(parts[1]))


def _looks_like_a_video(path: str) -> bool:
    return _unquoted(path).lower().endswith(tuple(VIDEO_SUFFIXES))


def _unquoted(field: str) -> str:
    """A field without blanks around it, and without the quotes that a spreadsheet puts there."""
    field = field.strip()
    if len(field) >= 2 and field[0] == field[-1] == '"':
        return field[1:-1].replace('""', '"')
    return field
