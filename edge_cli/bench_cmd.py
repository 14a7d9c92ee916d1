"""`edgecls bench`: how fast each engine is here."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from enum import Enum
from typing import TYPE_CHECKING, Annotated

import typer

from edge_cli.options import BundleArgument, ThreadsOption, open_bundle_argument
from edge_cli.progress import waiting
from models.errors import BackendError

if TYPE_CHECKING:
    from models.bundle import Bundle
    from runtime.bench import BenchPlan, BenchResult

_ALL = "all"


class Format(str, Enum):
    """How figures are written."""

    TABLE = "table"
    JSON = "json"


def bench(
    bundle: BundleArgument = None,
    backend: Annotated[str, typer.Option(metavar="NAME", help="all, or one engine.")] = _ALL,
    iterations: Annotated[
        int, typer.Option(metavar="N", min=1, help="Timed runs per engine.")
    ] = 30,
    warmup: Annotated[int, typer.Option(metavar="N", min=0, help="Runs that do not count.")] = 3,
    batch: Annotated[int, typer.Option(metavar="N", min=1, help="Clips per run.")] = 1,
    threads: ThreadsOption = None,
    fmt: Annotated[Format, typer.Option("--format", help="A table, or JSON.")] = Format.TABLE,
) -> None:
    """Measure the engines: latency, throughput, memory of the model alone.

    Input is random; decoding and preprocessing are not part of it.
    Every engine runs in a process of its own, so that its memory is its own.
    Exit code 9 when no engine could be measured.
    """
    from runtime.backends import BACKENDS, backend_named
    from runtime.bench import BenchPlan, bench_backend

    names = [one.name for one in BACKENDS] if backend == _ALL else [backend_named(backend).name]
    opened = open_bundle_argument(bundle)
    plan = BenchPlan(iterations=iterations, warmup=warmup, batch=batch, threads=threads)
    results = []
    for name in names:
        with waiting(f"measuring {name}"):
            results.append(bench_backend(opened, backend=name, plan=plan))
    if fmt is Format.JSON:
        value = {
            "path": str(opened.path),
            "model": opened.card.name,
            "plan": asdict(plan),
            "results": [asdict(result) for result in results],
        }
        sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")
    else:
        _show(opened, plan, results)
    if all(result.figures is None for result in results):
        reasons = "; ".join(f"{result.backend}: {result.reason}" for result in results)
        raise BackendError(
            f"No backend could be measured ({reasons}).", hint="pip install 'edgecls[cpu]'"
        )


def _show(bundle: Bundle, plan: BenchPlan, results: list[BenchResult]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table
    from rich.text import Text

    from runtime.cpu import usable_cpus

    table = Table(box=None, pad_edge=False, header_style="cyan")
    table.add_column("backend", no_wrap=True)
    table.add_column("engine", overflow="fold")
    for name in ("median ms", "p95 ms", "clips/s", "load ms", "peak MiB"):
        table.add_column(name, justify="right", no_wrap=True)
    for result in results:
        figures = result.figures
        if figures is None:
            table.add_row(result.backend, Text(result.reason, style="yellow"))
            continue
        table.add_row(
            result.backend,
            figures.engine,
            f"{figures.median_ms:.2f}",
            f"{figures.p95_ms:.2f}",
            f"{figures.clips_per_s:.1f}",
            f"{figures.load_ms:.0f}",
            f"{figures.peak_memory_mib:.0f}",
        )
    threads = next((one.figures.threads for one in results if one.figures), usable_cpus())
    console = Console(highlight=False)
    console.print(
        f"[bold]{escape(bundle.card.name)}[/]  {plan.precision}, batch {plan.batch},"
        f" {threads} threads, {plan.iterations} runs after {plan.warmup} that do not count"
    )
    console.print(table)
