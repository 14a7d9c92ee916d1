"""`edgecls export`: a model repository for an inference server."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from edge_cli.options import BundleArgument, open_bundle_argument
from edge_cli.progress import waiting

if TYPE_CHECKING:
    from convert.serving.export import Exported
    from convert.serving.request import ExportRequest
    from models.bundle import Bundle

_RUN, _TRITON = "How it runs", "Triton only"
"""Headings of the groups of options."""


def export(
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Folder to make.")],
    server: Annotated[
        Literal["triton", "ovms"],
        typer.Option("--to", help="NVIDIA Triton, or OpenVINO Model Server."),
    ],
    bundle: BundleArgument = None,
    name: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            show_default="that of the bundle's folder",
            help="What the server calls the model.",
        ),
    ] = None,
    precision: Annotated[
        Literal["fp32", "fp16", "int8"],
        typer.Option(help="Which graph of the bundle.", rich_help_panel=_RUN),
    ] = "fp32",
    max_batch: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            show_default="8 for Triton, 1 for OVMS",
            help="Most clips of one request.",
            rich_help_panel=_RUN,
        ),
    ] = None,
    instances: Annotated[
        int,
        typer.Option(
            metavar="N", help="Requests or batches computed at a time.", rich_help_panel=_RUN
        ),
    ] = 1,
    device: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            show_default="auto for Triton, CPU for OVMS",
            help="Triton: auto, cpu or gpu. OVMS: OpenVINO's name, e.g. CPU, GPU, GPU.1, NPU.",
            rich_help_panel=_RUN,
        ),
    ] = None,
    accelerator: Annotated[
        Literal["tensorrt", "openvino"] | None,
        typer.Option(
            show_default="none: CUDA, or ONNX Runtime's CPU",
            help="What ONNX Runtime hands the graph to.",
            rich_help_panel=_TRITON,
        ),
    ] = None,
    batch_delay: Annotated[
        float | None,
        typer.Option(
            metavar="MS",
            show_default="5",
            help="How long a request may wait for others to be computed with.",
            rich_help_panel=_TRITON,
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace a repository that an export made.")
    ] = False,
) -> None:
    """Make a model repository that NVIDIA Triton or OpenVINO Model Server loads.

    With a README that says what a client has to do, and a client that does it.
    Nothing is written unless the server's engine computes what the bundle says.

    Example: edgecls export pptsmv2 --to triton -o repository
    """
    from convert.serving.export import export as make
    from convert.serving.request import ExportRequest

    opened = open_bundle_argument(bundle)
    request = ExportRequest(
        server=server,
        output=output,
        name=_served_name(opened) if name is None else name,
        precision=precision,
        max_batch=max_batch,
        instances=instances,
        device=device,
        accelerator=accelerator,
        batch_delay_ms=batch_delay,
        force=force,
    )
    with waiting("checking the graph in the server's engine"):
        done = make(opened, request)
    _report(done, request)


def _served_name(bundle: Bundle) -> str:
    """The name of the bundle's folder, or of the built-in model, as servers take names."""
    from models.bundle import BUILTIN_BUNDLE

    folder = bundle.path.resolve()
    text = bundle.card.name if folder == BUILTIN_BUNDLE.resolve() else folder.name
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", text).strip("-.")[:100] or "model"


def _report(done: Exported, request: ExportRequest) -> None:
    from convert.serving.export import checked_line

    if done.graph.batch is not None and request.max_batch not in (None, done.graph.batch):
        sys.stderr.write(
            f"note: the graph takes exactly {done.graph.batch} clip(s) at a time;"
            f" --max-batch {request.max_batch} changes nothing\n"
        )
    sys.stdout.write(f"{done.path}: {request.name} for {request.server}, {request.precision}\n")
    sys.stdout.write(f"checked: {checked_line(done.checked)}\n")
    for file in done.files:
        sys.stdout.write(f"  {file}\n")
