"""`edgecls bench`: how fast each engine is here."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_cli.engine_options import BackendOptionsOption, DeviceOption, settings_asked
from edge_cli.options import BundleArgument, ThreadsOption, open_bundle_argument
from edge_cli.progress import waiting
from models.errors import BackendError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edge_cli.bench_stream import StreamRequest
    from models.bundle import Bundle
    from models.card import Variant
    from runtime.bench import BenchPlan, BenchResult
    from runtime.session import Backend, Probe

_ALL = "all"


class Format(str, Enum):
    """How figures are written."""

    TABLE = "table"
    JSON = "json"


class Precision(str, Enum):
    """Which graphs are measured."""

    ALL = "all"
    FP32 = "fp32"
    FP16 = "fp16"
    INT8 = "int8"


def bench(
    bundle: BundleArgument = None,
    backend: Annotated[str, typer.Option(metavar="NAME", help="all, or one engine.")] = _ALL,
    precision: Annotated[
        Precision, typer.Option(help="all graphs of the bundle, or those of one precision.")
    ] = Precision.ALL,
    iterations: Annotated[
        int, typer.Option(metavar="N", min=1, help="Timed runs per graph and engine.")
    ] = 30,
    warmup: Annotated[int, typer.Option(metavar="N", min=0, help="Runs that do not count.")] = 3,
    batch: Annotated[int, typer.Option(metavar="N", min=1, help="Clips per run.")] = 1,
    threads: ThreadsOption = None,
    device: DeviceOption = None,
    backend_option: BackendOptionsOption = None,
    fmt: Annotated[Format, typer.Option("--format", help="A table, or JSON.")] = Format.TABLE,
    stream: Annotated[
        bool,
        typer.Option(
            "--stream",
            help="Cost per prediction of overlapping windows, whole and incremental.",
        ),
    ] = False,
    window: Annotated[
        float | None,
        typer.Option(
            metavar="S",
            show_default="the clip length the model was trained on",
            help="--stream: seconds of a window.",
        ),
    ] = None,
    stride: Annotated[
        float | None,
        typer.Option(
            metavar="S",
            show_default="window / frames",
            help="--stream: seconds from one prediction to the next.",
        ),
    ] = None,
    streams: Annotated[
        int, typer.Option(metavar="N", min=1, help="--stream: streams at once, in one batch.")
    ] = 1,
    paddle: Annotated[
        Path | None,
        typer.Option(
            metavar="MODEL",
            show_default=False,
            help="--stream: race Paddle too, on what the bundle was converted from.",
        ),
    ] = None,
    paddlex: Annotated[
        Path | None,
        typer.Option(
            metavar="PYTHON",
            show_default="this one, if it has PaddleX",
            help="--stream: interpreter of an environment with PaddleX.",
        ),
    ] = None,
    picture: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", show_default=False, help="--stream: also draw it, .svg or .png."
        ),
    ] = None,
    age: Annotated[
        bool, typer.Option(help="--stream: watch the age of frames at 30 fps, in real time.")
    ] = True,
) -> None:
    """Measure the engines: latency, throughput, memory of the model alone.

    Input is random; decoding and preprocessing are not part of it.
    Every row is measured in a process of its own, so that its memory is its own.
    With --stream: the cost of a prediction when windows overlap; ways take turns.
    Exit code 9 when nothing could be measured.

    Example: edgecls bench pptsmv2 --stream
    """
    from runtime.backends import BACKENDS, backend_named
    from runtime.bench import BenchPlan, bench_graph, speed_over_fp32
    from runtime.graphs import check_asked

    asked = BACKENDS if backend == _ALL else (backend_named(backend),)
    settings = settings_asked(backend_option or (), backend=None if backend == _ALL else backend)
    opened = open_bundle_argument(bundle)
    names, absent = _working(asked)
    if stream:
        from edge_cli.bench_stream import StreamRequest

        if device is not None or settings:
            raise UsageError(
                "bench --stream measures engines as they are by themselves.",
                hint="Leave out --device and --backend-option, or --stream.",
            )
        if batch != 1 or precision is Precision.FP16:
            raise UsageError(
                "bench --stream measures fp32 and int8, and batches of one window per stream.",
                hint="--streams N for more streams at once",
            )
        precisions = ("fp32", "int8") if precision is Precision.ALL else (precision.value,)
        check_asked(opened.card, precisions[0], backend=None)
        _stream(
            opened,
            StreamRequest(
                backends=names,
                precisions=precisions,
                window_s=window,
                stride_s=stride,
                streams=streams,
                iterations=iterations,
                threads=threads,
                paddle=paddle,
                paddlex=paddlex,
                picture=picture,
                age=age,
            ),
            fmt,
        )
        return
    _check_alone(window, stride, paddle, paddlex, picture, streams=streams)
    plan = BenchPlan(
        iterations=iterations,
        warmup=warmup,
        batch=batch,
        threads=threads,
        device=device,
        settings=settings,
    )
    if precision is not Precision.ALL:
        check_asked(opened.card, precision.value, backend=None if backend == _ALL else backend)
    results = []
    for name, variant in _rows(opened, names, precision):
        with waiting(f"measuring {name} {variant.title}"):
            results.append(bench_graph(opened, variant, backend=name, plan=plan))
    if fmt is Format.JSON:
        value = {
            "path": str(opened.path),
            "model": opened.card.name,
            "plan": asdict(plan),
            "results": [
                {**asdict(one), "speed_over_fp32": speed_over_fp32(one, results)} for one in results
            ],
            "absent": {name: probe.reason for name, probe in absent.items()},
        }
        sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")
    else:
        _show(opened, plan, results, absent)
    if all(result.figures is None for result in results):
        failed = [f"{result.title}: {result.reason}" for result in results]
        reasons = "; ".join([*failed, *(f"{name}: {one.reason}" for name, one in absent.items())])
        raise BackendError(
            f"No backend could be measured ({reasons}).",
            hint="edgecls doctor tells which backends work here.",
        )


def _working(backends: Sequence[Backend]) -> tuple[list[str], dict[str, Probe]]:
    """Names of the engines that could work here, and why the others do not."""
    probes = {one.name: one.probe() for one in backends}
    working = [name for name, probe in probes.items() if probe.ok]
    return working, {name: probe for name, probe in probes.items() if not probe.ok}


def _stream(bundle: Bundle, request: StreamRequest, fmt: Format) -> None:
    from edge_cli.bench_stream import bench_stream, write_json
    from edge_cli.stream_view import draw, show

    report = bench_stream(bundle, request)
    if request.picture is not None:
        draw(report, request.picture)
    if fmt is Format.JSON:
        write_json(report)
    else:
        show(report)


def _check_alone(*values: object, streams: int) -> None:
    """Refuse options that mean nothing without `--stream`."""
    if streams != 1 or any(value is not None for value in values):
        raise UsageError(
            "--window, --stride, --streams, --paddle, --paddlex and --picture go with --stream.",
            hint="edgecls bench BUNDLE --stream",
        )


def _rows(bundle: Bundle, names: list[str], precision: Precision) -> Iterator[tuple[str, Variant]]:
    """Every engine with every graph that is for it."""
    from runtime.graphs import runnable

    for name in names:
        for variant in runnable(bundle.card, name):
            if precision in (Precision.ALL, variant.precision):
                yield name, variant


def _show(
    bundle: Bundle, plan: BenchPlan, results: list[BenchResult], absent: dict[str, Probe]
) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from runtime.bench import speed_over_fp32
    from runtime.cpu import usable_cpus

    ratios = [speed_over_fp32(result, results) for result in results]
    compared = any(one.precision != "fp32" for one in results)
    table = Table(box=None, pad_edge=False, header_style="cyan")
    for name in ("backend", "graph"):
        table.add_column(name, no_wrap=True)
    columns = ("median ms", "p95 ms", "clips/s", "load ms", "peak MiB")
    for name in (*columns, "x fp32") if compared else columns:
        table.add_column(name, justify="right", no_wrap=True)
    for result, ratio in zip(results, ratios, strict=True):
        figures = result.figures
        if figures is None:
            table.add_row(result.backend, result.graph, "[yellow]failed[/]")
            continue
        table.add_row(
            result.backend,
            result.graph,
            f"{figures.median_ms:.2f}",
            f"{figures.p95_ms:.2f}",
            f"{figures.clips_per_s:.1f}",
            f"{figures.load_ms:.0f}",
            f"{figures.peak_memory_mib:.0f}",
            *(("-" if ratio is None else f"{ratio:.2f}",) if compared else ()),
        )
    threads = next((one.figures.threads for one in results if one.figures), usable_cpus())
    console = Console(highlight=False)
    console.print(
        f"[bold]{escape(bundle.card.name)}[/]  batch {plan.batch}, {threads} threads,"
        f" {plan.iterations} runs after {plan.warmup} that do not count"
    )
    if results:
        console.print(table)
    engines = {
        one.backend: f"{one.figures.engine}; {one.figures.placement}"
        for one in results
        if one.figures
    }
    for backend, engine in engines.items():
        console.print(f"{backend}: {engine}", soft_wrap=True)
    for result in results:
        if result.figures is None:
            console.print(f"{result.title}: [yellow]{escape(result.reason)}[/]", soft_wrap=True)
    for name, probe in absent.items():
        if probe.expected:
            console.print(f"{name}: [yellow]{escape(probe.reason)}[/]", soft_wrap=True)
