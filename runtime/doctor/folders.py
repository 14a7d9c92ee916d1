"""Folders that edgecls writes to: can it, how large are they, how much room is left."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from models.sizes import size_in_words
from runtime.doctor.finding import Finding
from runtime.doctor.place import quoted

ANOTHER_HOME = "HOME=/folder/that/can/be/written edgecls …"

SCARCE_BYTES = 200_000_000
"""Room for some models and their caches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderFacts:
    """A folder that edgecls writes to.

    Attributes:
        use: What for, e.g. "cache".
        path: Where.
        variable: Environment variable that moves it.
        exists: It is there already; else it would be made in `parent`.
        parent: The folder itself or the nearest one above it that exists.
        problem: Why nothing can be written there; empty when it can.
        size: Bytes of what is in it.
        free: Bytes that are left on its disk; None where that is not told.
    """

    use: str
    path: str
    variable: str
    exists: bool
    parent: str
    problem: str = ""
    size: int = 0
    free: int | None = None


def standard_folders() -> list[tuple[str, Path, str]]:
    """Use, path and variable of the folders of this user.

    Raises:
        RuntimeError: The system does not tell the home folder of this user.
    """
    from platformdirs import user_cache_path, user_data_path, user_state_path

    return [
        ("cache", user_cache_path("edgecls", appauthor=False), "XDG_CACHE_HOME"),
        ("state", user_state_path("edgecls", appauthor=False), "XDG_STATE_HOME"),
        ("data", user_data_path("edgecls", appauthor=False), "XDG_DATA_HOME"),
        ("temporary", _temporary(), "TMPDIR"),
    ]


def _temporary() -> Path:
    """Where temporary files go; where none can be made, the folder that should have taken them."""
    try:
        return Path(tempfile.gettempdir())
    except OSError:
        return Path(os.environ.get("TMPDIR") or "/tmp")


def look_at_folders() -> Iterator[Finding]:
    """Look at the folders of this user, and judge them."""
    try:
        folders = standard_folders()
    except RuntimeError as error:  # such as a container that was given a bare user number
        yield Finding(
            name="home folder",
            status="warn",
            message=f"this user has none, so nothing can be remembered: {error}",
            fix=ANOTHER_HOME,
        )
        return
    yield from folder_findings(folder_facts(folders))


def folder_facts(folders: Sequence[tuple[str, Path, str]]) -> list[FolderFacts]:
    """Look at folders: use, path and variable of each. Nothing is left behind in them."""
    return [_facts(use, path, variable) for use, path, variable in folders]


def _facts(use: str, path: Path, variable: str) -> FolderFacts:
    parent = next((one for one in (path, *path.parents) if one.is_dir()), Path("/"))
    free = None
    with contextlib.suppress(OSError):
        free = shutil.disk_usage(parent).free
    blocking = next((one for one in (path, *path.parents) if one.is_file()), None)
    return FolderFacts(
        use=use,
        path=str(path),
        variable=variable,
        exists=path.is_dir(),
        parent=str(parent),
        problem=f"{blocking} is a file" if blocking else _write_problem(parent),
        size=0 if use == "temporary" else folder_size(path),
        free=free,
    )


def _write_problem(folder: Path) -> str:
    """Why no file can be made in a folder; empty when one can."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"edgecls doctor")
            file.flush()
    except OSError as error:
        return error.strerror or str(error)
    return ""


def folder_size(path: Path) -> int:
    """Bytes of all files in a folder; those that cannot be looked at count nothing."""
    total = 0
    for folder, _, files in os.walk(path):
        for name in files:
            with contextlib.suppress(OSError):
                total += (Path(folder) / name).lstat().st_size
    return total


def folder_findings(folders: Sequence[FolderFacts]) -> Iterator[Finding]:
    """Judge them. None is needed to run a model, but what they remember is lost without them."""
    for one in folders:
        values = {
            "path": one.path,
            "exists": one.exists,
            "writable": not one.problem,
            "size": one.size,
            "free": one.free,
        }
        name = f"{one.use} folder"
        if one.problem:
            cannot = "be written" if one.exists else f"be made in {one.parent}"
            yield Finding(
                name=name,
                status="warn",
                message=f"{one.path} cannot {cannot}: {one.problem}",
                fix=_write_fix(one),
                facts=values,
            )
            continue
        room = "" if one.free is None else f", {size_in_words(one.free)} free"
        has = "" if one.use == "temporary" else f", {size_in_words(one.size)}"
        message = f"{one.path}{has if one.exists else ', not made yet'}{room}"
        if one.free is not None and one.free < SCARCE_BYTES:
            yield Finding(
                name=name,
                status="warn",
                message=f"{message}: less than {size_in_words(SCARCE_BYTES)}",
                fix=f"{one.variable}=/big/disk edgecls …",
                facts=values,
            )
            continue
        yield Finding(name=name, status="ok", message=message, facts=values)


def _write_fix(one: FolderFacts) -> str:
    if "ermission denied" in one.problem and one.use != "temporary":
        return f'sudo chown -R "$USER" {quoted(one.path if one.exists else one.parent)}'
    return f"{one.variable}=/folder/that/can/be/written edgecls …"
