"""Every command of the command line, found by walking through it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer

from edge_cli.app import build_app


def _below(command: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield path, command
    for name, inner in getattr(command, "commands", {}).items():
        yield from _below(inner, (*path, name))


PAGES: dict[tuple[str, ...], Any] = dict(_below(typer.main.get_command(build_app()), ()))
"""What has a help page, by its words: the application itself is `()`."""

COMMANDS = {path: one for path, one in PAGES.items() if not hasattr(one, "commands")}
"""Those that do something, e.g. `("data", "check")`."""
