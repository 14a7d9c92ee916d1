"""`edgecls eval`: how often a model is right, on clips whose classes are known."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edge_cli.engine_options import (
    BackendOption,
    BackendOptionsOption,
    DeviceOption,
    MaxCpuShareOption,
    NoRaceOption,
    StrictOption,
    ViewsOption,
    engine_asked,
)
from edge_cli.eval_request import EvalRequest, Format, WholeSampling
from edge_cli.options import (
    AUTO,
    BundleArgument,
    LabelsOption,
    RootOption,
    ThreadsOption,
    open_bundle_argument,
)
from models.errors import UsageError


def evaluate(
    bundle: BundleArgument = None,
    clips: Annotated[
        str | None,
        typer.Option(
            "--clips",
            "-c",
            metavar="LIST",
            show_default=False,
            help="A list with lines `path label`, a PaddleX data set, a folder per class, a folder,"
            " a quoted glob, a video, or demo.",
        ),
    ] = None,
    labels: LabelsOption = None,
    precision: Annotated[
        str, typer.Option(metavar="NAME", help="Graph to run: fp32, or another of the bundle's.")
    ] = "fp32",
    backend: BackendOption = AUTO,
    device: DeviceOption = None,
    backend_option: BackendOptionsOption = None,
    no_race: NoRaceOption = False,
    strict: StrictOption = False,
    max_cpu_share: MaxCpuShareOption = None,
    sampling: Annotated[
        WholeSampling,
        typer.Option(help="A file as one clip, or as ten dense ones in three crops each."),
    ] = WholeSampling.UNIFORM,
    views: ViewsOption = None,
    limit: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            show_default="all",
            help="Take N clips, spread evenly over the list.",
        ),
    ] = None,
    reference: Annotated[
        str | None,
        typer.Option(
            metavar="BUNDLE|PRECISION",
            show_default=False,
            help="Run this on the same clips too, and compare.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR",
            show_default=False,
            help="Folder for the result of every clip, the report and the confusion matrix.",
        ),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            show_default=False,
            help="Go on with an evaluation that was interrupted: the --output of then.",
        ),
    ] = None,
    root: RootOption = None,
    fmt: Annotated[Format, typer.Option("--format", help="For people, or JSON.")] = Format.TEXT,
    threads: ThreadsOption = None,
) -> None:
    """Measure how often a model is right, per class, and how fast.

    Clips that cannot be read are counted, not fatal. Without labels: what the
    model answers, and with --reference how often both agree.

    Example: edgecls eval BUNDLE --clips dataset/val.txt -o results
    """
    if clips is None:
        raise UsageError(
            "eval needs clips.",
            hint="edgecls eval BUNDLE --clips val.txt   (or a folder with a folder per class)",
        )
    from edge_cli.eval_run import execute

    request = EvalRequest(
        bundle=bundle,
        clips=clips,
        labels=labels,
        root=root,
        engine=engine_asked(
            backend=backend,
            precision=precision,
            device=device,
            backend_options=backend_option,
            no_race=no_race,
            strict=strict,
            max_cpu_share=max_cpu_share,
            threads=threads,
        ),
        sampling=sampling,
        views=views,
        limit=limit,
        reference=reference,
        output=output,
        resume=resume,
        fmt=fmt,
    )
    execute(open_bundle_argument(bundle), request)
