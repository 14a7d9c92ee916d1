"""Which files make up an archive, in an order that does not change."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from models.errors import SourceError, SourceNotFound, UsageError
from runtime.file_names import is_video_name
from runtime.sources import list_file
from runtime.sources.address import masked, scheme_of
from runtime.sources.paths import is_there, user_path
from runtime.sources.wildcard import WILD, matching_files
from runtime.video_folder import videos_below

STDIN = "-"
"""Stands for a list of files on stdin."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """By what a file is known to be the one of before.

    Attributes:
        size_bytes: Its size.
        modified_ns: When its content was last changed, nanoseconds since 1970.
    """

    size_bytes: int
    modified_ns: int


def stamp_of(file: str) -> Stamp | None:
    """The stamp of a file as it is now; None where there is no such file."""
    try:
        facts = Path(file).stat()
    except (OSError, ValueError):
        return None
    return Stamp(facts.st_size, facts.st_mtime_ns)


def archive_files(places: Sequence[str], lists: Sequence[str] = ()) -> tuple[str, ...]:
    """The files of an archive, each once, in the order in which they were named.

    Args:
        places: Files; folders, of which the videos below are taken by their names, ordered by
            path; patterns such as `clips/**/*.mp4`.
        lists: Files with a path per line, or with paths that end in a zero byte; `-` is stdin.
            Paths are taken as they are, from the current folder on.

    Raises:
        SourceNotFound: There is no such file, folder or list, or nothing matches a pattern.
        SourceError: A list cannot be read, or there is no file in all.
        DatasetError: A folder cannot be listed.
        UsageError: An address was given, or a list as if it were a video.
    """
    found = [file for place in places for file in _files_at(place)]
    found += [file for one in lists for file in _listed(one)]
    files = tuple(_once(found))
    if not files:
        named = ", ".join([*places, *lists])
        raise SourceError(
            f"There are no videos in {named}; in folders they are known by their names: .mp4,"
            " .avi, .mkv, .mov, .webm and others.",
            hint="Name the files: edgecls classify FILE..., or a list of them: --files-from LIST",
        )
    return files


def _files_at(place: str) -> Iterator[str]:
    path = user_path(place)
    if is_there(place):
        if path.suffix.lower() in list_file.SUFFIXES and not path.is_dir():
            raise UsageError(
                f"{place} is a list of videos by its name, and no video.",
                hint=f"--files-from {place}",
            )
        yield from (str(path / one) for one in videos_below(path)) if path.is_dir() else [str(path)]
        return
    if WILD.intersection(place):
        matches = matching_files(str(path), known=is_video_name)
        if not matches:
            raise SourceNotFound(
                f"No video matches {place}.",
                hint="Quote the pattern, so that the shell leaves it alone: 'clips/**/*.mp4'",
            )
        yield from map(str, matches)
        return
    if scheme_of(place):
        raise UsageError(
            "classify takes files, and an address was given.",
            hint=f"For a stream, window by window: edgecls run --source {masked(place)}",
        )
    raise SourceNotFound(f"There is no file or folder {place}.", hint="Check the path.")


def _listed(name: str) -> list[str]:
    try:
        data = sys.stdin.buffer.read() if name == STDIN else user_path(name).read_bytes()
    except FileNotFoundError as error:
        raise SourceNotFound(f"There is no list {name}.", hint="Check the path.") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SourceError(f"The list {name} cannot be read: {reason}.") from error
    lines = data.split(b"\0") if b"\0" in data else data.splitlines()
    return [os.fsdecode(line) for line in lines if line.strip()]


def _once(files: Iterable[str]) -> Iterator[str]:
    """Leave out those that were named before, in whatever way."""
    seen: set[str] = set()
    for file in files:
        absolute = os.path.abspath(file)  # noqa: PTH100 - links are files of their own
        if absolute not in seen:
            seen.add(absolute)
            yield file
