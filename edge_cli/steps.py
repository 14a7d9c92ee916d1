"""The steps of something long on stderr, one after another."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import TaskID

OnStep = Callable[[str, int, int], None]
"""Told the title of a step, how much of it is done and how much there is (0: unknown)."""


@contextmanager
def steps() -> Iterator[OnStep]:
    """A line per step on stderr; with a moving bar when it is a terminal."""
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True, highlight=False)
    with Progress(
        SpinnerColumn(finished_text="[green]✓[/]"),
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TimeElapsedColumn(),
        console=console,
        disable=not console.is_terminal,
    ) as progress:
        tasks: dict[str, TaskID] = {}

        def on_step(title: str, done: int, total: int) -> None:
            if title not in tasks:
                for task in progress.tasks:
                    progress.update(task.id, total=1, completed=1)
                tasks[title] = progress.add_task(escape(title), total=None)
                if not console.is_terminal:
                    sys.stderr.write(f"{title}\n")
            progress.update(tasks[title], total=total if done else None, completed=done)

        yield on_step
