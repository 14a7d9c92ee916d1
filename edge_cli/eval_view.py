"""A report on an evaluation for people."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from calibration.eval_report import EvalReport
    from calibration.eval_scores import ClassScore, Comparison, Quantiles, Share, Speed

_CLASSES_SHOWN = 24
_CONFUSED_SHOWN = 5
_UNREADABLE_SHOWN = 5


def show_evaluation(report: EvalReport, console: Console) -> None:
    """Print the figures, a table of classes, confusions, clips that could not be read."""
    console.print(_summary(report))
    if report.scores.classified:
        console.print()
        console.print(_classes(report))
    for heading, style, lines in (
        ("most often confused", "cyan", list(_confused(report))),
        ("not readable", "bold red", list(_unreadable(report))),
        ("read with warnings", "yellow", list(_odd(report))),
        ("another answer than the reference", "yellow", list(_differing(report))),
    ):
        if lines:
            console.print()
            console.print(Text(heading, style=style))
            for line in lines:
                console.print(Text(f"  {line}"), soft_wrap=True)


def _summary(report: EvalReport) -> Table:
    header, scores = report.header, report.scores
    table = Table.grid(padding=(0, 2))
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(overflow="fold")

    def row(name: str, value: str) -> None:
        table.add_row(name, Text(value))

    row("model", f"{header['model']}, {header['precision']} on {header['engine']}")
    views = f", {header['views']} inferences per clip" if header["views"] > 1 else ""
    row("sampling", f"{header['sampling']}{views}")
    row("clips", _clips(report))
    if scores.top1 is not None:
        row("top-1", _share(scores.top1))
    if scores.top5 is not None:
        row("top-5", _share(scores.top5))
    if scores.mean_recall is not None:
        tested = sum(one.support > 0 for one in scores.classes)
        row("mean recall", f"{_percent(scores.mean_recall)} over {tested} classes")
    if scores.speed is not None:
        row("speed", f"{scores.speed.clips_per_s:.1f} clips/s")
        row("median", _steps(scores.speed, lambda one: one.median_ms))
        row("p95", _steps(scores.speed, lambda one: one.p95_ms))
    if scores.comparison is not None:
        for name, value in _comparison(report, scores.comparison):
            row(name, value)
    return table


def _clips(report: EvalReport) -> str:
    total = len(report.clips.clips)
    parts = [f"{report.scores.classified} of {total} classified"]
    if report.unreadable:
        parts.append(f"{len(report.unreadable)} not readable")
    if not report.complete:
        parts.append(f"{total - len(report.results)} not reached")
    labelled = report.clips.labelled
    if labelled < total:
        parts.append(f"{labelled or 'no'} labels")
    return f"{', '.join(parts)}  ({report.clips.place})"


def _share(share: Share) -> str:
    low, high = share.interval
    return (
        f"{_percent(share.value)}  ({share.right} of {share.of}; 95 % interval"
        f" {100 * low:.1f} to {100 * high:.1f} %)"
    )


def _steps(speed: Speed, chosen: Callable[[Quantiles], float]) -> str:
    """E.g. "decode 20.1 ms, prepare 4.0 ms, infer 74.3 ms"."""
    steps = {"decode": speed.decode, "prepare": speed.preprocess, "infer": speed.infer}
    return ", ".join(f"{name} {chosen(one):.1f} ms" for name, one in steps.items())


def _comparison(report: EvalReport, comparison: Comparison) -> Iterator[tuple[str, str]]:
    reference = report.header["reference"]
    yield "reference", f"{reference['model']}, {reference['precision']}"
    yield "agreement", _share(comparison.top1)
    if comparison.mean_probability_diff is not None:
        yield "", f"probabilities differ by {comparison.mean_probability_diff:.4f} on average"
    if comparison.reference_top1 is not None:
        yield (
            "",
            f"reference top-1 {_percent(comparison.reference_top1.value)};"
            f" right only here {comparison.only_model}, only there {comparison.only_reference}",
        )


def _classes(report: EvalReport) -> Table:
    """Classes that occur: the worst first where there are many."""
    scores = report.scores
    table = Table(box=None, pad_edge=False, header_style="cyan", padding=(0, 2, 0, 0))
    table.add_column("class", overflow="ellipsis", no_wrap=True, max_width=32)
    labelled = scores.top1 is not None
    if labelled:
        for name in ("clips", "recall", "precision"):
            table.add_column(name, justify="right", no_wrap=True)
        occurring = [one for one in scores.classes if one.support or one.predicted]
        occurring = _worst_first(occurring)
    else:
        for name in ("answers", "share", "mean probability"):
            table.add_column(name, justify="right", no_wrap=True)
        occurring = sorted(
            (one for one in scores.classes if one.answers), key=lambda one: -one.answers
        )
    for one in occurring[:_CLASSES_SHOWN]:
        if labelled:
            cells = (str(one.support), _percent(one.recall), _percent(one.precision))
        else:
            share = one.answers / scores.classified
            cells = (str(one.answers), _percent(share), _percent(one.probability))
        table.add_row(Text(one.name), *cells)
    more = len(occurring) - _CLASSES_SHOWN
    if more > 0:
        table.add_row(f"… {more} more (--format json)", style="dim")
    return table


def _worst_first(scores: Sequence[ClassScore]) -> list[ClassScore]:
    """In the order of the classes, unless there are too many to show all of them."""
    if len(scores) <= _CLASSES_SHOWN:
        return list(scores)
    return sorted(scores, key=lambda one: (one.recall is None, one.recall or 0.0, -one.support))


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"


def _confused(report: EvalReport) -> Iterator[str]:
    classes = report.scores.classes
    for pair in report.scores.confused[:_CONFUSED_SHOWN]:
        clips = f"{pair.count} clip{'s' * (pair.count != 1)}"
        yield f"{clips}: {classes[pair.true].name} taken for {classes[pair.taken].name}"


def _unreadable(report: EvalReport) -> Iterator[str]:
    lines = []
    for one in report.unreadable:
        where = report.clips.clips[one.index].where
        lines.append(one.error if where in one.error else f"{where}: {one.error}")
    yield from _cut(lines)


def _odd(report: EvalReport) -> Iterator[str]:
    yield from _cut([f"{one.name}: {one.warnings[0]}" for one in report.odd])


def _differing(report: EvalReport) -> Iterator[str]:
    comparison = report.scores.comparison
    if comparison is None:
        return
    names = [one.name for one in report.scores.classes]
    by_index = {one.index: one for one in report.results}
    lines = []
    for index in comparison.differing:
        one = by_index[index]
        if one.answer is not None and one.reference is not None:
            lines.append(f"{one.name}: {names[one.answer.best]}, not {names[one.reference.best]}")
    yield from _cut(lines)


def _cut(lines: Sequence[str]) -> Iterator[str]:
    yield from lines[:_UNREADABLE_SHOWN]
    if len(lines) > _UNREADABLE_SHOWN:
        yield f"… {len(lines) - _UNREADABLE_SHOWN} more (--format json)"
