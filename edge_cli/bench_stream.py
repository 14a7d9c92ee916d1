"""`edgecls bench --stream`: what a prediction costs in a stream, ours and that of others."""

from __future__ import annotations

import json
import math
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_cli.progress import waiting
from models.errors import BackendError, EdgeclsError

if TYPE_CHECKING:
    from edge_cli.stream_age import AgeFigures, AgeRun
    from models.bundle import Bundle
    from runtime.grid import GridSpec
    from runtime.stream_bench import Entry, StreamPlan, StreamRow

CALLS_PER_TURN = 3
AGE_S = 10.0
"""How long results are watched in real time, after the first window is full."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamRequest:
    """What is asked for.

    Attributes:
        backends: Names of engines.
        precisions: "fp32", "int8".
        window_s: Length of a window; None for that of the card.
        stride_s: From one prediction to the next; None for one frame of the grid.
        streams: Streams at once.
        iterations: Timed predictions of every way.
        threads: Threads of the engines; None for the CPUs this process may use.
        paddle: What the bundle was converted from; None to leave Paddle out.
        paddlex: Interpreter that has PaddleX; None for this one, if it has it.
        picture: Where the picture is written; None for none.
        age: Whether the age of frames is measured.
    """

    backends: Sequence[str]
    precisions: Sequence[str]
    window_s: float | None
    stride_s: float | None
    streams: int
    iterations: int
    threads: int | None
    paddle: Path | None
    paddlex: Path | None
    picture: Path | None
    age: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamReport:
    """What was measured.

    Attributes:
        bundle: The model.
        window_s: Length of a window.
        plan: How it was measured.
        rows: Costs.
        ages: Ages of frames, by engine and precision.
        notes: What went wrong or was left out, one sentence each.
    """

    bundle: Bundle
    window_s: float
    plan: StreamPlan
    rows: Sequence[StreamRow]
    ages: Sequence[AgeFigures]
    notes: Sequence[str]


def bench_stream(bundle: Bundle, request: StreamRequest) -> StreamReport:
    """Measure.

    Raises:
        UsageError: An option is out of range.
        CheckpointError: `paddle` is not what the bundle was converted from.
        BackendError: Nothing of ours could be measured.
    """
    from edge_cli.stream_picture import check_picture
    from runtime.stream_bench import RIVALS, measure_streams, own_entries

    if request.picture is not None:
        check_picture(request.picture)
    grid, plan = _plan(bundle, request)
    window_s = grid.length_s
    notes = list(_without_stages(bundle, request.precisions))
    with tempfile.TemporaryDirectory(prefix="edgecls-stream-") as scratch:
        folder = Path(scratch)
        entries = [
            *_rivals(bundle, request, plan, window_s=window_s, folder=folder, notes=notes),
            *own_entries(bundle, request.backends, precisions=request.precisions, plan=plan),
        ]
        with _telling() as tell:
            rows = measure_streams(entries, plan, on_step=tell)
            own = [row for row in rows if row.backend not in RIVALS]
            if not any(row.median_ms for row in own):
                reasons = "; ".join(f"{row.backend} {row.graph}: {row.reason}" for row in own)
                raise BackendError(
                    f"No engine could be measured ({reasons}).",
                    hint="edgecls doctor tells which backends work here.",
                )
            runs = _age_runs(bundle, request, own, grid=grid, folder=folder)
            ages = list(_ages(runs, window_s + AGE_S, tell, notes))
    return StreamReport(
        bundle=bundle, window_s=window_s, plan=plan, rows=rows, ages=ages, notes=notes
    )


def write_json(report: StreamReport) -> None:
    """One object on stdout; see docs/cli.md for the fields."""
    from runtime.cpu import cpu_info
    from runtime.stream_bench import cheaper_by, paddle_row, whole_row

    stride_s = report.plan.stride_s
    value: dict[str, Any] = {
        "path": str(report.bundle.path),
        "model": report.bundle.card.name,
        "cpu": cpu_info().model,
        "window_s": report.window_s,
        "plan": asdict(report.plan),
        "rows": [
            {
                **asdict(row),
                "times_cheaper_than_paddle": cheaper_by(row, paddle_row(report.rows)),
                "times_cheaper_than_whole": cheaper_by(row, whole_row(row, report.rows)),
                "streams_per_core": row.streams_per_core(stride_s),
            }
            for row in report.rows
        ],
        "ages": [asdict(one) for one in report.ages],
        "notes": list(report.notes),
    }
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def _plan(bundle: Bundle, request: StreamRequest) -> tuple[GridSpec, StreamPlan]:
    """The grid of the windows, as `run` makes it, and the plan."""
    from runtime.cpu import usable_cpus
    from runtime.grid import grid_spec
    from runtime.stream_bench import StreamPlan

    clip = bundle.card.clip
    grid = grid_spec(
        clip.frames,
        length_s=clip.clip_length_s if request.window_s is None else request.window_s,
        stride_s=request.stride_s,
    )
    return grid, StreamPlan(
        threads=request.threads or usable_cpus(),
        hop=grid.every,
        stride_s=grid.stride_s,
        streams=request.streams,
        rounds=math.ceil(request.iterations / CALLS_PER_TURN),
        calls=CALLS_PER_TURN,
    )


def _without_stages(bundle: Bundle, precisions: Sequence[str]) -> Iterator[str]:
    """Why graphs are measured whole only."""
    temporal = bundle.card.temporal
    older = "it was made without; make it again: edgecls"
    for precision in precisions:
        graphs = [one for one in bundle.card.variants if one.precision == precision]
        if not graphs or any(one.stages for one in graphs):
            continue
        if precision == "int8":
            why = f"{older} calibrate"
        else:
            why = f"{older} convert" if temporal is None else temporal.reason
        yield f"{precision} has no stage graphs and is measured whole only: {why}"


def _rivals(
    bundle: Bundle,
    request: StreamRequest,
    plan: StreamPlan,
    *,
    window_s: float,
    folder: Path,
    notes: list[str],
) -> Iterator[Entry]:
    """Paddle Inference and PaddleX, where they can be had; else a note says why not."""
    if request.paddle is None:
        notes.append("Paddle was left out: give what the bundle was converted from, --paddle MODEL")
        return
    from convert.paddle_rival import paddle_entry, saved_program
    from convert.paddlex_rival import paddlex_entry, paddlex_python
    from runtime.stream_clip import write_clip

    model = folder / "paddle"
    model.mkdir()
    with waiting("exporting the model for Paddle"):
        program = saved_program(request.paddle, bundle.card, bundle.path, model)
    yield paddle_entry(bundle.path, program, plan)
    python = paddlex_python(request.paddlex)
    if python is None:
        notes.append("PaddleX was left out: it is not installed; --paddlex VENV/bin/python")
        return
    if plan.streams > 1:
        notes.append("PaddleX was left out: it takes one file at a time")
        return
    clip = folder / "window.mp4"
    write_clip(clip, seconds=window_s)
    entry = paddlex_entry(bundle.card, program, clip=clip, python=python)
    if entry is None:
        notes.append(f"PaddleX was left out: it has no {bundle.card.family} of these frames")
        return
    yield entry


def _age_runs(
    bundle: Bundle,
    request: StreamRequest,
    rows: Sequence[StreamRow],
    *,
    grid: GridSpec,
    folder: Path,
) -> list[AgeRun]:
    """One run per engine and graph that works, on one core, reusing where it can."""
    from edge_cli.stream_age import AgeRun

    if not request.age:
        return []
    pairs = {(row.backend, row.graph[:4]): None for row in rows if row.median_ms}
    return [
        AgeRun(
            bundle=bundle.path,
            clip=folder / "live.mp4",
            window_s=grid.length_s,
            stride_s=grid.stride_s,
            backend=backend,
            precision=precision,
            streams=request.streams,
            threads=1,
            cpus=1,
        )
        for backend, precision in pairs
    ]


def _ages(
    runs: Sequence[AgeRun], seconds: float, tell: Any, notes: list[str]
) -> Iterator[AgeFigures]:
    from edge_cli.stream_age import measure_age
    from runtime.stream_clip import write_clip

    if runs:
        write_clip(runs[0].clip, seconds=seconds)
    for run in runs:
        tell(f"watching {run.backend} {run.precision} for {seconds:.0f} s")
        try:
            yield measure_age(run)
        except EdgeclsError as error:
            notes.append(f"Frame age, {run.backend} {run.precision}: {error.message}")


@contextmanager
def _telling() -> Iterator[Any]:
    """A moving sign on stderr with changing words, if stderr is a terminal."""
    from rich.console import Console
    from rich.markup import escape

    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        yield lambda text: None
        return
    with console.status("") as status:
        yield lambda text: status.update(escape(text))
