"""Write a bundle, or another folder of files, so that it is there whole or not at all."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from models.card import CARD_NAME
from models.errors import EdgeclsError, OutputError


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderKind:
    """What a folder is that is made as a whole.

    Attributes:
        noun: What errors call it.
        marker: A file that only folders of this kind have.
        placeholder: How the help names the value of `-o`.
    """

    noun: str
    marker: str
    placeholder: str


BUNDLE = FolderKind(noun="bundle", marker=CARD_NAME, placeholder="BUNDLE")


def staged_bundle(target: Path, *, force: bool) -> AbstractContextManager[Path]:
    """`staged_folder` for a bundle."""
    return staged_folder(target, BUNDLE, force=force)


@contextmanager
def staged_folder(target: Path, kind: FolderKind, *, force: bool) -> Iterator[Path]:
    """A temporary folder beside `target` that becomes `target` when the block ends well.

    If the block raises, whatever the reason, the folder is removed and `target` is as it was.

    Args:
        target: Folder to make.
        kind: What it will be.
        force: Replace one of that kind. Anything else that is there is never replaced.

    Raises:
        OutputError: `target` exists, its parent cannot be written, or the disk is full.
    """
    target = target.absolute()
    _refuse_existing(target, kind, force=force)
    try:
        made = _make_parents(target)
        staging = Path(
            tempfile.mkdtemp(prefix=_staging_prefix(target, os.getpid()), dir=target.parent)
        )
    except OSError as error:
        raise OutputError(
            f"The {kind.noun} cannot be written to {target.parent}: {error.strerror or error}.",
            hint=f"Choose a folder that you may write: -o {kind.placeholder}",
        ) from error
    try:
        yield staging
        staging.chmod(0o755)
        _put_in_place(staging, target, kind)
        made = ()
    except OSError as error:
        if isinstance(error, EdgeclsError):  # some of ours are OSErrors too
            raise
        raise _output_error(error, target, kind) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        _remove_if_empty(made)


def _staging_prefix(target: Path, pid: int) -> str:
    return f".{target.name}.{pid}."


def missing_parents(target: Path) -> tuple[Path, ...]:
    """Folders that `staged_bundle` would make for `target`, the outermost first."""
    return tuple(parent for parent in reversed(target.absolute().parents) if not _exists(parent))


def clear_away(target: Path, *, pid: int, parents: tuple[Path, ...]) -> None:
    """Remove what a process left behind that was killed inside `staged_bundle`.

    Args:
        target: Folder of the bundle that it was to make.
        pid: Of the process, which is no more.
        parents: What `missing_parents` said before it started.
    """
    target = target.absolute()
    with suppress(OSError):  # then there is nothing of it either
        for path in list(target.parent.iterdir()):
            if path.name.startswith(_staging_prefix(target, pid)):
                shutil.rmtree(path, ignore_errors=True)
    _remove_if_empty(parents)


def _remove_if_empty(folders: Sequence[Path]) -> None:
    """Remove folders that were made, the outermost first, unless somebody else uses them."""
    for folder in reversed(folders):
        with suppress(OSError):
            folder.rmdir()


def _output_error(error: OSError, target: Path, kind: FolderKind) -> OutputError:
    """Say in words why a folder could not be written."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
        free_mib = shutil.disk_usage(_existing(target)).free >> 20
        return OutputError(
            f"The disk is full: writing {target} failed with {free_mib} MiB free.",
            hint=f"Free some space, or choose another disk: -o {kind.placeholder}",
        )
    return OutputError(f"{target} cannot be written: {error.strerror or error}.")


def _existing(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path


def _exists(path: Path) -> bool:
    """False also where we may not look; to make something there then fails."""
    try:
        return path.exists()
    except OSError:
        return False


def _refuse_existing(target: Path, kind: FolderKind, *, force: bool) -> None:
    if not _exists(target):
        return
    if not (target / kind.marker).is_file():
        if target.is_dir() and not any(target.iterdir()):
            return
        raise OutputError(
            f"{target} exists and is not a {kind.noun}; it is left alone.", hint="Choose another -o"
        )
    if not force:
        raise OutputError(f"{target} is already a {kind.noun}.", hint="Replace it with --force")


def _make_parents(target: Path) -> tuple[Path, ...]:
    missing = missing_parents(target)
    for path in missing:
        path.mkdir()
    return missing


def _put_in_place(staging: Path, target: Path, kind: FolderKind) -> None:
    if not target.exists():
        staging.rename(target)
        return
    if not (target / kind.marker).exists():
        target.rmdir()  # an empty folder
        staging.rename(target)
        return
    attic = Path(tempfile.mkdtemp(prefix=f".{target.name}.old.", dir=target.parent))
    retired = target.rename(attic / target.name)
    try:
        staging.rename(target)
    except OSError:
        retired.rename(target)
        raise
    finally:
        shutil.rmtree(attic, ignore_errors=True)
