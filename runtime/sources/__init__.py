"""All kinds of video sources. To add one: write its module, then add one line here."""

from __future__ import annotations

import re

from models.errors import SourceError
from runtime.chosen_frames import Choose, ChosenFrames
from runtime.sources import (
    camera,
    csi,
    demo,
    file,
    folder,
    list_file,
    pipe,
    realtime,
    replay,
    sequence,
    wildcard,
)
from runtime.sources.base import FrameSource, SourceKind, Wanted, only_frames
from runtime.sources.options import SourceOptions
from runtime.sources.replay import repeats_live, unfinished

__all__ = [
    "SOURCES",
    "FrameSource",
    "SourceKind",
    "SourceOptions",
    "Wanted",
    "chosen_frames",
    "only_frames",
    "open_source",
    "repeats_live",
    "unfinished",
]

SOURCES: tuple[SourceKind, ...] = (
    demo.SOURCE,
    replay.SOURCE,
    realtime.SOURCE,
    camera.SOURCE,
    csi.SOURCE,
    pipe.SOURCE,
    folder.SOURCE,
    wildcard.SOURCE,
    sequence.SOURCE,
    list_file.SOURCE,
    file.SOURCE,
)
"""In the order in which they are asked; `file` claims whatever is left."""

_STREAM = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*://")
_CREDENTIALS = re.compile(r"(?<=://)[^/@]*@")


def masked(uri: str) -> str:
    """An address without its user and password, fit for messages and logs."""
    return _CREDENTIALS.sub("***@", uri)


def chosen_frames(uri: str, choose: Choose) -> ChosenFrames | None:
    """Count the frames of a source and prepare to decode only some of them.

    Args:
        uri: As for `open_source`.
        choose: Positions of the wanted frames, given how many there are.

    Returns:
        None where a source has to be opened and read through: it cannot be counted otherwise,
        might be damaged, or cannot be opened.
    """
    if _STREAM.match(uri):
        return None
    chosen = next(kind for kind in SOURCES if kind.claims(uri)).chosen
    return None if chosen is None else chosen(uri, choose)


def open_source(uri: str, options: SourceOptions | None = None) -> FrameSource:
    """Open a video source.

    Args:
        uri: As the user wrote it: "demo", "camera0", "0", "/dev/video0", the path of a file, or
            "replay:" and a file that is to be shown as by a camera.
        options: How it is read; None for the usual.

    Raises:
        SourceNotFound: The file or device does not exist.
        SourceError: It exists and cannot be used, or is a network stream.
    """
    if _STREAM.match(uri):
        raise SourceError(
            f"{masked(uri)} is a network stream, and this version reads only files and cameras.",
            hint="Sources: " + ", ".join(kind.example for kind in SOURCES),
        )
    kind = next(kind for kind in SOURCES if kind.claims(uri))
    return kind.open(uri, options or SourceOptions())
