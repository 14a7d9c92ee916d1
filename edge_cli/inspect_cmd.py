"""`edgecls inspect`: what is in a bundle."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from edge_cli.options import BundleArgument, open_bundle_argument

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from models.bundle import Bundle
    from models.card import Certificate, ModelCard

_LABELS_SHOWN = 12


def inspect(
    bundle: BundleArgument = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="The card as JSON, with the path of the bundle.")
    ] = False,
) -> None:
    """Show what a bundle holds, and its certificate of parity.

    Reads the card and nothing else; to check the files, use verify.
    """
    opened = open_bundle_argument(bundle)
    if as_json:
        value = {"path": str(opened.path), "card": opened.card.model_dump(mode="json")}
        sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")
        return
    _show(opened)


def _show(bundle: Bundle) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.panel import Panel

    console = Console(highlight=False)
    card = bundle.card
    panels: tuple[tuple[str, RenderableType], ...] = (
        (card.name, _model(bundle)),
        ("preprocessing", _preprocessing(card)),
        ("certificate", _certificate(card.certificate)),
        ("provenance", _provenance(card)),
    )
    for title, content in panels:
        console.print(Panel(content, title=escape(title), title_align="left", border_style="dim"))


def _pairs(rows: tuple[tuple[str, str], ...]) -> Table:
    """Two columns: what, and its value. Values are text, not markup."""
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, Text(value))
    return table


def _model(bundle: Bundle) -> Table:
    from edge_cli.words import size_in_words

    card = bundle.card
    labels = ", ".join(card.labels[:_LABELS_SHOWN])
    if card.classes > _LABELS_SHOWN:
        labels += f", … ({card.classes - _LABELS_SHOWN} more: inspect --json)"
    variants = tuple(
        (one.precision, f"{one.file}, {size_in_words(one.size_bytes)}, sha256 {one.sha256[:12]}…")
        for one in card.variants
    )
    rows = (
        ("path", str(bundle.path)),
        ("family", card.family),
        ("parameters", f"{card.parameters:,}"),
        ("classes", f"{card.classes}: {labels}"),
        *variants,
        ("probe", f"{card.probe.file}, {size_in_words(card.probe.size_bytes)}"),
        ("opset", str(card.opset)),
    )
    return _pairs(rows)


def _preprocessing(card: ModelCard) -> Table:
    from edge_cli.words import preprocessing_in_words

    shape = " x ".join(map(str, card.clip.input_shape()[1:]))
    return _pairs(
        (
            ("clip", f"{card.clip.clip_length_s:g} s of video"),
            *(("", line) for line in preprocessing_in_words(card.clip)),
            ("input", f"float32, N x {shape} (clip, frame, channel, row, column)"),
            ("output", f"{card.output}, N x {card.classes}"),
        )
    )


def _certificate(certificate: Certificate) -> RenderableType:
    from rich.console import Group
    from rich.table import Table

    rows = [
        ("reference", certificate.reference),
        ("compared with", certificate.engine),
        (
            "worst case",
            f"{certificate.max_abs_diff:.2g} of a logit range of {certificate.logit_range:.3g}"
            f" ({certificate.max_rel_diff:.1e}; allowed {certificate.tolerance:.0e})",
        ),
        ("top-1", f"the same for {certificate.top1_agreement:.1%} of the clips"),
        (
            "frame order",
            f"changes the logits by {certificate.order_sensitivity:.1%} of their range",
        ),
    ]
    rows += [("repaired", repair) for repair in certificate.repairs]
    rows.append(
        ("versions", ", ".join(f"{name} {value}" for name, value in certificate.versions.items()))
    )
    cases = Table(box=None, pad_edge=False, header_style="cyan")
    for name in ("clip", "frames", "batch", "max diff", "of range", "top-1 agrees"):
        cases.add_column(name, justify="left" if name in {"clip", "frames"} else "right")
    for case in certificate.cases:
        cases.add_row(
            case.clip,
            case.order.replace("_", " "),
            str(case.batch),
            f"{case.max_abs_diff:.2g}",
            f"{case.max_rel_diff:.1e}",
            f"{case.top1_agreement:.0%}",
        )
    return Group(_pairs(tuple(rows)), "", cases)


def _provenance(card: ModelCard) -> Table:
    origin = card.provenance
    return _pairs(
        (
            ("source", f"{origin.source} ({origin.source_kind})"),
            ("sha256", origin.source_sha256),
            ("converter", origin.converter),
        )
    )
