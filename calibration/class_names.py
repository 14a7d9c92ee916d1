"""Class names: lists of them, and which of them a folder or a line of a list means."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from calibration.text_file import printable, read_text
from models.errors import DatasetError
from models.label_names import label_names

_INDEXED = re.compile(r"([0-9]+)\s+(\S.*)", re.ASCII)


def read_class_names(path: Path) -> tuple[str, ...]:
    """Read a label file: one name per line, or `index name` as PaddleX writes it.

    A file whose lines all begin with a number is taken as indexed; the indices must then be
    0, 1, 2, … in any order, each once. Where only some do, as in `3 point shot`, the number is
    part of the name.

    Raises:
        DatasetError: Unreadable, empty, a blank line between names, a name twice, or indices that
            have gaps, repeat or do not start at 0; with the line where one is to blame.
    """
    text = read_text(path, what="label file")
    names = label_names(text)
    if not text.strip():
        raise DatasetError(f"The label file {path} is empty.")
    stripped = tuple(line.strip() for line in text.rstrip().splitlines())
    indexed = [_INDEXED.fullmatch(line) for line in stripped]
    if names == stripped and all(indexed):
        pairs = [(int(match[1]), match[2]) for match in indexed if match is not None]
        names = _in_order(pairs, path)
    for line, name in enumerate(names, start=1):
        if not name:
            raise DatasetError(f"{path}:{line}: this line is blank, a class name was expected.")
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise DatasetError(f"{path}: the class name '{twice[0]}' occurs more than once.")
    return tuple(map(printable, names))


def _in_order(pairs: Sequence[tuple[int, str]], path: Path) -> tuple[str, ...]:
    by_index: dict[int, str] = {}
    for line, (index, name) in enumerate(pairs, start=1):
        if index in by_index:
            raise DatasetError(f"{path}:{line}: the index {index} occurs for the second time.")
        if index >= len(pairs):
            first = min(number for number, _ in pairs)
            reason = "they must start at 0" if first > 0 else "one is left out"
            raise DatasetError(
                f"{path}:{line}: the index {index} is beyond the {len(pairs)} classes listed:"
                f" {reason}."
            )
        by_index[index] = name
    return tuple(by_index[index] for index in range(len(pairs)))


def plain_name(name: str) -> str:
    """A name without case, blanks and punctuation: `Pan_Left` and "pan left" are "panleft"."""
    folded = unicodedata.normalize("NFKC", name).casefold()
    return "".join(letter for letter in folded if letter.isalnum())


class ClassIndex:
    """Finds class numbers by name, exactly or but for case, blanks and punctuation.

    Args:
        names: Class names in the order of their numbers.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self._exact = {name: index for index, name in reversed(list(enumerate(names)))}
        counts = Counter(map(plain_name, names))
        self._plain = {
            plain_name(name): index
            for index, name in enumerate(names)
            if counts[plain_name(name)] == 1 and plain_name(name)
        }

    def find(self, name: str) -> int | None:
        """Number of the class of that name; None when there is none, or several might be meant."""
        exact = self._exact.get(name)
        return self._plain.get(plain_name(name)) if exact is None else exact

    def nearest(self, name: str) -> str | None:
        """The class name most like `name`, if one is much like it."""
        by_plain = {plain_name(one): one for one in self.names}
        near = get_close_matches(plain_name(name), by_plain, n=1, cutoff=0.7)
        return by_plain[near[0]] if near else None
