"""What the help pages of all commands have in common."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup, TyperOption

HELP_OPTIONS = ["-h", "--help"]


def show_flags_as_flags(group: TyperGroup) -> None:
    """Let flags be shown as `--force`, not as `--force <bool>`, which looks as if it took a value.

    Args:
        group: Whose commands, and their commands, are changed.
    """
    for command in _below(group):
        context = typer.Context(command, help_option_names=HELP_OPTIONS)
        for option in (*command.params, command.get_help_option(context)):
            if isinstance(option, TyperOption) and (option.is_flag or option.count):
                option.metavar = ""


def _below(command: Any) -> Iterator[TyperCommand | TyperGroup]:
    """A command, and those inside it."""
    yield command
    if isinstance(command, TyperGroup):
        for inner in command.commands.values():
            yield from _below(inner)
