"""The figures of `edgecls bench --stream` as a table, and as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edge_cli.stream_words import name_of, times, title_of

if TYPE_CHECKING:
    from rich.console import Console

    from edge_cli.bench_stream import StreamReport

_COLUMNS = ("ms", "p95", "x Paddle", "x whole", "1 core", "streams", "MiB")


def show(report: StreamReport) -> None:
    """Write the table to stdout."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from runtime.stream_bench import cheaper_by, paddle_row, whole_row

    console = Console(highlight=False)
    console.print(f"[bold]{escape(report.bundle.card.name)}[/]")
    console.print(conditions(report))
    table = Table(box=None, pad_edge=False, padding=(0, 0, 0, 1), header_style="cyan")
    table.add_column("", no_wrap=True)
    for name in _COLUMNS:
        table.add_column(name, justify="right", no_wrap=True)
    paddle = paddle_row(report.rows)
    for row in report.rows:
        if row.median_ms is None:
            table.add_row(title_of(row), "[yellow]failed[/]")
            continue
        table.add_row(
            title_of(row),
            _figure(row.median_ms),
            _figure(row.p95_ms),
            times(cheaper_by(row, paddle)),
            times(cheaper_by(row, whole_row(row, report.rows))),
            _figure(row.one_core_ms),
            _figure(row.streams_per_core(report.plan.stride_s)),
            _figure(row.peak_memory_mib, digits=0),
        )
    console.print(table)
    console.print(
        "ms: median time of a prediction. x: how many times cheaper than Paddle Inference, and"
        " than whole windows in fp32 on the same engine. 1 core: ms with one thread on one CPU."
        f" streams: how many, with a prediction every {report.plan.stride_s:.3g} s, one core keeps"
        " up with, the model alone.",
        style="dim",
        soft_wrap=True,
    )
    _show_ages(console, report)
    _show_remarks(console, report)


def conditions(report: StreamReport) -> str:
    """How it was measured, in one line."""
    plan, frames = report.plan, report.bundle.card.clip.frames
    streams = "" if plan.streams == 1 else f", {plan.streams} streams at once"
    return (
        f"{frames} frames of {report.window_s:.3g} s, a prediction every {plan.stride_s:.3g} s"
        f"{streams}, medians of {plan.rounds * plan.calls} on {plan.threads} threads"
    )


def draw(report: StreamReport, path: Path) -> None:
    """Write the picture.

    Raises:
        OutputError: It cannot be written.
    """
    from edge_cli.stream_picture import draw_streams
    from runtime.stream_bench import paddle_row

    rival = paddle_row(report.rows)
    times_what = "" if rival is None else "; x: times cheaper than Paddle Inference"
    draw_streams(
        path,
        report.rows,
        title=f"Cost of a prediction, {report.bundle.card.name}",
        subtitle=f"{conditions(report)}{times_what}",
        rival=rival,
    )


def _show_ages(console: Console, report: StreamReport) -> None:
    """Ages of frames, if they were measured."""
    from rich.table import Table

    if not report.ages:
        return
    console.print("\nAge of the newest frame at its result, 640x480 at 30 fps, on one core")
    table = Table(box=None, pad_edge=False, header_style="cyan")
    for name in ("engine", "graph"):
        table.add_column(name, no_wrap=True)
    for name in ("median ms", "p95 ms", "most ms", "results", "dropped", "CPU"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in report.ages:
        table.add_row(
            one.backend,
            one.precision,
            *(_figure(value) for value in (one.median_ms, one.p95_ms, one.most_ms)),
            str(one.results),
            str(one.dropped),
            "-" if one.cpu is None else f"{one.cpu:.0%}",
        )
    console.print(table)


def _show_remarks(console: Console, report: StreamReport) -> None:
    """Processor, engines, and all that has to be said with the figures."""
    from rich.markup import escape

    from runtime.cpu import cpu_info

    console.print(f"\n{escape(cpu_info().model)}")
    engines = {row.engine: row for row in report.rows if row.engine}
    for engine, row in engines.items():
        console.print(escape(f"{name_of(row)}: {engine}"))
    kept = {row.graph: row.stream_memory_mib for row in report.rows if row.stream_memory_mib}
    for graph, mib in kept.items():
        console.print(f"{graph}: every stream takes {mib:.1f} MiB for what it keeps")
    for row in report.rows:
        for text in filter(None, (row.note, row.reason)):
            console.print(f"{title_of(row)}: [yellow]{escape(text)}[/]", soft_wrap=True)
    for note in report.notes:
        console.print(escape(note), soft_wrap=True)


def _figure(value: float | None, digits: int = 1) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
