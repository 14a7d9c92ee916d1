"""`edgecls calibrate`: add INT8 graphs to a bundle, if they are accurate enough."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from edge_cli.options import LabelsOption
from edge_cli.steps import steps

if TYPE_CHECKING:
    from calibration.pipeline import Calibrated
    from calibration.report import Target, TargetReport

_CLIPS, _GRAPH = "The clips", "The graphs"
"""Headings of the groups of options."""

_TARGETS: dict[str, tuple[Target, ...]] = {
    "all": ("onnx", "openvino"),
    "onnx": ("onnx",),
    "openvino": ("openvino",),
}


def calibrate(
    bundle: Annotated[
        Path, typer.Argument(metavar="BUNDLE", show_default=False, help="Bundle to add to.")
    ],
    clips: Annotated[
        list[str] | None,
        typer.Option(
            "--clips",
            metavar="SOURCE",
            show_default=False,
            rich_help_panel=_CLIPS,
            help="Videos like those the model will see: a file, folder, glob, list `path label`,"
            " or data set; may be given again. `random` is noise, to try it out.",
        ),
    ] = None,
    labels: LabelsOption = None,
    capture: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            rich_help_panel=_CLIPS,
            help="First record so much of --source, e.g. 60s, and calibrate on that (too); kept in"
            " BUNDLE-clips/.",
        ),
    ] = None,
    source: Annotated[
        str, typer.Option(metavar="CAMERA", rich_help_panel=_CLIPS, help="What is recorded.")
    ] = "camera0",
    samples: Annotated[
        int,
        typer.Option(
            metavar="N", min=1, rich_help_panel=_CLIPS, help="Clips to read value ranges off."
        ),
    ] = 128,
    held_out: Annotated[
        int,
        typer.Option(
            metavar="N", min=1, rich_help_panel=_CLIPS, help="Other clips, to check INT8 on."
        ),
    ] = 128,
    seed: Annotated[
        int, typer.Option(metavar="N", min=0, rich_help_panel=_CLIPS, help="Fixes their choice.")
    ] = 0,
    budget: Annotated[
        float,
        typer.Option(
            metavar="POINTS",
            rich_help_panel=_GRAPH,
            help="Points of top-1 accuracy that INT8 may lose; of agreement without labels.",
        ),
    ] = 1.0,
    method: Annotated[
        Literal["auto", "minmax", "entropy", "percentile"],
        typer.Option(rich_help_panel=_GRAPH, help="How ranges are found; auto keeps the best."),
    ] = "auto",
    target: Annotated[
        Literal["all", "onnx", "openvino"],
        typer.Option(rich_help_panel=_GRAPH, help="Which engines to make graphs for."),
    ] = "all",
    activations: Annotated[
        Literal["u8", "s8"],
        typer.Option(
            rich_help_panel=_GRAPH,
            help="u8 is fastest on CPUs; s8, signed and symmetric, is what TensorRT takes.",
        ),
    ] = "u8",
    weight_bits: Annotated[
        Literal["auto", "7", "8"],
        typer.Option(
            rich_help_panel=_GRAPH,
            help="7 for x86 without VNNI, on which 8 saturate; auto goes by this machine.",
        ),
    ] = "auto",
    stages: Annotated[
        bool,
        typer.Option(
            "--stages/--no-stages",
            rich_help_panel=_GRAPH,
            help="Also cut the graph into stages, so that overlapping clips share work.",
        ),
    ] = True,
) -> None:
    """Add INT8 graphs to a bundle, checked against fp32 on clips they never saw.

    Layers go back to fp32 until the budget holds. If it cannot hold nothing is
    added, the exit code is 13. Speed is measured here, and all of it is in
    BUNDLE/calibration/: report.html to look at, report.json.

    Example: edgecls calibrate my-bundle --clips videos/ --budget 0.5
    """
    from calibration.pipeline import calibrate as run
    from calibration.request import CalibrateRequest

    recorded = () if capture is None else (_recorded(bundle, source, capture),)
    request = CalibrateRequest(
        bundle=bundle,
        clips=(*(clips or ()), *recorded),
        labels=labels,
        budget_points=budget,
        method=method,
        samples=samples,
        held_out=held_out,
        targets=_TARGETS[target],
        activations=activations,
        reduce_range=None if weight_bits == "auto" else weight_bits == "7",
        seed=seed,
        stages=stages,
    )
    with steps() as on_step:
        done = run(request, on_step)
    _show(done)


def _recorded(bundle: Path, source: str, length: str) -> str:
    """Record the camera, once it is clear that there is a bundle to calibrate."""
    from calibration.capture import clips_folder, record, seconds_of
    from edge_cli.options import open_bundle_argument

    length_s = seconds_of(length)
    folder = clips_folder(open_bundle_argument(bundle).path)
    with steps() as on_step:
        path = record(
            source,
            folder,
            length_s=length_s,
            on_second=lambda done: on_step(f"recording {source}", done, int(length_s)),
        )
    sys.stderr.write(f"note: the recording is kept: {path}\n")
    return str(path)


def _show(done: Calibrated) -> None:
    report = done.report
    for note in report.notes:
        sys.stderr.write(f"note: {note}\n")
    sys.stderr.write(f"note: {report.processor.why}\n")
    for target in report.targets:
        sys.stdout.write(f"{done.bundle.path / target.file}\n")
        for line in _lines(target):
            sys.stdout.write(f"  {line}\n")
    sys.stdout.write(
        f"report: {done.bundle.path / 'calibration' / 'report.html'} and .json"
        f" ({report.duration_s:.0f} s, {report.peak_memory_mib:.0f} MiB)\n"
    )


def _lines(target: TargetReport) -> tuple[str, ...]:
    from calibration.gate import decibels
    from calibration.report_words import stages_in_words
    from edge_cli.words import size_in_words

    recipe, gate = target.recipe, target.gate
    put_back = [name for repair in target.repairs for name in repair.put_back]
    restored = f", {', '.join(put_back)} back to fp32" if put_back else ""
    accuracy = ""
    if gate.fp32_top1 is not None and gate.int8_top1 is not None:
        accuracy = f", accuracy {gate.fp32_top1:.1%} -> {gate.int8_top1:.1%}"
    sizes = (size_in_words(target.fp32_size_bytes), size_in_words(target.size_bytes))
    return (
        f"{target.writer}, {recipe.method}, {recipe.granularity.replace('_', ' ')},"
        f" {recipe.activations}{restored}; {sizes[0]} -> {sizes[1]}",
        f"{gate.clips} held-out clips: top-1 agrees for {gate.top1_agreement:.1%}{accuracy},"
        f" probabilities differ by {gate.mean_probability_diff:.2g} (at most"
        f" {gate.max_probability_diff:.2g}), logits {decibels(gate)}",
        *(
            f"{race.backend}: {race.fp32_ms:.1f} -> {race.int8_ms:.1f} ms, {race.ratio:.2f} times"
            " as fast"
            for race in target.races
        ),
        target.advice,
        *(() if target.stages is None else (f"stages: {stages_in_words(target.stages)}",)),
    )
