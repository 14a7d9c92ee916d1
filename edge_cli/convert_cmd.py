"""`edgecls convert`: a trained Paddle model becomes a verified bundle."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from convert.pipeline import Converted, OnStep


def convert(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="SRC",
            help=".pdparams checkpoint, or an exported model (a file of it, or its folder).",
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="BUNDLE", help="Folder to make.")
    ],
    family: Annotated[
        str, typer.Option(metavar="auto|NAME", help="pp-tsmv2 or pp-tsm; read off the weights.")
    ] = "auto",
    part: Annotated[
        Literal["auto", "model", "ema", "student", "teacher"],
        typer.Option(help="Which network of a training checkpoint that holds several."),
    ] = "auto",
    frames: Annotated[
        int | None,
        typer.Option(metavar="T", help="Frames per clip (num_seg), where the source is silent."),
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Class names, one per line.")
    ] = None,
    opset: Annotated[int, typer.Option(metavar="N", help="ONNX opset, 13 to 21.")] = 17,
    size: Annotated[
        int | None, typer.Option(metavar="PX", help="Side of the input; 224 by default.")
    ] = None,
    short_side: Annotated[
        int | None,
        typer.Option(metavar="PX", help="Short side before the crop; 256 by default."),
    ] = None,
    resize: Annotated[
        Literal["fixed_4_3", "keep_aspect", "stretch"] | None,
        typer.Option(help="Resize policy; fixed_4_3, PaddleVideo's, by default."),
    ] = None,
    clip_length: Annotated[
        float | None,
        typer.Option(metavar="S", help="Length of the training clips in seconds; 10 by default."),
    ] = None,
    name: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Name of the model, for people.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a bundle that is there.")] = False,
) -> None:
    """Convert a trained Paddle model into a verified ONNX bundle.

    Nothing is written unless ONNX computes what Paddle computes: on noise and on
    natural clips, frames in order, reversed and shuffled, batches of 1, 2 and 3.

    Example: edgecls convert ppTSMv2.pdparams -o pptsmv2 --frames 16
    """
    from convert.isolated import convert_isolated
    from convert.request import ConvertRequest

    request = ConvertRequest(
        source=source,
        output=output,
        family=family,
        part=part,
        frames=frames,
        labels=labels,
        opset=opset,
        size=size,
        short_side=short_side,
        resize=resize,
        clip_length_s=clip_length,
        name=name,
        force=force,
    )
    with _progress() as on_step:
        done = convert_isolated(request, on_step)
    _report(done)


@contextmanager
def _progress() -> Iterator[OnStep]:
    """A line per step on stderr; with a moving bar when it is a terminal."""
    from rich.console import Console
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
        tasks: dict[str, object] = {}

        def on_step(title: str, done: int, total: int) -> None:
            if title not in tasks:
                for task in progress.tasks:
                    progress.update(task.id, total=1, completed=1)
                tasks[title] = progress.add_task(title, total=None)
                if not console.is_terminal:
                    sys.stderr.write(f"{title}\n")
            progress.update(progress.tasks[-1].id, total=total if done else None, completed=done)

        yield on_step


def _report(done: Converted) -> None:
    from edge_cli.words import size_in_words

    card, certificate = done.card, done.card.certificate
    for note in done.notes:
        sys.stderr.write(f"note: {note}\n")
    graph = card.variant("fp32")
    clips = sum(case.batch for case in certificate.cases)
    sys.stdout.write(
        f"{done.path}: {card.name}, {card.classes} classes,"
        f" {size_in_words(graph.size_bytes)}, opset {card.opset}\n"
        f"parity: {certificate.max_rel_diff:.1e} of the logit range at most"
        f" (allowed {certificate.tolerance:g}), top-1 {certificate.top1_agreement:.0%}"
        f" of {clips} clips in {len(certificate.cases)} cases\n"
    )
