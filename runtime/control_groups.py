"""Control groups: where the limits of the container stand that this process may be in."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

logger = logging.getLogger(__name__)


def group_folders(
    root: Path, controller: str, *, mounts: tuple[str, ...]
) -> Iterator[tuple[int, Path]]:
    """Folders with the limits of a controller: of this process's group, and of its parents.

    Args:
        root: Folder that holds `proc` and `sys`.
        controller: E.g. "cpu".
        mounts: Names under which version 1 may be mounted.

    Yields:
        Version of the interface, 1 or 2, and a folder; it need not exist.
    """
    for line in text(root / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        if not controllers:
            for folder in _with_parents(root / "sys/fs/cgroup", group):
                yield 2, folder
        elif controller in controllers.split(","):
            for mount in mounts:
                for folder in _with_parents(root / "sys/fs/cgroup" / mount, group):
                    yield 1, folder


def _with_parents(mount: Path, group: str) -> tuple[Path, ...]:
    """The folder of a control group, its parents, and the mount point itself."""
    parts = [part for part in group.split("/") if part and part != ".."]
    return tuple(mount.joinpath(*parts[:count]) for count in range(len(parts), -1, -1))


def text(path: Path) -> str:
    """Content of a small system file; empty where it does not exist or may not be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        logger.debug("%s: %s", path, error)
        return ""
