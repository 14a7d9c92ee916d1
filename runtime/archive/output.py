"""The results of an archive as one file, JSON lines or Parquet, there only when it is complete."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from models.errors import OutputError, UsageError
from models.extras import extra
from runtime.archive.result import FileResult, result_of_json
from runtime.outputs.line_file import cannot_read, cannot_write

_ROWS = 10_000
"""Rows per group of a Parquet file: what is in memory at a time."""


@dataclass(frozen=True, slots=True)
class Format:
    """A way to keep results in a file.

    Attributes:
        write: Makes a file of a header and results.
        read_header: Gives the header of such a file back; raises `ValueError` where there is none.
        read: Gives the results back.
    """

    write: Callable[[Path, Mapping[str, Any], Iterable[FileResult]], None]
    read_header: Callable[[Path], object]
    read: Callable[[Path], Iterator[Mapping[str, Any]]]


def format_of(output: Path) -> Format:
    """The format of an output, by the ending of its name.

    Raises:
        UsageError: The ending is another one.
        MissingExtra: Parquet was asked for, and PyArrow is not installed.
    """
    kind = output.suffix.lower()
    if kind not in _FORMATS:
        raise UsageError(
            f"{output} is written as its name ends, and {kind or 'no ending'} is none of"
            f" {', '.join(_FORMATS)}.",
            hint=f"--output {output.stem or 'results'}.jsonl",
        )
    if kind == ".parquet":
        with extra("archive", "Writing Parquet"):
            import pyarrow.parquet  # noqa: F401
    return _FORMATS[kind]


def check_writable(output: Path) -> None:
    """Notice before hours of work what would be noticed behind it.

    Raises:
        OutputError: The output is a folder, or its folder is not there or takes no files.
    """
    if output.is_dir():
        raise OutputError(f"{output} is a folder.", hint=f"--output {output / 'results.jsonl'}")
    if not os.access(output.absolute().parent, os.W_OK):
        parent = output.absolute().parent
        what = "may not be written to by this user" if parent.exists() else "does not exist"
        raise OutputError(
            f"{output} cannot be written: the folder {parent} {what}.", hint=f"mkdir -p {parent}"
        )


def write_output(output: Path, header: Mapping[str, Any], results: Iterable[FileResult]) -> None:
    """Write all results, or leave what was there.

    One process at a time: the journal is locked. What a killed one left behind is written over.

    Args:
        output: The file; its ending tells the format.
        header: What is said of all files: the first JSON line, or the metadata `edgecls` of
            a Parquet file.
        results: In the order in which they are written.

    Raises:
        OutputError: It cannot be written.
    """
    write = format_of(output).write
    partial = output.with_name(f".{output.name}.part")
    try:
        try:
            write(partial, header, results)
            with partial.open("rb+") as stream:
                os.fsync(stream.fileno())
            partial.replace(output)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        raise cannot_write(output, error) from error


def read_header(output: Path) -> Mapping[str, Any]:
    """What an output says of all its files.

    Raises:
        OutputError: It was not made by `write_output`, or cannot be read.
    """
    try:
        header = format_of(output).read_header(output)
    except OSError as error:
        raise cannot_read(output, error) from error
    except (ValueError, RecursionError):
        header = None
    if not isinstance(header, dict) or "model_sha256" not in header:
        raise OutputError(
            f"{output} is no output of edgecls classify.",
            hint="Name another file: --output FILE, or replace it with --force.",
        )
    return header


def read_output(output: Path) -> Iterator[FileResult]:
    """The results of an output; what is none is left out.

    Raises:
        OutputError: It cannot be read.
    """
    try:
        for value in format_of(output).read(output):
            with contextlib.suppress(KeyError, TypeError, ValueError):
                yield result_of_json(value)
    except (OSError, ValueError) as error:
        raise cannot_read(output, error) from error


def _lines_header(path: Path) -> object:
    with path.open(encoding="utf-8") as stream:
        return json.loads(stream.readline())


def _read_lines(path: Path) -> Iterator[Mapping[str, Any]]:
    with path.open(encoding="utf-8") as stream:
        for line in islice(stream, 1, None):
            with contextlib.suppress(ValueError, RecursionError):
                yield json.loads(line)


def _parquet_header(path: Path) -> object:
    from pyarrow import parquet

    return json.loads((parquet.read_schema(path).metadata or {}).get(b"edgecls", b""))


def _read_parquet(path: Path) -> Iterator[Mapping[str, Any]]:
    from pyarrow import parquet

    with parquet.ParquetFile(path) as file:
        for batch in file.iter_batches(_ROWS):
            yield from batch.to_pylist()


def _write_lines(path: Path, header: Mapping[str, Any], results: Iterable[FileResult]) -> None:
    with path.open("w", encoding="utf-8", errors="backslashreplace", newline="\n") as stream:
        stream.write(json.dumps({"type": "header", **header}, ensure_ascii=False) + "\n")
        for result in results:
            stream.write(json.dumps(result.to_json(), ensure_ascii=False) + "\n")


def _write_parquet(path: Path, header: Mapping[str, Any], results: Iterable[FileResult]) -> None:
    import pyarrow
    from pyarrow import parquet

    label = pyarrow.field("label", pyarrow.string())
    probability = pyarrow.field("probability", pyarrow.float64())
    schema = pyarrow.schema(
        [
            pyarrow.field("file", pyarrow.string(), nullable=False),
            pyarrow.field("size_bytes", pyarrow.int64()),
            pyarrow.field("modified_ns", pyarrow.int64()),
            pyarrow.field("start_s", pyarrow.float64()),
            pyarrow.field("end_s", pyarrow.float64()),
            label,
            probability,
            pyarrow.field("top", pyarrow.list_(pyarrow.struct([label, probability]))),
            pyarrow.field("warnings", pyarrow.list_(pyarrow.string())),
            pyarrow.field("error", pyarrow.string()),
        ],
        metadata={"edgecls": json.dumps(dict(header))},
    )
    rows = iter(results)
    with parquet.ParquetWriter(path, schema) as writer:
        while group := list(map(_row, islice(rows, _ROWS))):
            writer.write_table(pyarrow.Table.from_pylist(group, schema=schema))


def _row(result: FileResult) -> dict[str, Any]:
    """A row of a Parquet file: the best class in columns of its own."""
    row = result.to_json()
    best = result.top[0] if result.top else None
    return {
        **row,
        "file": _plain(result.file),
        "label": best and best.label,
        "probability": best and best.probability,
        "warnings": list(map(_plain, result.warnings)),
        "error": result.error if result.error is None else _plain(result.error),
    }


def _plain(text: str) -> str:
    """Names of files that are not UTF-8, with escapes."""
    return text.encode("utf-8", "backslashreplace").decode()


_FORMATS = {
    ".jsonl": Format(_write_lines, _lines_header, _read_lines),
    ".parquet": Format(_write_parquet, _parquet_header, _read_parquet),
}
