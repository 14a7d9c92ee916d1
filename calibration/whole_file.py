"""Files that appear only when they are complete."""

from __future__ import annotations

import os
from pathlib import Path

from models.errors import OutputError


def write_whole(path: Path, data: bytes) -> None:
    """Write a file, or leave what was there; folders above it are made.

    Raises:
        OutputError: It cannot be written.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            partial.write_bytes(data)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written: {error.strerror or error}.", hint=f"ls -ld {path.parent}"
        ) from error


def json_bytes(text: str) -> bytes:
    r"""Text of a JSON file; what UTF-8 cannot hold becomes an escape, `\udcff`, as JSON has it."""
    return text.encode("utf-8", "backslashreplace")
