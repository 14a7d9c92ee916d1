"""`edgecls models`: published checkpoints to convert."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from models.catalog import Published
    from models.download import Progress

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="List and download published checkpoints.",
)


@app.command("list")
def list_models(
    as_json: Annotated[bool, typer.Option("--json", help="The list as JSON.")] = False,
) -> None:
    """List the checkpoints that Paddle's documents name.

    Example: edgecls models list
    """
    from models.catalog import CATALOG, DATASET, LICENCE, SOURCES

    if as_json:
        entries = [
            {**asdict(entry), "dataset": DATASET, "source": SOURCES[entry.source]}
            for entry in CATALOG
        ]
        value = {"licence": LICENCE, "models": entries}
        sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")
        return

    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="cyan")
    for name in ("name", "frames", "kind", "top-1 %", "size", "note"):
        table.add_column(
            name,
            justify="right" if name in {"frames", "top-1 %", "size"} else "left",
            no_wrap=name != "note",
        )
    for entry in CATALOG:
        table.add_row(
            entry.name,
            str(entry.frames),
            entry.kind,
            f"{entry.top1_percent:.2f}",
            f"{entry.size_mb:g} MB" if entry.size_mb else "",
            entry.note,
        )
    console = Console(highlight=False)
    console.print(table)
    console.print(
        f"\nTop-1 on {DATASET} as published, names with 'paddlex' in\n  {SOURCES['paddlex']}"
        f"\nand the others in\n  {SOURCES['paddlevideo']}\n{LICENCE}."
    )


@app.command("pull")
def pull_model(
    name: Annotated[str, typer.Argument(metavar="NAME", help="As in models list.")],
    folder: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Folder to download into.")
    ] = Path(),
) -> None:
    """Download a checkpoint; an interrupted download is taken up again.

    The authors publish no checksum. The first download is pinned in a lock file
    of yours; a file that differs from it later is refused (exit code 11).

    Example: edgecls models pull pptsmv2-8f-paddlex-weights -o checkpoints
    """
    from models.catalog import published
    from models.download import default_lock_path, pull

    entry = published(name)
    with _progress(entry) as progress:
        pulled = pull(entry, folder, lock_path=default_lock_path(), progress=progress)
    trust = {"pinned": "first download, now pinned", "matched": "as pinned before"}[pulled.trust]
    sys.stderr.write(f"sha256 {pulled.sha256} ({trust})\n")
    told = f" --family {entry.family} --frames {entry.frames}" if entry.kind == "pdparams" else ""
    sys.stderr.write(f"next: edgecls convert {pulled.path} -o {name}{told}\n")
    sys.stdout.write(f"{pulled.path}\n")


@contextmanager
def _progress(entry: Published) -> Iterator[Progress]:
    """A bar on stderr; only on a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TransferSpeedColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    console = Console(stderr=True)
    with Bars(
        *columns, TransferSpeedColumn(), console=console, disable=not console.is_terminal
    ) as bars:
        task = bars.add_task(entry.name, total=None)

        def show(received: int, total: int | None) -> None:
            bars.update(task, completed=received, total=total)

        yield show
