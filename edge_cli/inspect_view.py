"""A bundle's card as panels for people."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from edge_cli.temporal_view import temporal_rows
from edge_cli.words import preprocessing_in_words, size_in_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from rich.console import ConsoleOptions, RenderableType

    from models.bundle import Bundle
    from models.card import Certificate, GraphFacts, Int8, ModelCard, Variant

_LABELS_SHOWN = 12
_HARD_SPACE = "\u00a0"
_UNKNOWN = "not counted: the bundle was made before edgecls did; convert again to know"
_COUNTED = (
    "Conv, ConvTranspose, Gemm and MatMul, from the shapes of the graph; bias, activations and"
    " pooling are not counted"
)


def show_bundle(bundle: Bundle, console: Console) -> None:
    """Print everything that a card says, a panel per subject."""
    card = bundle.card
    panels: tuple[tuple[str, RenderableType], ...] = (
        (card.name, _model(bundle)),
        ("preprocessing", _preprocessing(card)),
        ("graphs", _graphs(card)),
        ("clips that overlap", _overlap(card)),
        ("certificate", _certificate(card.certificate)),
        ("provenance", _provenance(card)),
    )
    for title, content in panels:
        console.print(Panel(content, title=escape(title), title_align="left", border_style="dim"))


def count_in_words(count: int) -> str:
    """To three digits, e.g. "4.74 G", "722 k", "12"."""
    for unit, factor in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if count >= 0.9995 * factor:
            value = count / factor
            return f"{value:.{2 if value < 9.995 else 1 if value < 99.95 else 0}f} {unit}"
    return str(count)


def macs_in_words(facts: GraphFacts) -> str:
    """Multiply-accumulates of a clip; "at least" where the count is not complete."""
    return f"{'at least ' if facts.uncounted else ''}{count_in_words(facts.macs)}"


def operators_in_words(counts: Mapping[str, int]) -> str:
    """E.g. "46 Conv, 40 Relu"."""
    return ", ".join(f"{count} {name}" for name, count in counts.items())


class _List:
    """An enumeration whose lines break behind commas only."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        whole = self._text.replace(" ", _HARD_SPACE).replace(f",{_HARD_SPACE}", ", ")
        for line in textwrap.wrap(whole, options.max_width, break_on_hyphens=False):
            yield Text(line.replace(_HARD_SPACE, " "))


