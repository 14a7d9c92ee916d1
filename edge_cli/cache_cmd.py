"""`edgecls cache`: what engines compiled and how they raced, kept for the next start."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runtime.engine_cache import CacheEntry, EngineCache

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="List and remove what is kept for the next start: compiled graphs, races.",
)


@app.command("list")
def list_entries(
    as_json: Annotated[bool, typer.Option("--json", help="The list as JSON.")] = False,
) -> None:
    """List what engines compiled, the last used first, and count the races remembered.

    Example: edgecls cache list --json
    """
    from runtime.engine_cache import EngineCache
    from runtime.machine import remembered_races

    cache, races = EngineCache(), remembered_races()
    entries = cache.entries()
    if as_json:
        value = {
            "folder": str(cache.folder),
            "limit_bytes": cache.limit_bytes,
            "size_bytes": sum(entry.size_bytes for entry in entries),
            "entries": [_facts(entry) for entry in entries],
            "races": races.count,
            "races_file": str(races.path),
        }
        sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")
        return
    if entries:
        _show(entries)
    sys.stdout.write(f"{_summary(entries, cache)}\n")
    sys.stdout.write(f"{_raced(races.count)} remembered, in {races.path}\n")


@app.command("clear")
def clear() -> None:
    """Remove what engines compiled, and forget their races: they do both again when needed.

    What a process is building or loading at the moment stays.

    Example: edgecls cache clear
    """
    from models.sizes import size_in_words
    from runtime.engine_cache import EngineCache
    from runtime.machine import remembered_races

    removed, left = EngineCache().clear()
    size = size_in_words(sum(entry.size_bytes for entry in removed))
    races = remembered_races().clear()
    sys.stdout.write(f"{_counted(len(removed))} removed, {size}; {_raced(races)} forgotten\n")
    if left:
        sys.stderr.write(f"note: {_counted(len(left))} in use or not yours to remove\n")


def _facts(entry: CacheEntry) -> dict[str, object]:
    facts = asdict(entry.key)
    return {
        **facts,
        "size_bytes": entry.size_bytes,
        "used_s": entry.used_s,
        "path": str(entry.path),
    }


def _show(entries: Sequence[CacheEntry]) -> None:
    """A table for every engine on every device, since names of devices are long."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from models.plain_text import plain
    from models.sizes import size_in_words

    now_s = time.time()
    tables: dict[str, Table] = {}
    for entry in entries:
        key = entry.key
        title = plain(f"{key.backend}: {key.device}")
        if title not in tables:
            tables[title] = Table(box=None, pad_edge=False, show_header=False)
            for right in (False, False, True, True):
                tables[title].add_column(justify="right" if right else "left", overflow="fold")
        size, used = size_in_words(entry.size_bytes), _ago(now_s - entry.used_s)
        words = (f"  {key.model.removesuffix('.onnx')}", key.shape, size, used)
        tables[title].add_row(*(Text(plain(word)) for word in words))
    console = Console(highlight=False)
    for title, table in tables.items():
        console.print(Text(title, style="cyan"), table)


def _summary(entries: Sequence[CacheEntry], cache: EngineCache) -> str:
    from models.sizes import size_in_words

    size = size_in_words(sum(entry.size_bytes for entry in entries))
    limit = size_in_words(cache.limit_bytes)
    return f"{_counted(len(entries))}, {size} of {limit} at most, in {cache.folder}"


def _counted(number: int) -> str:
    return f"{number or 'no'} {'entry' if number == 1 else 'entries'}"


def _raced(number: int) -> str:
    return f"{number or 'no'} {'race' if number == 1 else 'races'}"


def _ago(seconds: float) -> str:
    """E.g. "3 h ago"."""
    for unit, length_s in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length_s:
            return f"{seconds // length_s:.0f} {unit} ago"
    return "just now"
