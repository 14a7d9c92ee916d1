"""Write a bundle so that it is there whole or not at all."""

from __future__ import annotations

import errno
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from models.card import CARD_NAME
from models.errors import EdgeclsError, OutputError


@contextmanager
def staged_bundle(target: Path, *, force: bool) -> Iterator[Path]:
    """A temporary folder beside `target` that becomes `target` when the block ends well.

    If the block raises, whatever the reason, the folder is removed and `target` is as it was.

    Args:
        target: Folder of the bundle to make.
        force: Replace a bundle that is there. Anything else that is there is never replaced.

    Raises:
        OutputError: `target` exists, its parent cannot be written, or the disk is full.
    """
    target = target.absolute()
    _refuse_existing(target, force=force)
    try:
        made = _make_parents(target.parent)
        staging = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    except OSError as error:
        raise OutputError(
            f"The bundle cannot be written to {target.parent}: {error.strerror or error}.",
            hint="Choose a folder that you may write: -o BUNDLE",
        ) from error
    try:
        yield staging
        staging.chmod(0o755)
        _put_in_place(staging, target)
        made = []
    except OSError as error:
        if isinstance(error, EdgeclsError):  # some of ours are OSErrors too
            raise
        raise _output_error(error, target) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        for folder in reversed(made):
            with suppress(OSError):  # somebody else has put something there meanwhile
                folder.rmdir()


def _output_error(error: OSError, target: Path) -> OutputError:
    """Say in words why a bundle could not be written."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
        free_mib = shutil.disk_usage(_existing(target)).free >> 20
        return OutputError(
            f"The disk is full: writing {target} failed with {free_mib} MiB free.",
            hint="Free some space, or choose another disk: -o BUNDLE",
        )
    return OutputError(f"{target} cannot be written: {error.strerror or error}.")


def _existing(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path


def _refuse_existing(target: Path, *, force: bool) -> None:
    if not target.exists():
        return
    if not (target / CARD_NAME).is_file():
        if target.is_dir() and not any(target.iterdir()):
            return
        raise OutputError(
            f"{target} exists and is not a bundle; it is left alone.", hint="Choose another -o"
        )
    if not force:
        raise OutputError(f"{target} is already a bundle.", hint="Replace it with --force")


def _make_parents(folder: Path) -> list[Path]:
    missing = []
    while not folder.exists():
        missing.append(folder)
        folder = folder.parent
    missing.reverse()
    for path in missing:
        path.mkdir()
    return missing


def _put_in_place(staging: Path, target: Path) -> None:
    if not target.exists():
        staging.rename(target)
        return
    if not (target / CARD_NAME).exists():
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