def _pairs(rows: Iterable[tuple[str, RenderableType]]) -> Table:
    """Two columns: what, and its value. Values are text, not markup."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, Text(value) if isinstance(value, str) else value)
    return table


def _model(bundle: Bundle) -> Table:
    card = bundle.card
    labels = ", ".join(card.labels[:_LABELS_SHOWN])
    if card.classes > _LABELS_SHOWN:
        labels += f", … ({card.classes - _LABELS_SHOWN} more: inspect --json)"
    return _pairs(
        (
            ("path", str(bundle.path)),
            ("family", card.family),
            ("classes", f"{card.classes}: {labels}"),
            ("parameters", f"{card.parameters:,}"),
            *_work(card.graph),
        )
    )


def _work(facts: GraphFacts | None) -> tuple[tuple[str, RenderableType], ...]:
    if facts is None:
        return (("MACs per clip", _UNKNOWN),)
    rows: list[tuple[str, RenderableType]] = [
        ("MACs per clip", f"{macs_in_words(facts)} multiply-accumulates: those of {_COUNTED}")
    ]
    if facts.uncounted:
        missing = operators_in_words(facts.uncounted)
        reason = "not included, since the graph does not tell how much they do"
        rows.append(("", Text(f"{reason}: {missing}", style="yellow")))
    nodes = sum(facts.nodes.values())
    return (*rows, ("operators", _List(f"{nodes} nodes: {operators_in_words(facts.nodes)}")))


def _preprocessing(card: ModelCard) -> Table:
    shape = " x ".join(map(str, card.clip.input_shape()[1:]))
    batch = card.variants[0].batch or "N"
    return _pairs(
        (
            ("clip", f"{card.clip.clip_length_s:g} s of video"),
            *(("", line) for line in preprocessing_in_words(card.clip)),
            ("input", f"float32, {batch} x {shape} (clip, frame, channel, row, column)"),
            ("output", f"{card.output}, {batch} x {card.classes}"),
        )
    )


def _graphs(card: ModelCard) -> Table:
    rows = [row for variant in card.variants for row in _variant(variant)]
    probe = f"{card.probe.file}, {size_in_words(card.probe.size_bytes)}: clips for verify"
    return _pairs((*rows, ("probe", probe), ("opset", str(card.opset))))


def _overlap(card: ModelCard) -> Table:
    stages = [(variant.title, variant.stages) for variant in card.variants if variant.stages]
    return _pairs(temporal_rows(card.temporal, stages))


def _variant(variant: Variant) -> tuple[tuple[str, str], ...]:
    files = [file for file in variant.files if file not in variant.stages]
    size = size_in_words(sum(file.size_bytes for file in files))
    names = " + ".join(file.file for file in files)
    file = (variant.title, f"{names}, {size}, sha256 {variant.sha256[:12]}…")
    if variant.int8 is not None:
        return file, *(("", line) for line in _int8(variant.int8))
    if variant.check is None:
        return (file,)
    check = variant.check
    clips = f"{check.clips} clip{'s' * (check.clips != 1)}"
    against = (
        f"against fp32, {clips}: probabilities differ by at most {check.max_probability_diff:.2g},"
        f" logits by {check.max_rel_diff:.1e} of their range; top-1 the same for"
        f" {check.top1_agreement:.1%}"
    )
    return file, ("", against)


def _int8(int8: Int8) -> Iterator[str]:
    """How an INT8 graph was made, how far it is from fp32, and how fast."""
    kept = len(int8.fp32_layers)
    yield (
        f"{int8.writer}, {int8.method} ranges of {int8.samples}"
        f" {'clips of noise' if int8.random_data else 'clips'}, weights"
        f" {int8.granularity.replace('_', ' ')}, activations {int8.activations}"
        f"{', 7-bit weights' if int8.reduced_range else ''}; {kept} layers in fp32"
    )
    lost = int8.accuracy_drop_points
    accuracy = "accuracy not known (no labels)" if lost is None else f"accuracy {-lost:+.2f} points"
    yield f"against fp32, {int8.held_out} held-out clips: top-1 the same for" + (
        f" {int8.top1_agreement:.1%}; {accuracy}"
    )
    if int8.speedup:
        faster = ", ".join(f"{ratio:.2f} on {name}" for name, ratio in int8.speedup.items())
        yield f"times as fast as fp32 where it was calibrated: {faster}"


def _certificate(certificate: Certificate) -> RenderableType:
    rows: list[tuple[str, RenderableType]] = [
        *_reference(certificate),
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
    versions = ", ".join(f"{name} {value}" for name, value in certificate.versions.items())
    rows.append(("versions", versions))
    return Group(_pairs(rows), "", _cases(certificate))


def _reference(certificate: Certificate) -> tuple[tuple[str, RenderableType], ...]:
    if certificate.proves == "training":
        return (("reference", certificate.reference),)
    warning = (
        "the given ONNX file; no comparison with the framework it was trained in: nothing is"
        " known about how faithful the file is to that"
    )
    return (("reference", Text(warning, style="yellow")), ("run by", certificate.reference))


def _cases(certificate: Certificate) -> Table:
    table = Table(box=None, pad_edge=False, header_style="cyan")
    for name in ("clip", "frames", "batch", "max diff", "of range", "top-1 agrees"):
        table.add_column(name, justify="left" if name in {"clip", "frames"} else "right")
    for case in certificate.cases:
        table.add_row(
            case.clip,
            case.order.replace("_", " "),
            str(case.batch),
            f"{case.max_abs_diff:.2g}",
            f"{case.max_rel_diff:.1e}",
            f"{case.top1_agreement:.0%}",
        )
    return table


def _provenance(card: ModelCard) -> Table:
    origin = card.provenance
    return _pairs(
        (
            ("source", f"{origin.source} ({origin.source_kind})"),
            ("sha256", origin.source_sha256),
            ("converter", origin.converter),
        )
    )
