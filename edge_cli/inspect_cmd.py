"""`edgecls inspect`: what is in a bundle, or what tells two bundles apart."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_cli.options import BundleArgument, named_bundle, open_bundle_argument
from models.errors import BundleError, UsageError

if TYPE_CHECKING:
    from models.bundle import Bundle

DiffOption = Annotated[
    Path | None,
    typer.Option(
        "--diff",
        metavar="OTHER",
        show_default=False,
        help="Only what differs from this bundle, side by side; builtin is the built-in model.",
    ),
]


def inspect(
    bundle: BundleArgument = None,
    other: DiffOption = None,
    page: Annotated[
        Path | None,
        typer.Option(
            "--page",
            metavar="FILE",
            show_default=False,
            help="Write the report of its calibration to FILE, as a page (HTML) to show.",
        ),
    ] = None,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="The card, or the differences, as JSON."),
    ] = False,
) -> None:
    """Show what a bundle holds, its certificate of parity, or how it differs from another.

    Reads the cards and nothing else; to check the files, use verify.
    The exit code is 0 whether or not two bundles differ.

    Example: edgecls inspect pptsmv2 --diff builtin
    """
    from edgecls.loading import load_bundle

    if page is not None and (as_json or other is not None):
        raise UsageError("--page writes a page of one bundle: leave out --json and --diff.")
    opened = open_bundle_argument(bundle)
    if page is not None:
        _write_page(opened, page)
    elif other is not None:
        _compare(opened, load_bundle(named_bundle(other)), as_json=as_json)
    elif as_json:
        _write_json({"path": str(opened.path), "card": opened.card.model_dump(mode="json")})
    else:
        from rich.console import Console

        from edge_cli.inspect_view import show_bundle

        show_bundle(opened, Console(highlight=False))


def _compare(a: Bundle, b: Bundle, *, as_json: bool) -> None:
    from models.diff import card_differences, same_graphs

    differences = card_differences(a.card, b.card)
    if as_json:
        _write_json(
            {
                "a": str(a.path),
                "b": str(b.path),
                "same": not differences,
                "same_graphs": same_graphs(a.card, b.card),
                "differences": [
                    {"field": one.field, "a": one.a, "b": one.b} for one in differences
                ],
            }
        )
        return
    from rich.console import Console

    from edge_cli.diff_view import show_differences

    show_differences(a, b, differences, console=Console(highlight=False))


def _write_page(bundle: Bundle, path: Path) -> None:
    from calibration.bundle_change import read_report
    from calibration.report_page import write_page

    report = read_report(bundle)
    if report is None:
        raise BundleError(
            f"{bundle.path} has no report of a calibration that its INT8 graphs come from.",
            hint=f"edgecls calibrate {bundle.path} --clips FOLDER",
        )
    write_page(report, path)
    sys.stdout.write(f"{path}\n")


def _write_json(value: object) -> None:
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")
