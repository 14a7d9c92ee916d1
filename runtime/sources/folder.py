"""A folder of videos, or of pictures."""

from __future__ import annotations

from models.errors import SourceError
from runtime.file_names import is_picture_name, is_video_name, natural_key
from runtime.sources.base import FrameSource, SourceKind
from runtime.sources.options import SourceOptions
from runtime.sources.paths import is_folder, user_path
from runtime.sources.several import open_files


def open_folder(uri: str, options: SourceOptions) -> FrameSource:
    """Play the videos directly in a folder in their natural order, or else show its pictures.

    Raises:
        SourceError: It cannot be read, or holds nothing of the kind.
    """
    folder = user_path(uri)
    try:
        there = sorted(folder.iterdir(), key=lambda path: natural_key(path.name))
        found = [
            path
            for path in there
            if (is_video_name(path.name) or is_picture_name(path.name)) and path.is_file()
        ]
    except (OSError, ValueError) as error:
        raise SourceError(
            f"The folder {folder} cannot be read: {getattr(error, 'strerror', None) or error}.",
            hint=f"ls -ld {folder}",
        ) from error
    if not found:
        raise SourceError(
            f"The folder {folder} holds neither videos nor pictures; they are known by their"
            " names: .mp4, .avi, .mkv, .mov, .webm, .png, .jpg and others.",
            hint=f"For those in folders inside it: --source '{folder}/**/*.mp4'",
        )
    return open_files(found, title=str(folder), options=options, name=lambda path: path.name)


SOURCE = SourceKind(
    name="folder",
    claims=lambda uri: uri.endswith("/") or is_folder(uri),
    open=open_folder,
    example="clips/",
    about="the videos of a folder one after the other, or its pictures",
)
