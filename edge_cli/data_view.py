"""A report on a data set for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from rich.bar import Bar
from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from calibration.dataset_report import DatasetReport, Finding, Severity, Spread, VideoFacts

_CLASSES_SHOWN = 24
_FINDINGS_SHOWN = 5
_COMMON_SHOWN = 4
_BAR = 24
_COLOURS = ("blue", "yellow")
_STYLES: dict[Severity, str] = {"error": "bold red", "warning": "yellow"}


def show_report(report: DatasetReport, console: Console) -> None:
    """Print what was found: splits, classes, videos, mistakes."""
    console.print(_summary(report))
    if any(split.labelled for split in report.splits):
        console.print()
        console.print(_classes(report))
    if report.videos.readable:
        console.print()
        console.print(_videos(report.videos))
    for severity in _STYLES:
        _show_findings(report.of(severity), severity, console)
    console.print()
    console.print(_verdict(report))


def _summary(report: DatasetReport) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(overflow="fold")
    classes = len(report.class_names)
    source = f", named in {report.label_file}" if report.label_file else ""
    known = source if report.named else ", without names"
    table.add_row("classes", Text(f"{classes}{known}" if classes else "no labels"))
    for split in report.splits:
        labelled = split.labelled
        told = "all labelled" if labelled == split.samples else f"{labelled} labelled"
        table.add_row(split.split, Text(f"{split.samples} clips, {told}  ({split.origin})"))
    for note in report.notes:
        table.add_row("note", Text(note))
    return table


def _classes(report: DatasetReport) -> Table:
    """Clips per class as bars; the middle is left out where there are many."""
    table = Table(box=None, pad_edge=False, header_style="cyan", padding=(0, 2, 0, 0))
    table.add_column("class", overflow="ellipsis", no_wrap=True, max_width=30)
    for split in report.splits:
        table.add_column(split.split, justify="right", no_wrap=True)
        table.add_column("", width=_BAR // len(report.splits))
    counts = [split.counts for split in report.splits]
    most = max(1, *(count for each in counts for count in each))
    order = sorted(range(len(report.class_names)), key=lambda index: -counts[0][index])
    half = _CLASSES_SHOWN // 2
    for place, index in enumerate(order):
        if len(order) > _CLASSES_SHOWN and half <= place < len(order) - half:
            if place == half:
                table.add_row(f"… {len(order) - 2 * half} more", style="dim")
            continue
        cells: list[Text | Bar] = []
        for colour, each in zip(_COLOURS, counts, strict=False):
            cells += [Text(str(each[index])), Bar(most, 0, each[index], color=colour)]
        table.add_row(Text(report.class_names[index]), *cells)
    return table


def _videos(videos: VideoFacts) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(overflow="fold")
    unreadable = f", {videos.unreadable} more cannot be read" if videos.unreadable else ""
    table.add_row("videos", f"{videos.readable}{unreadable}")
    table.add_row("frames", _spread(videos.frames, "", digits=0))
    table.add_row("duration", _spread(videos.duration_s, " s", digits=1))
    table.add_row("size", _common(videos.resolutions))
    table.add_row("frame rate", _common(videos.frame_rates))
    return table


def _spread(spread: Spread | None, unit: str, *, digits: int) -> str:
    if spread is None:
        return "unknown"
    least, middle, most = (
        f"{value:.{digits}f}" for value in (spread.least, spread.median, spread.greatest)
    )
    return f"{least}{unit}" if least == most else f"{least} to {most}{unit}, median {middle}"


def _common(counts: Mapping[str, int]) -> str:
    """E.g. "320x240 (12), 640x480 (3) and 2 others"."""
    if len(counts) == 1:
        return next(iter(counts))
    shown = ", ".join(f"{name} ({count})" for name, count in list(counts.items())[:_COMMON_SHOWN])
    others = len(counts) - _COMMON_SHOWN
    return f"{shown} and {others} other{'s' * (others != 1)}" if others > 0 else shown


def _show_findings(findings: Sequence[Finding], severity: Severity, console: Console) -> None:
    """A few of each kind, with their number."""
    by_kind = sorted(findings, key=lambda one: one.kind)
    for kind, group in groupby(by_kind, key=lambda one: one.kind):
        alike = list(group)
        console.print()
        heading = Text(f"{severity}: {kind.replace('-', ' ')} ({len(alike)})")
        heading.stylize(_STYLES[severity])
        console.print(heading)
        for line in _lines(alike):
            console.print(Text(f"  {line}"), soft_wrap=True)


def _lines(alike: Sequence[Finding]) -> Iterator[str]:
    for one in alike[:_FINDINGS_SHOWN]:
        yield f"{one.where}: {one.message}"
    if len(alike) > _FINDINGS_SHOWN:
        yield f"… {len(alike) - _FINDINGS_SHOWN} more (--json lists all)"


def _verdict(report: DatasetReport) -> Text:
    errors, warnings = len(report.of("error")), len(report.of("warning"))
    looked = "every frame decoded" if report.thorough else "first frames decoded"
    told = (
        f"{errors} error{'s' * (errors != 1)}, {warnings} warning{'s' * (warnings != 1)}; {looked}"
    )
    return Text(told, style="bold red" if errors else "yellow" if warnings else "green")
