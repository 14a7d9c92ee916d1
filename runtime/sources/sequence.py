"""Numbered pictures: `frames/img_%05d.png`."""

from __future__ import annotations

import re
from pathlib import Path

from models.errors import SourceError, SourceNotFound
from runtime.file_names import PICTURE_SUFFIXES, is_picture_name
from runtime.sources.base import FrameSource, SourceKind
from runtime.sources.options import SourceOptions
from runtime.sources.paths import is_there, user_path
from runtime.sources.pictures import PictureFile
from runtime.sources.several import open_pictures

_LONGEST_S = 1e8
"""Three years: numbers that are further apart are no places in a video."""

_NUMBER = re.compile(r"%(?:0(?P<digits>[1-9]))?d", re.ASCII)


def numbered_pictures(pattern: Path) -> tuple[PictureFile, ...]:
    """The files of a pattern, in the order of their numbers; the smallest has place 0.

    `%d` stands for a number without zeros before it, `%05d` for one of at least five digits.

    Args:
        pattern: A path with one such number in its last part.

    Raises:
        SourceNotFound: There is no file of that name, with any number.
        SourceError: The folder cannot be read.
    """
    match = _NUMBER.search(pattern.name)
    if match is None:
        raise SourceError(f"{pattern} has no number.", hint="For example: frames/img_%05d.png")
    least = int(match["digits"] or 1)
    before, after = pattern.name[: match.start()], pattern.name[match.end() :]
    name = re.compile(rf"{re.escape(before)}([0-9]+){re.escape(after)}", re.ASCII)
    found = {}
    try:
        for path in pattern.parent.iterdir():
            number = name.fullmatch(path.name)
            if number is not None and number[1] == f"{int(number[1]):0{least}d}":
                found[int(number[1])] = path
    except FileNotFoundError as error:
        raise SourceNotFound(f"There is no folder {pattern.parent}.") from error
    except (OSError, ValueError) as error:
        raise SourceError(f"{pattern.parent} cannot be read: {error}.") from error
    if not found:
        raise SourceNotFound(
            f"There is no picture {pattern} with any number.",
            hint=f"ls {pattern.parent}   (%05d stands for five digits, such as 00017)",
        )
    first = min(found)
    return tuple(PictureFile(path=found[at], place=at - first) for at in sorted(found))


def open_sequence(uri: str, options: SourceOptions) -> FrameSource:
    """Open numbered pictures.

    Raises:
        SourceNotFound: There are none.
        SourceError: None of them can be read.
    """
    pattern = user_path(uri)
    files = numbered_pictures(pattern)
    length_s = files[-1].place / options.picture_fps
    if length_s > _LONGEST_S:
        raise SourceError(
            f"The numbers of {pattern} are {files[-1].place} apart, which would be a video of"
            f" {length_s:.3g} s at {options.picture_fps:g} pictures per second.",
            hint=f"ls {pattern.parent}   (pictures of a folder need no numbers)",
        )
    return open_pictures(files, title=pattern.name, options=options)


def _claims(uri: str) -> bool:
    name = Path(uri).name
    numbered = len(_NUMBER.findall(name)) == 1 and name.endswith(tuple(PICTURE_SUFFIXES))
    return numbered and is_picture_name(name) and not is_there(uri)


SOURCE = SourceKind(
    name="pictures",
    claims=_claims,
    open=open_sequence,
    example="frames/img_%05d.png",
    about="numbered pictures",
)
