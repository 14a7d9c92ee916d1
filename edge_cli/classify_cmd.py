"""`edgecls classify`: label an archive of video files."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from edge_cli.classify_request import ArchiveEngine, ClassifyRequest
from edge_cli.engine_options import (
    BackendOption,
    BackendOptionsOption,
    DeviceOption,
    MaxCpuShareOption,
    NoRaceOption,
    PrecisionOption,
    StrictOption,
    ViewsOption,
    engine_asked,
)
from edge_cli.options import AUTO, ThreadsOption, open_bundle_argument
from edge_cli.run_request import Precision
from models.errors import UsageError


def classify(
    paths: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PATHS",
            show_default=False,
            help="Video files, folders with everything below them, quoted patterns.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            show_default=False,
            help="Where results go: a name that ends in .jsonl or .parquet.",
        ),
    ] = None,
    bundle: Annotated[
        Path | None,
        typer.Option(
            "--bundle",
            "-b",
            metavar="BUNDLE",
            show_default="the built-in camera-motion model",
            help="Folder of a converted model.",
        ),
    ] = None,
    files_from: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LIST",
            show_default=False,
            help="A file with a path per line, - for stdin; again for several.",
        ),
    ] = None,
    engine: Annotated[
        ArchiveEngine,
        typer.Option(help="This machine's processors, or Ray, which may be a cluster's."),
    ] = ArchiveEngine.LOCAL,
    workers: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            show_default="the CPUs this process may use",
            help="Files that are worked on at a time.",
        ),
    ] = None,
    parallel: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            show_default="all",
            help="Of them, how many run the model at a time; 1 gives each run all threads.",
        ),
    ] = None,
    address: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            show_default="start Ray here",
            help="Cluster of --engine ray; auto finds the one this machine belongs to.",
        ),
    ] = None,
    backend: BackendOption = AUTO,
    device: DeviceOption = None,
    backend_options: BackendOptionsOption = None,
    no_race: NoRaceOption = False,
    strict: StrictOption = False,
    max_cpu_share: MaxCpuShareOption = None,
    precision: PrecisionOption = Precision.AUTO,
    views: ViewsOption = None,
    top: Annotated[int, typer.Option(metavar="N", min=1, help="Classes per file.")] = 5,
    threshold: Annotated[
        float, typer.Option(metavar="P", help="Leave out classes less probable than this.")
    ] = 0.0,
    threads: ThreadsOption = None,
    force: Annotated[
        bool, typer.Option("--force", help="Start anew, and replace the output.")
    ] = False,
    update: Annotated[
        bool,
        typer.Option(
            "--update", help="Keep what the output has; do new, changed and failed files."
        ),
    ] = False,
) -> None:
    """Label an archive: one result per video file, as run --sampling uniform gives it.

    A journal beside the output keeps results while it runs: killed at any moment,
    the same command goes on. Files that cannot be read are in the output with
    their error.

    Example: edgecls classify videos/ -o labels.parquet
    """
    if not paths and not files_from:
        raise UsageError(
            "classify needs files.", hint="edgecls classify videos/ --output labels.jsonl"
        )
    if output is None:
        raise UsageError(
            "classify needs a file for its results.",
            hint=f"edgecls classify {(paths or ['videos/'])[0]} --output labels.jsonl",
        )
    from edge_cli.classify_run import execute

    request = ClassifyRequest(
        places=tuple(paths or ()),
        lists=tuple(files_from or ()),
        output=output,
        engine=engine,
        asked=engine_asked(
            backend=backend,
            precision=precision.value,
            device=device,
            backend_options=backend_options,
            no_race=no_race,
            strict=strict,
            max_cpu_share=max_cpu_share,
            threads=threads,
        ),
        workers=workers,
        parallel=parallel,
        address=address,
        views=views,
        top_k=top,
        threshold=threshold,
        force=force,
        update=update,
        command=shlex.join(["edgecls", *(word for word in sys.argv[1:] if word != "--force")]),
    )
    execute(open_bundle_argument(bundle), request)
