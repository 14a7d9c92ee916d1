"""A file of a bundle, pinned by its content, and the kinds of text that a card may hold."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

FROZEN = ConfigDict(frozen=True, extra="forbid")
"""Configuration of everything in a card."""

FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$")]
Line = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")]
"""Text that is shown: no control characters, with which a terminal could be steered."""
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class BundleFile(BaseModel):
    """A file of the bundle, pinned by its content.

    Attributes:
        file: Name inside the bundle folder; never a path.
        sha256: Lower-case hex digest.
        size_bytes: Length in bytes.
    """

    model_config = FROZEN

    file: FileName
    sha256: Sha256
    size_bytes: Annotated[int, Field(ge=0)]

    @classmethod
    def of(cls, path: Path) -> BundleFile:
        """Describe the file at `path`."""
        return cls(file=path.name, sha256=sha256_of(path), size_bytes=path.stat().st_size)


def sha256_of(path: Path) -> str:
    """Hex SHA-256 of a file, read in 1 MiB pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()
