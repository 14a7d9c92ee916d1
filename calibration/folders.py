"""Folders in a folder, in an order that does not change."""

from __future__ import annotations

from pathlib import Path

from models.errors import DatasetError


def folders_in(folder: Path) -> tuple[Path, ...]:
    """Folders directly in a folder, ordered by name; hidden ones are left out.

    Raises:
        DatasetError: It cannot be listed.
    """
    try:
        inside = [path for path in folder.iterdir() if not path.name.startswith(".")]
    except OSError as error:
        raise DatasetError(
            f"The folder {folder} cannot be listed: {error.strerror or error}.",
            hint=f"ls -ld {folder}",
        ) from error
    return tuple(sorted(path for path in inside if path.is_dir()))
