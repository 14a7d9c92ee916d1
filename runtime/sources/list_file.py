"""A list of videos, one per line: they play one after the other."""

from __future__ import annotations

import re
from pathlib import Path

from models.errors import SourceError, SourceNotFound
from runtime.file_names import VIDEO_SUFFIXES
from runtime.sources.base import FrameSource, SourceKind
from runtime.sources.options import SourceOptions
from runtime.sources.paths import is_there, user_path
from runtime.sources.several import open_videos

SUFFIXES = (".txt", ".lst", ".list")

_LARGEST_BYTES = 64 << 20
_ENDINGS = "|".join(re.escape(suffix) for suffix in sorted(VIDEO_SUFFIXES))
_LABELLED = re.compile(rf"^(?P<path>.*(?:{_ENDINGS}))[\s,;]+\S.*$", re.IGNORECASE)
_ADDRESS = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*://")
_HINT = "A list has one video per line: a path, from its own folder or from the current one."


def listed_videos(path: Path) -> tuple[Path, ...]:
    """The videos of a list, in its order; whether they are there is not looked at.

    Blank lines and lines that start with `#` mean nothing, quotes around a path are taken off.
    A path is from the folder of the list, or else, if there is no such file, from the current
    one. The class behind a path, as in lists that models are trained with, is left out.

    Args:
        path: The list, UTF-8 text.

    Raises:
        SourceNotFound: There is no such list.
        SourceError: It cannot be read, names no video, or something that is no file.
    """
    found = []
    for number, line in enumerate(_text_of(path).splitlines(), start=1):
        written = line.strip()
        if not written or written.startswith("#"):
            continue
        if _ADDRESS.match(written):
            raise SourceError(
                f"{path}:{number}: a list names files, and this is an address.",
                hint="Give it as a --source of its own.",
            )
        found.append(_located(written, path.parent))
    if not found:
        raise SourceError(f"The list {path} names no video.", hint=_HINT)
    return tuple(found)


def _located(written: str, folder: Path) -> Path:
    """Where a line of a list leads to."""
    match = _LABELLED.match(written)
    for name in (written, match["path"] if match else written):
        path = user_path(_unquoted(name))
        for place in (folder / path, path):
            if is_there(str(place)):
                return place
    return folder / user_path(_unquoted(match["path"] if match else written))


def _unquoted(text: str) -> str:
    quoted = len(text) > 2 and text[0] == text[-1] and text[0] in "'\""
    return text[1:-1] if quoted else text


def _text_of(path: Path) -> str:
    try:
        if not path.is_file() and path.exists():
            raise SourceError(f"{path} is no file, and so no list of videos.", hint=_HINT)
        with path.open("rb") as stream:
            data = stream.read(_LARGEST_BYTES + 1)
    except FileNotFoundError as error:
        raise SourceNotFound(f"There is no list {path}.", hint=_HINT) from error
    except (OSError, ValueError) as error:
        raise SourceError(f"The list {path} cannot be read: {error}.", hint=_HINT) from error
    if len(data) > _LARGEST_BYTES:
        raise SourceError(f"{path} is too large for a list of videos.", hint=_HINT)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SourceError(
            f"{path} is no list of videos: byte {error.start} is not UTF-8.", hint=_HINT
        ) from error


def open_list(uri: str, options: SourceOptions) -> FrameSource:
    """Play the videos of a list one after the other.

    Raises:
        SourceNotFound: There is no such list.
        SourceError: It cannot be read, or none of its videos can.
    """
    path = user_path(uri)
    return open_videos(listed_videos(path), title=path.name, options=options)


SOURCE = SourceKind(
    name="list",
    claims=lambda uri: uri.lower().endswith(SUFFIXES),
    open=open_list,
    example="clips.txt",
    about="the videos that a list names, one per line (.txt, .lst)",
)
