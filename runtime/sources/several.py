"""Several files as one source: videos one after the other, or pictures as a video."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from runtime.file_names import is_picture_name
from runtime.sources.base import FrameSource
from runtime.sources.file import open_path
from runtime.sources.options import SourceOptions
from runtime.sources.pictures import PictureFile, PictureSequence
from runtime.sources.playlist import Entry, Playlist, looped


def open_videos(
    videos: Sequence[Path],
    *,
    title: str,
    options: SourceOptions,
    name: Callable[[Path], str] = str,
) -> FrameSource:
    """Play videos one after the other.

    Args:
        videos: At least one, in their order.
        title: What they are together, for people.
        options: `loop` and `stopping` are looked at.
        name: What one of them is called in results.

    Raises:
        SourceError: None of them can be opened.
    """
    entries = [Entry(name=name(path), open=partial(open_path, path)) for path in videos]
    return Playlist(entries, title=title, options=options)


def open_files(
    files: Sequence[Path],
    *,
    title: str,
    options: SourceOptions,
    name: Callable[[Path], str] = str,
) -> FrameSource:
    """Play videos one after the other; where all files are pictures, show these as a video.

    Pictures beside videos, such as thumbnails, are left out.

    Args:
        files: At least one, in their order.
        title: What they are together, for people.
        options: `loop`, `picture_fps` and `stopping` are looked at.
        name: What a video is called in results.

    Raises:
        SourceError: None of them can be opened.
    """
    videos = [path for path in files if not is_picture_name(path.name)]
    if videos:
        return open_videos(videos, title=title, options=options, name=name)
    pictures = [PictureFile(path=path, place=at) for at, path in enumerate(files)]
    return open_pictures(pictures, title=title, options=options)


def open_pictures(
    pictures: Sequence[PictureFile], *, title: str, options: SourceOptions
) -> FrameSource:
    """Show pictures as a video.

    Args:
        pictures: At least one, in their order.
        title: What they are together, for people.
        options: `loop` and `picture_fps` are looked at.

    Raises:
        SourceError: None of them can be read.
    """

    def opened() -> FrameSource:
        return PictureSequence(pictures, fps=options.picture_fps, title=title)

    return looped(title, opened, options)
