"""Files by a pattern: `'clips/*.mp4'`."""

from __future__ import annotations

import glob
import re
from collections.abc import Callable
from pathlib import Path

from models.errors import SourceNotFound
from runtime.file_names import is_picture_name, is_video_name, natural_key
from runtime.sources.base import FrameSource, SourceKind
from runtime.sources.options import SourceOptions
from runtime.sources.paths import is_there, user_path
from runtime.sources.several import open_files

WILD = frozenset("*?[")
"""Letters that make a pattern."""


def open_wildcard(uri: str, options: SourceOptions) -> FrameSource:
    """Play the files that match a pattern, in their natural order.

    Args:
        uri: `*` and `?` stand for letters, `[ab]` for one of some, `**` for any folders.
        options: As for a folder.

    Raises:
        SourceNotFound: No file matches.
        SourceError: None of those that do can be used.
    """
    pattern = str(user_path(uri))
    files = matching_files(pattern, known=lambda name: is_video_name(name) or is_picture_name(name))
    if not files:
        raise SourceNotFound(
            f"No video or picture matches {pattern}.",
            hint="Quote the pattern, so that the shell leaves it alone: --source 'clips/*.mp4'",
        )
    return open_files(files, title=pattern, options=options)


def matching_files(pattern: str, *, known: Callable[[str], bool]) -> list[Path]:
    """Files that match a pattern, in their natural order.

    Args:
        pattern: As for `open_wildcard`.
        known: Which names are taken where the pattern leaves their ending open.
    """
    ending = Path(pattern).suffix
    told = bool(ending) and not WILD.intersection(ending)
    try:
        # Not Path.glob: that refuses absolute patterns, and `clips/**` gives it folders only.
        names = glob.glob(pattern, recursive=True)  # noqa: PTH207
    except (OSError, ValueError, re.error):
        return []
    found = (name for name in names if told or known(name))
    return [path for path in map(Path, sorted(found, key=natural_key)) if path.is_file()]


SOURCE = SourceKind(
    name="glob",
    claims=lambda uri: bool(WILD.intersection(uri)) and not is_there(uri),
    open=open_wildcard,
    example="clips/*.mp4",
    about="the files that match a pattern, one after the other",
)
