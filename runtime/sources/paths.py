"""Paths as users write them."""

from __future__ import annotations

from pathlib import Path


def user_path(uri: str) -> Path:
    """A path, with `~` made the home of the user; as it is where there is no such user."""
    path = Path(uri)
    try:
        return path.expanduser()
    except (RuntimeError, ValueError):
        return path


def is_there(uri: str) -> bool:
    """Whether something of exactly that name exists."""
    try:
        return bool(uri) and user_path(uri).exists()
    except (OSError, ValueError):
        return False


def is_folder(uri: str) -> bool:
    """Whether that is a folder."""
    try:
        return bool(uri) and user_path(uri).is_dir()
    except (OSError, ValueError):
        return False
