"""The examples of a document: its fenced blocks of code."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_FENCE = re.compile(r"^(?P<fence>`{3,})(?P<info>.*?)^(?P=fence)\s*$", re.MULTILINE | re.DOTALL)
_NOT_RUN = re.compile(r"<!-- not run: (?P<why>.+?) -->\s*\Z")
_TITLE = re.compile(r'title="(?P<title>[^"]+)"')


@dataclass(frozen=True, kw_only=True)
class Block:
    """A block of code.

    Attributes:
        place: Document and line, for messages.
        language: "python", "sh", ..., or nothing.
        title: Name of the file that it is, if it is one.
        text: The code.
        not_run: Why it cannot be run here, as a comment in front of it says; empty when it can.
    """

    place: str
    language: str
    title: str
    text: str
    not_run: str

    def commands(self) -> Iterator[list[str]]:
        """Of a shell block, the words of each command; `#` begins a comment."""
        for line in self.text.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if words:
                yield words


def blocks(document: Path) -> list[Block]:
    """All fenced blocks, in order."""
    text = document.read_text(encoding="utf-8")
    found = []
    for match in _FENCE.finditer(text):
        info, _, code = match["info"].partition("\n")
        title = _TITLE.search(info)
        excuse = _NOT_RUN.search(text[: match.start()].rstrip())
        found.append(
            Block(
                place=f"{document.name}, line {text.count(chr(10), 0, match.start()) + 1}",
                language=info.split()[0] if info.split() else "",
                title=title["title"] if title else "",
                text=code,
                not_run=excuse["why"] if excuse else "",
            )
        )
    return found
