"""`edgecls verify`: prove a bundle on this device."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from edge_cli.engine_options import BackendOptionsOption, DeviceOption, settings_asked
from edge_cli.options import BundleArgument, ThreadsOption, open_bundle_argument
from edge_cli.progress import waiting
from models.errors import ParityError

if TYPE_CHECKING:
    from models.bundle import Bundle
    from runtime.comparison import Comparison
    from runtime.verify import VerifyReport

_ALL = "all"


def verify(
    bundle: BundleArgument = None,
    backend: Annotated[
        str, typer.Option(metavar="NAME", help="all (every engine that works here), or one.")
    ] = _ALL,
    threads: ThreadsOption = None,
    device: DeviceOption = None,
    backend_option: BackendOptionsOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="The report as JSON.")] = False,
) -> None:
    """Prove on this device that a bundle is whole and computes right.

    Every graph runs on every engine that can. Needs no Paddle: the bundle
    carries clips and what Paddle made of them. Exit code 7 when a graph computes
    something else, 8 when a file was altered.

    Example: edgecls verify pptsmv2
    """
    from runtime.backends import BACKENDS, backend_named
    from runtime.session import SessionOptions
    from runtime.verify import verify_bundle

    backends = BACKENDS if backend == _ALL else (backend_named(backend),)
    settings = settings_asked(backend_option or (), backend=None if backend == _ALL else backend)
    options = SessionOptions(threads=threads, device=device, settings=settings)
    opened = open_bundle_argument(bundle)
    with waiting("checking files, running the stored clips"):
        report = verify_bundle(opened, backends=backends, options=options)
    if as_json:
        value = {
            "path": str(opened.path),
            "model": opened.card.name,
            "passed": report.passed,
            **asdict(report),
        }
        sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")
    else:
        _show(opened, report)
    if not report.passed:
        raise _off([one for one in report.comparisons if not one.passed])


def _off(failed: list[Comparison]) -> ParityError:
    """The error for graphs that compute something else."""
    worst = max(failed, key=lambda one: one.max_rel_diff / one.tolerance)
    if worst.max_rel_diff <= worst.tolerance:
        what = f"only {worst.top1_agreement:.0%} of the best classes are those of the reference"
    else:
        what = (
            f"the logits differ from the reference by up to {worst.max_rel_diff:.2g} of their"
            f" range; allowed is {worst.tolerance:.2g}"
        )
    hint = "Use another backend (--backend), or convert the model again."
    if all(one.staged for one in failed):
        hint = "Run without stages (--reuse off), or convert the model again."
    elif all(one.precision == "int8" for one in failed):
        hint = "Calibrate on this machine (edgecls calibrate), or run with --precision fp32."
    elif all(one.precision != "fp32" for one in failed):
        hint = "Run with --precision fp32."
    return ParityError(f"{', '.join(one.title for one in failed)}: {what}.", hint=hint)


def _show(bundle: Bundle, report: VerifyReport) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from edge_cli.words import size_in_words

    files = Table.grid(padding=(0, 2))
    for file in report.files:
        size = size_in_words(file.size_bytes)
        files.add_row(file.file, size, f"sha256 {file.sha256[:12]}…", "[green]intact[/]")
    inside = {
        "agrees": "[green]agrees with card.json[/]",
        "absent": "[yellow]absent: not compared with card.json[/]",
    }[report.metadata]
    files.add_row("metadata", "", "inside the graph", inside)

    engines = Table(box=None, pad_edge=False, header_style="cyan")
    for name in ("engine", "graph"):
        engines.add_column(name)
    for name in ("difference", "allowed", "top-1", ""):
        engines.add_column(name, justify="right", no_wrap=True)
    for one in report.comparisons:
        engines.add_row(
            one.engine,
            one.graph,
            f"{one.max_rel_diff:.2g}",
            f"{one.tolerance:.2g}",
            f"{one.top1_agreement:.0%}",
            "[green]pass[/]" if one.passed else "[bold red]FAIL[/]",
        )
    console = Console(highlight=False)
    console.print(
        f"[bold]{escape(bundle.card.name)}[/]  {escape(str(bundle.path))}", soft_wrap=True
    )
    console.print(files)
    console.print(engines)
    for missed in (one for one in report.not_run if one.expected):
        name = f"{missed.backend} {missed.graph}".rstrip()
        console.print(f"{name}  [yellow]not run:[/] {escape(missed.reason)}", soft_wrap=True)
    clips = report.comparisons[0].clips
    steps = [one.clips for one in report.comparisons if one.staged]
    console.print(
        f"{clips} stored clips, one at a time and as one batch; the largest difference of a logit"
        " from the reference, as a share of the range of its logits."
        + (
            f" In stages: {steps[0]} overlapping clips of noise; the reference is the whole graph."
            if steps
            else ""
        )
    )
