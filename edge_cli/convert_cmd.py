"""`edgecls convert`: a trained model becomes a verified bundle."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from edge_cli.steps import steps
from models.errors import UsageError

if TYPE_CHECKING:
    from convert.pipeline import Converted


_MODEL, _INPUT, _GRAPH = "The model", "Its input", "The graph"
"""Headings of the groups of options."""


def convert(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="SRC",
            help=".pdparams checkpoint, exported Paddle model or .onnx: a file, or its folder.",
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="BUNDLE", help="Folder to make.")
    ],
    family: Annotated[
        str,
        typer.Option(
            metavar="auto|NAME",
            rich_help_panel=_MODEL,
            help="pp-tsmv2, pp-tsm, pp-tsm-mv2, pp-tsm-mv3, pp-tsn, tsm or tsn; read off the"
            " weights.",
        ),
    ] = "auto",
    part: Annotated[
        Literal["auto", "model", "ema", "student", "teacher"],
        typer.Option(
            rich_help_panel=_MODEL, help="Which network of a checkpoint that holds several."
        ),
    ] = "auto",
    labels: Annotated[
        Path | None,
        typer.Option(metavar="FILE", rich_help_panel=_MODEL, help="Class names, one per line."),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(metavar="TEXT", rich_help_panel=_MODEL, help="Name of the model, for people."),
    ] = None,
    frames: Annotated[
        int | None,
        typer.Option(
            metavar="T",
            rich_help_panel=_INPUT,
            help="Frames per clip (num_seg), where the source is silent.",
        ),
    ] = None,
    layout: Annotated[
        str | None,
        typer.Option(
            metavar="AXES",
            rich_help_panel=_INPUT,
            help="Axes of an exported model: NTCHW, NCTHW, NTHWC, N1CTHW, N(TC)HW, or NCHW for one"
            " that sees single pictures. By the shape of its input where that is clear.",
        ),
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(
            metavar="PX", rich_help_panel=_INPUT, help="Side of the input; 224 by default."
        ),
    ] = None,
    short_side: Annotated[
        int | None,
        typer.Option(
            metavar="PX",
            rich_help_panel=_INPUT,
            help="Short side before the crop; 256 to a side of 224 by default.",
        ),
    ] = None,
    resize: Annotated[
        Literal["fixed_4_3", "keep_aspect", "stretch"] | None,
        typer.Option(rich_help_panel=_INPUT, help="Resize policy; the family's by default."),
    ] = None,
    resize_library: Annotated[
        Literal["pillow", "opencv"] | None,
        typer.Option(rich_help_panel=_INPUT, help="Whose bilinear filter; they differ."),
    ] = None,
    mean: Annotated[
        str | None,
        typer.Option(
            metavar="R,G,B",
            rich_help_panel=_INPUT,
            help="Mean of pixels from 0 to 1 (0 to 255 if above 1); ImageNet's by default.",
        ),
    ] = None,
    std: Annotated[
        str | None,
        typer.Option(
            metavar="R,G,B", rich_help_panel=_INPUT, help="Standard deviation, the same way."
        ),
    ] = None,
    views: Annotated[
        int | None,
        typer.Option(
            metavar="1|10",
            rich_help_panel=_INPUT,
            help="Crops per frame for whole files; as the family was tested by default.",
        ),
    ] = None,
    clip_length: Annotated[
        float | None,
        typer.Option(
            metavar="S",
            rich_help_panel=_INPUT,
            help="Length of the training clips in seconds; 10 by default.",
        ),
    ] = None,
    opset: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            rich_help_panel=_GRAPH,
            help="ONNX opset, 13 to 21; 17, or that of an .onnx source, by default.",
        ),
    ] = None,
    fp16: Annotated[
        bool,
        typer.Option(
            "--fp16", rich_help_panel=_GRAPH, help="Add a half-precision graph, checked against it."
        ),
    ] = False,
    static_batch: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            rich_help_panel=_GRAPH,
            help="Add a graph of static shapes for N clips at a time, for TensorRT.",
        ),
    ] = None,
    no_stages: Annotated[
        bool,
        typer.Option(
            "--no-stages",
            rich_help_panel=_GRAPH,
            help="Leave out the graphs with which clips that overlap share work.",
        ),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace a bundle that is there.")] = False,
) -> None:
    """Convert a trained Paddle model, or an ONNX one, into a verified bundle.

    Nothing is written unless the graph computes what Paddle computes: on noise
    and natural clips, frames in order, reversed and shuffled, batches of 1 to 3.

    Example: edgecls convert ppTSMv2.pdparams -o pptsmv2 --frames 16
    """
    from convert.isolated import convert_isolated
    from convert.request import ConvertRequest

    request = ConvertRequest(
        source=source,
        output=output,
        family=family,
        part=part,
        labels=labels,
        name=name,
        frames=frames,
        layout=layout,
        size=size,
        short_side=short_side,
        resize=resize,
        resize_library=resize_library,
        mean=_triple("--mean", mean),
        std=_triple("--std", std),
        views=views,
        clip_length_s=clip_length,
        opset=opset,
        fp16=fp16,
        static_batch=static_batch,
        stages=not no_stages,
        force=force,
    )
    with steps() as on_step:
        done = convert_isolated(request, on_step)
    _report(done)


def _triple(flag: str, text: str | None) -> tuple[float, float, float] | None:
    """Three numbers, or one for all three channels.

    Raises:
        UsageError: They are no numbers, or another count.
    """
    if text is None:
        return None
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if len(values) == 1:
        values *= 3
    if len(values) != 3:
        raise UsageError(
            f"{flag} is three numbers for red, green and blue, got '{text}'.",
            hint=f"{flag} 0.485,0.456,0.406",
        )
    return (values[0], values[1], values[2])


def _report(done: Converted) -> None:
    from edge_cli.words import size_in_words

    card, certificate = done.card, done.card.certificate
    for note in done.notes:
        sys.stderr.write(f"note: {note}\n")
    graph = card.variants[0]
    clips = sum(case.batch for case in certificate.cases)
    what = "parity" if certificate.proves == "training" else "same as the given file"
    sys.stdout.write(
        f"{done.path}: {card.name}, {card.classes} classes,"
        f" {size_in_words(graph.size_bytes)}, opset {card.opset}\n"
        f"{what}: {certificate.max_rel_diff:.1e} of the logit range at most"
        f" (allowed {certificate.tolerance:g}), top-1 {certificate.top1_agreement:.0%}"
        f" of {clips} clips in {len(certificate.cases)} cases\n"
    )
    for variant in card.variants[1:]:
        if variant.check is not None:
            sys.stdout.write(
                f"{variant.title}: {size_in_words(variant.size_bytes)}, probabilities differ from"
                f" fp32 by {variant.check.max_probability_diff:.1e} at most, top-1"
                f" {variant.check.top1_agreement:.0%}\n"
            )
    if graph.stages and card.temporal is not None:
        size = size_in_words(sum(stage.size_bytes for stage in graph.stages))
        ratio = card.temporal.macs_per_clip / max(card.temporal.macs_per_step, 1)
        sys.stdout.write(
            f"stages: {len(graph.stages)}, {size}; a clip one frame further costs 1/{ratio:.1f} of"
            " a whole one\n"
        )
