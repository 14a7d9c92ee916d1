"""Puts every decision into the navigation of the site; see mkdocs.yml."""

from __future__ import annotations

from pathlib import Path
from typing import Any

_PLACE = {"Decisions": "decisions"}


def on_config(config: Any) -> Any:
    """Put the list of decisions in their place of the navigation."""
    folder = Path(config.docs_dir) / _PLACE["Decisions"]
    pages = [f"{folder.name}/{path.name}" for path in sorted(folder.glob("*.md"))]
    config.nav = [{"Decisions": pages} if entry == _PLACE else entry for entry in config.nav]
    return config
