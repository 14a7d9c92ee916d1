"""Names of files: which are videos, which are pictures, and in which order they come. Pure."""

from __future__ import annotations

import re
from pathlib import Path

VIDEO_SUFFIXES = frozenset(
    (
        *(".3gp", ".asf", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg"),
        *(".mpg", ".mts", ".mxf", ".ogv", ".ts", ".vob", ".webm", ".wmv", ".y4m"),
    )
)
"""Endings, lower case, by which a file is taken for a video."""

PICTURE_SUFFIXES = frozenset(
    (".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
)
"""Endings, lower case, by which a file is taken for a picture."""

_DIGITS = re.compile(r"([0-9]+)", re.ASCII)


def is_video_name(name: str) -> bool:
    """Whether a file is taken for a video. Hidden ones (`._clip.mp4` of a Mac) are not."""
    return _named(name, VIDEO_SUFFIXES)


def is_picture_name(name: str) -> bool:
    """Whether a file is taken for a picture; hidden ones are not."""
    return _named(name, PICTURE_SUFFIXES)


def natural_key(name: str) -> tuple[tuple[str | int, ...], tuple[str | int, ...], str]:
    """Sorts names as people count: a.png, a2.png, a10.png; letters whatever their case.

    Returns:
        Text and numbers in turn, of the name without its ending and of the ending; then the name
        itself, so that no two names are equal: a02 and a2 always come in the same order.
    """
    stem, dot, ending = name.rpartition(".")
    return _counted(stem if dot else ending), _counted(ending if dot else ""), name


def _counted(text: str) -> tuple[str | int, ...]:
    parts = _DIGITS.split(text.casefold())
    return tuple(int(part) if at % 2 else part for at, part in enumerate(parts))


def _named(name: str, suffixes: frozenset[str]) -> bool:
    path = Path(name)
    return path.suffix.lower() in suffixes and not path.name.startswith(".")
