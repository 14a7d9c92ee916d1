"""Results of an evaluation on disk while it runs, so that it can go on after an interruption.

The first line is a header that says what is evaluated on what; every further line is a clip.
A line is written when its clip is done. If the process dies while it writes, the last line is
cut off; it is dropped, and its clip done again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from calibration.eval_results import ClipResult
from calibration.whole_file import json_bytes
from models.errors import DatasetError, OutputError, UsageError
from runtime.closing import ClosesOnExit

LOG_NAME = "results.jsonl"

IDENTITY = {
    "model_sha256": "model",
    "preprocessing": "preprocessing",
    "clips_sha256": "list of clips",
    "precision": "--precision",
    "backend": "--backend",
    "backend_options": "--backend-option",
    "sampling": "--sampling",
    "views": "--views",
    "reference": "--reference",
}
"""Fields of the header that must be the same to go on, and what each is called."""


class EvalLog(ClosesOnExit):
    """A log that is open for appending; see `started` and `resumed`.

    Args:
        path: The file.
        stream: Opened at its end.
    """

    def __init__(self, path: Path, stream: BinaryIO) -> None:
        self._path = path
        self._stream = stream

    def append(self, result: ClipResult) -> None:
        """Write a result through to the file.

        Raises:
            OutputError: The disk is full, or the file is gone.
        """
        _write(self._path, self._stream, result.to_line())

    def close(self) -> None:
        """Close the file; twice is fine."""
        # What is still buffered then could not be written, and `append` has said so.
        with suppress(OSError):
            self._stream.close()


def refuse_old(path: Path) -> None:
    """Make sure that no results are lost.

    Raises:
        UsageError: There is a log already.
    """
    if path.exists():
        raise UsageError(
            f"{path} holds the results of an earlier evaluation.",
            hint=f"Go on with it: --resume {path.parent}; or name another folder: --output",
        )


def started(path: Path, header: Mapping[str, Any]) -> EvalLog:
    """Begin a log; folders above it are made.

    Raises:
        UsageError: There is one already.
        OutputError: It cannot be written.
    """
    refuse_old(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        stream = path.open("xb")
    except OSError as error:
        raise _unwritable(path, error) from error
    _write(path, stream, json.dumps(dict(header), ensure_ascii=False) + "\n")
    return EvalLog(path, stream)


def read_header(path: Path) -> dict[str, Any]:
    """The header of a log.

    Raises:
        DatasetError: There is no log, or none that can be used.
    """
    return _read(path)[0]


def resumed(path: Path, header: Mapping[str, Any]) -> tuple[EvalLog, dict[int, ClipResult]]:
    """Go on with a log: cut off a line that is not complete, and hand out the others.

    Args:
        path: The file.
        header: Of the evaluation that is to go on.

    Returns:
        The log, and results by the place of the clip in the list. Clips that could not be read are
        left out, so that they are tried again.

    Raises:
        DatasetError: There is no log, or none that can be used.
        UsageError: It is about another model, list or setting.
        OutputError: It cannot be written.
    """
    logged, results, whole_bytes = _read(path)
    wanted = json.loads(json.dumps(dict(header)))
    for field, name in IDENTITY.items():
        if logged.get(field) != wanted.get(field):
            raise UsageError(
                f"{path} was made with another {name} ({_short(logged.get(field))}, now"
                f" {_short(wanted.get(field))}): its results and new ones do not go together.",
                hint="Give the same model, clips and options as then, or start anew with --output.",
            )
    try:
        stream = path.open("r+b")
        stream.truncate(whole_bytes)
        stream.seek(whole_bytes)
    except OSError as error:
        raise _unwritable(path, error) from error
    done = {result.index: result for result in results if result.answer is not None}
    return EvalLog(path, stream), done


def _read(path: Path) -> tuple[dict[str, Any], list[ClipResult], int]:
    """Header, results, and the length in bytes of the lines that are complete."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DatasetError(
            f"There is no evaluation to go on with: {path} cannot be read"
            f" ({error.strerror or error}).",
            hint="Start one: edgecls eval BUNDLE --clips LIST --output DIR",
        ) from error
    whole = data[: data.rfind(b"\n") + 1]
    values = [_parsed(path, number, line) for number, line in enumerate(whole.splitlines(), 1)]
    if not values or values[0].get("type") != "header":
        raise DatasetError(f"{path} does not begin with the header of an evaluation.")
    results = []
    for number, value in enumerate(values[1:], start=2):
        try:
            results.append(ClipResult.from_json(value))
        except (KeyError, TypeError, ValueError) as error:
            raise DatasetError(f"{path}:{number}: this line is no result ({error!r}).") from error
    return values[0], results, len(whole)


def _parsed(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{path}:{number}: this line is not JSON ({error}).") from error
    if not isinstance(value, dict):
        raise DatasetError(f"{path}:{number}: this line is no JSON object.")
    return value


def _write(path: Path, stream: BinaryIO, line: str) -> None:
    try:
        stream.write(json_bytes(line))
        stream.flush()
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> OutputError:
    return OutputError(
        f"{path} cannot be written: {error.strerror or error}.", hint=f"df -h {path.parent}"
    )


def _short(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 24 else f"{text[:16]}…"
