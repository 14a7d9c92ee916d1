"""Add graphs to a bundle so that they are in it whole or not at all, one change at a time.

New files come under names that the card does not know yet; replacing `card.json` is the moment at
which they become part of the bundle. Killed before it, the bundle is as it was, but for files
that nothing refers to and that the next change removes; killed after it, it is as it should be.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from calibration.graph_names import BEGINNINGS, free_names
from calibration.report import REPORT_FOLDER, REPORT_NAME, Report
from calibration.report_page import PAGE_NAME, page
from models.bundle import BUILTIN_BUNDLE, Bundle, open_bundle
from models.card import CARD_NAME, BundleFile, Variant
from models.errors import BundleError, EdgeclsError, OutputError

logger = logging.getLogger(__name__)

_TEMPORARY = ".calibrate.tmp"
_PENDING = "report.next.json"
_PENDING_PAGE = "report.next.html"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewGraph:
    """A graph to add.

    Attributes:
        path: The finished file; stays where it is.
        weights: Its weights, if they are a file of their own, of the same name but for the ending.
        variant: Its entry in the card, but for the files, which are filled in.
        stages: Its stage graphs, finished files in the order of `variant.stages`; they stay too.
    """

    path: Path
    weights: Path | None
    variant: Variant
    stages: tuple[Path, ...] = ()

    @property
    def sources(self) -> tuple[Path, ...]:
        """The graph, its weights where they are a file of their own, and its stages."""
        return (self.path, *(() if self.weights is None else (self.weights,)), *self.stages)


@contextlib.contextmanager
def locked_bundle(path: Path) -> Iterator[Bundle]:
    """Open a bundle for changing it; nobody else changes it meanwhile.

    The lock is one of the operating system on the folder itself: it leaves no file, and is gone
    with the process that held it.

    Args:
        path: Folder of the bundle, or its card.

    Raises:
        BundleError: It is no bundle, or the built-in one, or another process is changing it.
        OutputError: The folder cannot be written.
    """
    bundle = open_bundle(path)
    folder = bundle.path.resolve()
    if folder == BUILTIN_BUNDLE.resolve():
        raise BundleError(
            "The built-in model is part of the program and is not changed.",
            hint=f"Copy it first: cp -r {BUILTIN_BUNDLE} my-bundle && edgecls calibrate my-bundle",
        )
    if not os.access(folder, os.W_OK):
        raise OutputError(f"{folder} cannot be written.", hint="Copy the bundle, or: chmod u+w")
    with _lock(folder):
        _clear_away(folder, open_bundle(folder))
        yield open_bundle(folder)


def add_graphs(
    bundle: Bundle, graphs: Sequence[NewGraph], report: Report, *, replaced: str = "int8"
) -> Bundle:
    """Add graphs, the report and its page; graphs of that precision that were there before go.

    Args:
        bundle: Opened by `locked_bundle`.
        graphs: To add; their order is kept.
        report: Names of files in it are replaced by those that the files get.
        replaced: Precision whose graphs are taken out of the card.

    Returns:
        The bundle as it is now.

    Raises:
        BundleError: Somebody else changed the card meanwhile.
        OutputError: A file cannot be written, e.g. because the disk is full.
    """
    folder = bundle.path
    taken = {entry.file for variant in bundle.card.variants for entry in variant.files}
    _refuse_changed(folder, bundle)
    try:
        entries, names = [], {}
        for graph in graphs:
            own = graph.sources[: len(graph.sources) - len(graph.stages)]
            free = free_names(graph.variant, [path.suffix for path in own], taken=taken)
            taken.update(free)
            pairs = zip(graph.sources, free, strict=True)
            copies = tuple(_copied(source, folder / name) for source, name in pairs)
            entries.append(_entry(graph, copies))
            names[graph.path.name] = copies[0].name
        kept = tuple(one for one in bundle.card.variants if one.precision != replaced)
        card = bundle.card.model_copy(update={"variants": (*kept, *entries)})
        card = type(card).model_validate(card.model_dump())
        reports = folder / REPORT_FOLDER
        reports.mkdir(exist_ok=True)
        named = _renamed(report, names)
        _write(page(named), reports / _PENDING_PAGE)  # first: beside _PENDING there is its page
        _write(named.model_dump_json(indent=1) + "\n", reports / _PENDING)
        _refuse_changed(folder, bundle)
        _write(card.to_json(), folder / CARD_NAME)
    except OSError as error:
        if isinstance(error, EdgeclsError):
            raise
        raise OutputError(
            f"{folder} cannot be written: {error.strerror or error}. Nothing was added.",
            hint="Free some space, or copy the bundle to another disk.",
        ) from error
    changed = open_bundle(folder)
    _clear_away(folder, changed)
    return changed


def _refuse_changed(folder: Path, bundle: Bundle) -> None:
    if open_bundle(folder).card != bundle.card:
        raise BundleError(
            f"{folder} was changed by another program meanwhile; nothing was added.",
            hint="Run the same command again.",
        )


def read_report(bundle: Bundle) -> Report | None:
    """The report of the calibration that the card's INT8 graphs come from.

    Returns:
        None when there is none that fits the card.

    Raises:
        BundleError: It is damaged.
    """
    for name in (REPORT_NAME, _PENDING):
        path = bundle.path / REPORT_FOLDER / name
        if not path.is_file():
            continue
        try:
            report = Report.model_validate_json(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise BundleError(f"{path} is not a calibration report: {error}.") from error
        if _fits(report, bundle):
            return report
    return None


def _fits(report: Report, bundle: Bundle) -> bool:
    digests = {one.sha256 for one in bundle.card.variants if one.precision == "int8"}
    return {one.sha256 for one in report.targets} == digests


def _renamed(report: Report, names: dict[str, str]) -> Report:
    """The report with the files' names in the bundle."""
    targets = [
        one.model_copy(
            update={
                "file": names.get(one.file, one.file),
                "races": tuple(
                    race.model_copy(update={"file": names.get(race.file, race.file)})
                    for race in one.races
                ),
            }
        )
        for one in report.targets
    ]
    return report.model_copy(update={"targets": tuple(targets)})


