"""Signs of life on stderr while something takes long; none where nobody looks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def waiting(text: str) -> Iterator[None]:
    """Show `text` with a moving sign while the block runs, if stderr is a terminal."""
    from rich.console import Console
    from rich.markup import escape

    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        yield
        return
    with console.status(escape(text)):
        yield


@contextmanager
def counting(text: str, total: int, *, begun: int = 0) -> Iterator[Callable[[str], None]]:
    """A bar on stderr while the block runs, if stderr is a terminal.

    Args:
        text: What is going on.
        total: Number of steps.
        begun: Steps that were done before.

    Yields:
        To be called at the end of every step, with what is shown beside the bar.
    """
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as Remaining

    console = Console(stderr=True, highlight=False)
    columns = (TextColumn(escape(text)), BarColumn(bar_width=20), MofNCompleteColumn())
    note = TextColumn("{task.fields[note]}", markup=False)
    with Progress(
        *columns, Remaining(), note, console=console, disable=not console.is_terminal
    ) as bars:
        task = bars.add_task(text, total=total, completed=begun, note="")

        yield lambda note: bars.update(task, advance=1, note=note)
