"""Results on disk while an archive is classified, so that it can go on after any interruption.

The first line says what is done to the files; every further line is the result of a file. A line
is written when its file is done. A line that a kill or a power cut tore is dropped, and its file
done again; of a file that was done twice, since it changed in between or had failed, the later line
counts.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.errors import OutputError, UsageError
from runtime.archive.files import Stamp, stamp_of
from runtime.archive.result import FileResult, result_of_json
from runtime.closing import ClosesOnExit
from runtime.outputs.line_file import LineFile, Sync, WhenFull, cannot_read, cannot_write

logger = logging.getLogger(__name__)

_BEGINS = '{"type": "journal", '

IDENTITY = {
    "model_sha256": "model",
    "preprocessing": "preprocessing",
    "labels": "class names",
    "precision": "--precision",
    "backend": "--backend",
    "backend_options": "--backend-option",
    "views": "--views",
    "top_k": "--top",
    "threshold": "--threshold",
}
"""What must be the same to go on, and what each is called."""


def journal_of(output: Path) -> Path:
    """Where the journal of an output is, while there is one."""
    return output.with_name(f"{output.name}.journal")


@dataclass(frozen=True, slots=True)
class _Line:
    """Where the result of a file is in the journal.

    Attributes:
        at: Offset of its line, in bytes.
        stamp: Of the file when it was read.
        failed: Whether it could not be classified.
    """

    at: int
    stamp: Stamp | None
    failed: bool


class Journal(ClosesOnExit):
    """The journal of an archive, open for appending. Only where lines are is kept in memory.

    Args:
        path: Made when absent.
        header: What is done to the files; must hold what `IDENTITY` names.

    Raises:
        UsageError: It is about another model or other options.
        OutputError: It cannot be written, is something else, or another run writes to it.
    """

    def __init__(self, path: Path, header: Mapping[str, Any]) -> None:
        self._path = path
        self._file = LineFile(path, begins=_BEGINS, sync=Sync.EVENTS, when_full=WhenFull.FAIL)
        try:
            if self._file.was_empty:
                # On the disk at once: a journal without its first line is of no use.
                self._file.write(json.dumps({"type": "journal", **header}) + "\n", important=True)
            self._lines, self._end = _read(path, header)
        except BaseException:
            self._file.close()
            raise

    def append(self, result: FileResult) -> None:
        """Write a result through to the file.

        Raises:
            OutputError: The disk is full, or the file is gone.
        """
        line = json.dumps(result.to_json()) + "\n"
        self._file.write(line)
        self._lines[result.file] = _Line(self._end, result.stamp, result.error is not None)
        self._end += len(line)

    def take_over(self, results: Iterable[FileResult]) -> None:
        """Append what came of files that have no result here, but for those that failed.

        Raises:
            OutputError: The disk is full, or the file is gone.
        """
        for result in results:
            if result.error is None and result.file not in self._lines:
                self.append(result)

    def undone(self, files: Iterable[str], *, retry: bool = False) -> list[str]:
        """Those files that have no result, or were changed since.

        Args:
            files: Of the archive.
            retry: Those that failed, too.
        """
        return [file for file in files if not self._is_done(file, retry=retry)]

    def _is_done(self, file: str, *, retry: bool) -> bool:
        line = self._lines.get(file)
        if line is None or (retry and line.failed):
            return False
        return line.stamp == stamp_of(file)

    def results(self, files: Iterable[str]) -> Iterator[FileResult]:
        """The results of these files, all of which have one, in this order.

        Raises:
            OutputError: The journal cannot be read any more.
        """
        try:
            with self._path.open("rb") as stream:
                for file in files:
                    stream.seek(self._lines[file].at)
                    yield result_of_json(json.loads(stream.readline()))
        except OSError as error:
            raise cannot_read(self._path, error) from error

    def close(self) -> None:
        """Close the file; twice is fine."""
        self._file.close()

    def discard(self) -> None:
        """Close and remove it."""
        self.close()
        discard(self._path)


def begun(path: Path) -> Mapping[str, Any] | None:
    """What is done to the files of a journal; None where none was begun."""
    try:
        with path.open("rb") as stream:
            value = json.loads(stream.readline())
    except (OSError, ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) and value.get("type") == "journal" else None


def discard(path: Path) -> None:
    """Remove a journal, if there is one.

    Raises:
        OutputError: It is something else, or cannot be removed.
    """
    if path.exists() and path.stat().st_size and begun(path) is None:
        raise OutputError(
            f"{path} is no journal of edgecls classify.", hint="Name another file: --output FILE"
        )
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise cannot_write(path, error) from error


def _read(path: Path, wanted: Mapping[str, Any]) -> tuple[dict[str, _Line], int]:
    """Where the lines of the files are, and the length of all in bytes."""
    lines: dict[str, _Line] = {}
    torn = at = 0
    try:
        with path.open("rb") as stream:
            for number, line in enumerate(stream):
                value = _parsed(line)
                if number == 0:
                    if not isinstance(value, dict):
                        raise OutputError(
                            f"The first line of {path} is damaged.", hint=f"Start anew: rm {path}"
                        )
                    check_same(path, value, wanted)
                elif isinstance(value, FileResult):
                    lines[value.file] = _Line(at, value.stamp, value.error is not None)
                else:
                    torn += 1
                at += len(line)
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        raise cannot_read(path, error) from error
    if torn:
        logger.warning("%s: %d lines are damaged; their files are classified again", path, torn)
    return lines, at


def _parsed(line: bytes) -> FileResult | dict[str, Any] | None:
    """The header as a dict, the result of a file, or None for a line that is damaged."""
    try:
        value: dict[str, Any] = json.loads(line)
        return value if value["type"] == "journal" else result_of_json(value)
    except (KeyError, TypeError, ValueError, RecursionError):
        return None


def check_same(path: Path, there: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Compare what was done to the files before with what is done now.

    Args:
        path: The file that tells what was done.
        there: That.
        wanted: What is done now.

    Raises:
        UsageError: They differ in one of `IDENTITY`.
    """
    wanted = json.loads(json.dumps(dict(wanted)))
    for field, name in IDENTITY.items():
        if there.get(field) != wanted.get(field):
            raise UsageError(
                f"{path} was made with another {name} ({_short(there.get(field))}, now"
                f" {_short(wanted.get(field))}): its results and new ones do not go together.",
                hint="Give the same model and options as then, or start anew with --force.",
            )


def _short(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 24 else f"{text[:16]}…"
