"""Video files in folders, by the endings of their names, in an order that does not change."""

from __future__ import annotations

import os
from pathlib import Path

from models.errors import DatasetError
from runtime.file_names import is_video_name


def videos_below(folder: Path) -> tuple[Path, ...]:
    """All videos in a folder and the folders inside it, relative to it, ordered by path.

    Hidden folders are left out. Links to folders are followed, each folder once.

    Raises:
        DatasetError: A folder cannot be listed.
    """

    def fail(error: OSError) -> None:
        raise DatasetError(
            f"The folder {error.filename} cannot be listed: {error.strerror or error}.",
            hint=f"ls -ld {error.filename}",
        ) from error

    found: list[Path] = []
    visited: set[tuple[int, int]] = set()
    for place, folders, files in os.walk(folder, onerror=fail, followlinks=True):
        status = Path(place).stat()
        if (status.st_dev, status.st_ino) in visited:
            folders.clear()
            continue
        visited.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [Path(place, name).relative_to(folder) for name in files if is_video_name(name)]
    return tuple(sorted(found, key=lambda path: path.parts))
