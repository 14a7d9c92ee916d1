"""All kinds of video sources. To add one: write its module, then add one line here."""

from __future__ import annotations

from models.errors import SourceError
from runtime.chosen_frames import Choose, ChosenFrames
from runtime.sources import (
    camera,
    csi,
    demo,
    file,
    folder,
    http_video,
    list_file,
    pipe,
    realtime,
    replay,
    rtsp,
    sequence,
    wildcard,
)
from runtime.sources.address import masked, misspelt, scheme_of
from runtime.sources.base import FrameSource, SourceKind, Wanted, only_frames
from runtime.sources.options import SourceOptions
from runtime.sources.paths import is_there
from runtime.sources.replay import repeats_live, unfinished

__all__ = [
    "SOURCES",
    "FrameSource",
    "SourceKind",
    "SourceOptions",
    "Wanted",
    "check_source",
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
    rtsp.SOURCE,
    http_video.SOURCE,
    pipe.SOURCE,
    folder.SOURCE,
    wildcard.SOURCE,
    sequence.SOURCE,
    list_file.SOURCE,
    file.SOURCE,
)
"""In the order in which they are asked; `file` claims whatever is left."""


def chosen_frames(uri: str, choose: Choose) -> ChosenFrames | None:
    """Count the frames of a source and prepare to decode only some of them.

    Args:
        uri: As for `open_source`.
        choose: Positions of the wanted frames, given how many there are.

    Returns:
        None where a source has to be opened and read through: it cannot be counted otherwise,
        might be damaged, or cannot be opened.
    """
    if scheme_of(uri) is not None:
        return None
    chosen = next(kind for kind in SOURCES if kind.claims(uri)).chosen
    return None if chosen is None else chosen(uri, choose)


def open_source(uri: str, options: SourceOptions | None = None) -> FrameSource:
    """Open a video source.

    Args:
        uri: As the user wrote it: "demo", "camera0", "0", "/dev/video0", the path of a file, or
            "realtime:" and a file that is to be shown as by a camera, "replay:" and a recording.
        options: How it is read; None for the usual.

    Raises:
        SourceNotFound: The file or device does not exist.
        SourceError: It exists and cannot be used, or is a kind of stream that is not
            read here.
    """
    return _kind_of(uri).open(uri, options or SourceOptions())


def check_source(uri: str) -> None:
    """Raise what `open_source` would, as far as a glance tells: before what takes longer is done.

    Raises:
        SourceNotFound: There is no such file.
        SourceError: It is no video, or a kind of stream that is not read here.
    """
    check = _kind_of(uri).check
    if check is not None:
        check(uri)


def _kind_of(uri: str) -> SourceKind:
    _check_spelling(uri)
    kind = next(kind for kind in SOURCES if kind.claims(uri))
    if scheme_of(uri) is not None and kind not in (rtsp.SOURCE, http_video.SOURCE):
        raise SourceError(
            f"{masked(uri)} is a kind of stream that is not read here.",
            hint="Sources: " + ", ".join(kind.example for kind in SOURCES),
        )
    return kind


def _check_spelling(uri: str) -> None:
    """Refuse what names nothing, and what was meant as an address before it passes for a file."""
    name = uri
    for prefix in (replay.PREFIX, realtime.PREFIX):
        name = name.removeprefix(prefix)
    if not name.strip():
        raise SourceError(
            f"{uri!r} names no source.",
            hint="Sources: " + ", ".join(kind.example for kind in SOURCES),
        )
    if is_there(name):
        return
    shown = misspelt(name) if name == uri else masked(name) if scheme_of(name) else misspelt(name)
    if shown is not None:
        raise SourceError(
            f"{shown} is neither a file nor an address that can be read so.",
            hint="An address begins with rtsp:// or http://, and nothing goes before that.",
        )