def _entry(graph: NewGraph, copies: tuple[Path, ...]) -> Variant:
    """The entry of the card, with the files as they are in the bundle, see `NewGraph.sources`."""
    main, *rest = (BundleFile.of(path).model_dump() for path in copies)
    weights = None if graph.weights is None else BundleFile.model_validate(rest.pop(0))
    stages = zip(graph.variant.stages, rest, strict=True)
    return graph.variant.model_copy(
        update={
            **main,
            "weights": weights,
            "stages": tuple(stage.model_copy(update=file) for stage, file in stages),
        }
    )


def _copied(source: Path, target: Path) -> Path:
    """Copy a file under a temporary name, let it reach the disk, and give it its name."""
    temporary = target.with_name(f".{target.name}{_TEMPORARY}")
    shutil.copyfile(source, temporary)
    _settle(temporary)
    temporary.replace(target)
    return target


def _write(text: str, target: Path) -> None:
    temporary = target.with_name(f".{target.name}{_TEMPORARY}")
    temporary.write_text(text, encoding="utf-8")
    _settle(temporary)
    _settle(target.parent)
    temporary.replace(target)
    _settle(target.parent)


def _settle(path: Path) -> None:
    """Let a file or folder reach the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _clear_away(folder: Path, bundle: Bundle) -> None:
    """Finish what a killed change left: remove files nothing refers to, keep the right report."""
    known = {entry.file for variant in bundle.card.variants for entry in variant.files}
    for path in [*folder.iterdir(), *folder.glob(f"{REPORT_FOLDER}/*")]:
        ours = path.name.startswith(BEGINNINGS) and path.parent == folder
        if path.name.endswith(_TEMPORARY) or (ours and path.name not in known):
            path.unlink(missing_ok=True)
    pending = folder / REPORT_FOLDER / _PENDING
    pending_page = folder / REPORT_FOLDER / _PENDING_PAGE
    if pending.is_file():
        with contextlib.suppress(ValueError):
            report = Report.model_validate_json(pending.read_text(encoding="utf-8"))
            if _fits(report, bundle):
                if pending_page.is_file():  # else it has its name already
                    pending_page.replace(pending_page.with_name(PAGE_NAME))
                pending.replace(pending.with_name(REPORT_NAME))
                return
        pending.unlink()
    pending_page.unlink(missing_ok=True)


@contextlib.contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """Hold the folder alone.

    Raises:
        BundleError: Another process does.
        OutputError: There is no way to lock it.
    """
    handle = _flocked(folder)
    if handle is None:
        with _lock_file(folder):
            yield
        return
    try:
        yield
    finally:
        os.close(handle)  # which also unlocks


def _flocked(folder: Path) -> int | None:
    """Lock the folder itself; None where that cannot be done (Windows, some network drives).

    Raises:
        BundleError: Another process holds it.
    """
    try:
        import fcntl
    except ImportError:
        return None
    handle = None
    try:
        handle = os.open(folder, os.O_RDONLY)
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if handle is not None:
            os.close(handle)
        if isinstance(error, BlockingIOError):
            raise _busy(folder) from error
        logger.info("%s cannot be locked: %s", folder, error)
        return None
    return handle


@contextlib.contextmanager
def _lock_file(folder: Path) -> Iterator[None]:
    """The same with a file beside the folder that holds the number of the process."""
    import psutil

    path = folder.with_name(f".{folder.name}.lock")
    for _ in range(2):
        try:
            handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        except FileExistsError as error:
            owner = path.read_text(encoding="ascii", errors="replace").strip()
            if not owner.isdecimal() or psutil.pid_exists(int(owner)):
                raise _busy(folder) from error
            path.unlink(missing_ok=True)  # its owner is no more
            continue
        except OSError as error:
            raise OutputError(
                f"{folder} cannot be locked: {path} cannot be written ({error.strerror or error}).",
                hint="Copy the bundle to a folder that can be written.",
            ) from error
        try:
            os.write(handle, str(os.getpid()).encode())
            os.close(handle)
            yield
        finally:
            path.unlink(missing_ok=True)
        return
    raise _busy(folder)


def _busy(folder: Path) -> BundleError:
    return BundleError(
        f"{folder} is being calibrated by another process.",
        hint="Wait until that is done, or stop it.",
    )
