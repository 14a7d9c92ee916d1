"""Text files that people wrote, with any line ending and byte order mark."""

from __future__ import annotations

import codecs
import re
import unicodedata
from pathlib import Path

from models.errors import DatasetError

_LARGEST_BYTES = 256 * 1024 * 1024
_UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_UNSHOWN = frozenset(("Cc", "Zl", "Zp"))
"""Categories of characters that steer a terminal or end a line."""
_LINE_ENDS = re.compile(r"\r\n|\r|\n")


def read_text(path: Path, *, what: str) -> str:
    """Content of a text file: UTF-8, or UTF-16 where a byte order mark says so; without the mark.

    Args:
        path: The file.
        what: What it is, for messages, e.g. "list of clips".

    Raises:
        DatasetError: It cannot be read, is no text, or is larger than 256 MiB.
    """
    try:
        size_bytes = path.stat().st_size
        if size_bytes > _LARGEST_BYTES:
            raise DatasetError(f"The {what} {path} has {size_bytes} bytes, too many for a list.")
        data = path.read_bytes()
    except OSError as error:
        raise DatasetError(
            f"The {what} {path} cannot be read: {error.strerror or error}.", hint=f"ls -l {path}"
        ) from error
    encoding = "utf-16" if data.startswith(_UTF16_MARKS) else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise DatasetError(
            f"{path}:{line}: this is not {encoding.removesuffix('-sig').upper()} text"
            f" (byte {error.start}: {error.reason}).",
            hint=f"If it is Chinese text from Windows: iconv -f gb18030 -t utf-8 {path}",
        ) from error
    if "\0" in text:
        raise DatasetError(f"The {what} {path} is no text: it holds zero bytes.")
    return text


def lines_of(text: str) -> list[str]:
    """Lines without their ends; ends are those of files only, so a path may hold a form feed."""
    lines = _LINE_ENDS.split(text)
    return lines if lines[-1] else lines[:-1]


def printable(text: str) -> str:
    r"""A path or name fit for a terminal and for UTF-8: what is not becomes letters, `\x1b`."""
    encodable = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return "".join(
        letter.encode("unicode_escape").decode("ascii")
        if unicodedata.category(letter) in _UNSHOWN
        else letter
        for letter in encodable
    )
