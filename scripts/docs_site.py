"""What makes a site of documents that are written to be read as files, too; see mkdocs.yml."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

_PLACE = {"Decisions": "decisions"}
_CODE = re.compile(r"`[^`\n]+`")


def on_config(config: Any) -> Any:
    """Put the list of decisions in their place of the navigation."""
    folder = Path(config.docs_dir) / _PLACE["Decisions"]
    pages = [f"{folder.name}/{path.name}" for path in sorted(folder.glob("*.md"))]
    config.nav = [{"Decisions": pages} if entry == _PLACE else entry for entry in config.nav]
    return config


def on_page_markdown(markdown: str, **_: Any) -> str:
    r"""Elsewhere a bar in code within a table must be written `\|`; here that would be shown."""
    lines = markdown.split("\n")
    return "\n".join(_bars(line) if line.startswith("|") else line for line in lines)


def _bars(line: str) -> str:
    return _CODE.sub(lambda code: code[0].replace("\\|", "|"), line)
