"""What two cards say differently, side by side and in words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby, zip_longest
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from edge_cli.inspect_view import count_in_words, macs_in_words, operators_in_words
from edge_cli.temporal_view import mixing_in_words, stages_in_words, temporal_in_words
from edge_cli.words import size_in_words
from models.card import GraphFacts
from models.diff import same_graphs

if TYPE_CHECKING:
    from rich.console import Console

    from models.bundle import Bundle
    from models.card import ModelCard
    from models.diff import Difference, FieldPath

_LABELS_SHOWN = 3
_ABSENT = "-"
_CASES = ("certificate", "cases")
_SECTIONS = (
    *("model", "preprocessing", "operators", "graphs", "clips that overlap", "certificate"),
    "provenance",
)

_SECTION_OF = {
    "clip": "preprocessing",
    "opset": "graphs",
    "variants": "graphs",
    "probe": "graphs",
    "temporal": "clips that overlap",
    "certificate": "certificate",
    "provenance": "provenance",
}
"""By the outermost field; what is not listed is about the model."""

_NAMES = {
    "macs": "MACs per clip",
    "macs_per_clip": "MACs per clip",
    "macs_per_step": "MACs per step",
    "mixing": "mixes frames",
    "reason": "shared",
    "temporal": "cost",
    "clip_length_s": "clip length",
    "segment_frame": "frame of a segment",
    "max_abs_diff": "max diff",
    "max_rel_diff": "max diff of range",
    "max_probability_diff": "max diff of probability",
    "top1_agreement": "top-1 the same",
    "order_sensitivity": "effect of frame order",
    "proves": "agrees with",
    "size_bytes": "size",
    "source_sha256": "sha256",
}
"""By the innermost field; others are called as in the card."""

_PROVES = {"training": "the framework of the training", "graph": "the given ONNX file only"}

_VALUES: Mapping[str, Callable[[Any], str]] = {
    "macs": count_in_words,
    "macs_per_clip": count_in_words,
    "macs_per_step": count_in_words,
    "mixing": mixing_in_words,
    "stages": stages_in_words,
    "temporal": temporal_in_words,
    "parameters": "{:,}".format,
    "size_bytes": size_in_words,
    "sha256": lambda digest: f"{digest[:12]}…",
    "source_sha256": lambda digest: f"{digest[:12]}…",
    "clip_length_s": "{:g} s".format,
    "short_side": "{} px".format,
    "crop": "{} px".format,
    "max_abs_diff": "{:.2g}".format,
    "max_rel_diff": "{:.1e}".format,
    "max_probability_diff": "{:.2g}".format,
    "top1_agreement": "{:.1%}".format,
    "order_sensitivity": "{:.1%}".format,
    "proves": _PROVES.__getitem__,
}
"""Values in words by the innermost field; others as their kind is put."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the comparison.

    Attributes:
        section: Its subject, one of those that `edgecls inspect` has panels for.
        name: What is compared.
        a: In the first bundle.
        b: In the second.
    """

    section: str
    name: str
    a: str
    b: str


def show_differences(
    a: Bundle, b: Bundle, differences: tuple[Difference, ...], *, console: Console
) -> None:
    """Print a table of what differs, or one line when nothing does."""
    if not differences:
        console.print("The same: no field of the two cards differs, digests of files included.")
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in ("", "A", "B"):
        table.add_column(title, overflow="fold", style=None if title else "cyan")
    table.add_row("name", Text(a.card.name), Text(b.card.name))
    table.add_row("path", Text(str(a.path)), Text(str(b.path)))
    for section, rows in groupby(difference_rows(differences), key=lambda row: row.section):
        table.add_row()
        table.add_row(Text(section, style="bold"))
        for row in rows:
            table.add_row(Text(row.name), Text(row.a), Text(row.b))
    console.print(table)
    for note in difference_notes(a.card, b.card, differences):
        console.print(f"\n{note}")


def difference_rows(differences: tuple[Difference, ...]) -> tuple[Row, ...]:
    """Differences by subject. Those of the name and of single parity cases have no row."""
    rows = [row for one in differences if one.path != ("name",) for row in _rows(one)]
    return tuple(sorted(rows, key=lambda row: _SECTIONS.index(row.section)))


def difference_notes(
    a: ModelCard, b: ModelCard, differences: tuple[Difference, ...]
) -> tuple[str, ...]:
    """What no row says, a sentence each."""
    notes = []
    same = same_graphs(a, b)
    if len(same) == len(a.variants) == len(b.variants):
        notes.append(
            "The graphs are the same, byte for byte; only what the cards say about them differs."
        )
    elif same:
        notes.append(f"The same in both, byte for byte: the graph for {'; '.join(same)}.")
    cases = {one.path[2] for one in differences if one.path[:2] == _CASES}
    if cases:
        notes.append(
            f"The certificates also differ in {len(cases)} single comparison"
            f"{'s' * (len(cases) != 1)} of clips; --json lists them."
        )
    return tuple(notes)


def _rows(difference: Difference) -> Iterator[Row]:
    path, a, b = difference.path, difference.a, difference.b
    if path[:2] == _CASES:
        return
    if path == ("labels",):
        yield from _label_rows(a, b)
    elif path == ("graph",):
        facts = [None if one is None else GraphFacts.model_validate(one) for one in (a, b)]
        yield from _facts_rows(*facts)
    elif path[0] == "variants" and (a is None or b is None) and len(path) == 2:
        yield Row(section="graphs", name=path[1], a=_file_in_words(a), b=_file_in_words(b))
    else:
        words_a, words_b = _side_by_side(path, a, b)
        yield Row(section=_section(path), name=_name(path), a=words_a, b=words_b)


def _section(path: FieldPath) -> str:
    if path[0] == "graph":
        return "model" if path[1] == "macs" else "operators"
    return _SECTION_OF.get(path[0], "model")


def _name(path: FieldPath) -> str:
    """E.g. "resize policy", "Conv", "fp32, batch 1: size", "probe sha256"."""
    leaf = _NAMES.get(path[-1], path[-1].replace("_", " "))
    if path[:2] == ("variants", "order"):
        return "order of the graphs"
    if path[0] == "variants":
        return path[1] if len(path) == 2 else f"{path[1]}: {leaf}"
    if path[:2] == ("graph", "nodes") or path[:2] == ("certificate", "versions"):
        return path[-1]
    if path[:2] == ("graph", "uncounted"):
        return f"{path[-1]}, work not counted"
    if path[0] == "probe" or path[:2] == ("clip", "resize"):
        return f"{path[-2]} {leaf}"
    return leaf


def _label_rows(a: Any, b: Any) -> Iterator[Row]:
    """Number of classes where it differs, then the first labels that differ."""
    if len(a) != len(b):
        yield Row(section="model", name="classes", a=str(len(a)), b=str(len(b)))
    elif sorted(a) == sorted(b):
        yield Row(section="model", name="labels", a="the same names", b="in another order")
    pairs = zip_longest(a, b, fillvalue=_ABSENT)
    differing = [(index, *pair) for index, pair in enumerate(pairs) if pair[0] != pair[1]]
    for index, label_a, label_b in differing[:_LABELS_SHOWN]:
        yield Row(section="model", name=f"label {index}", a=label_a, b=label_b)
    more = len(differing) - _LABELS_SHOWN
    if more > 0:
        yield Row(section="model", name=f"{more} more label{'s' * (more != 1)}", a="…", b="…")


def _facts_rows(a: GraphFacts | None, b: GraphFacts | None) -> Iterator[Row]:
    """One bundle tells what its graph consists of, the other does not."""
    macs = [_ABSENT if facts is None else macs_in_words(facts) for facts in (a, b)]
    nodes = [_ABSENT if facts is None else operators_in_words(facts.nodes) for facts in (a, b)]
    yield Row(section="model", name="MACs per clip", a=macs[0], b=macs[1])
    yield Row(section="operators", name="nodes", a=nodes[0], b=nodes[1])


def _file_in_words(variant: Any) -> str:
    if variant is None:
        return _ABSENT
    digest = _VALUES["sha256"](variant["sha256"])
    return f"{variant['file']}, {size_in_words(variant['size_bytes'])}, sha256 {digest}"


def _side_by_side(path: FieldPath, a: Any, b: Any) -> tuple[str, str]:
    """Both values in words; in full where the words would be the same."""
    leaf = "" if path[:2] in {("graph", "nodes"), ("certificate", "versions")} else path[-1]
    words = (_in_words(leaf, a), _in_words(leaf, b))
    return words if words[0] != words[1] else (_in_full(leaf, a), _in_full(leaf, b))


def _in_words(leaf: str, value: Any) -> str:
    if value is None:
        return _ABSENT
    if leaf in _VALUES:
        return _VALUES[leaf](value)
    if isinstance(value, dict):
        return ", ".join(
            f"{_NAMES.get(key, key.replace('_', ' '))} {_in_words(key, inner)}"
            for key, inner in value.items()
            if inner is not None
        )
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, list):
        return "; ".join(_in_words("", inner) for inner in value) or "none"
    return str(value) or '""'


def _in_full(leaf: str, value: Any) -> str:
    number = f"{value:,}" if isinstance(value, int) else str(value)
    return f"{number} bytes" if leaf == "size_bytes" else number
