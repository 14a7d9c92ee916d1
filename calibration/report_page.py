"""`calibration/report.html` of a bundle: its calibration report as a page to show to somebody.

One file that fetches nothing and runs nothing: it can be sent by mail, opened offline and printed.
The same report always gives the same page.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from calibration.markup import Markup, element, joined, name_of
from calibration.report import ClipUsed, Report
from calibration.report_style import STYLE
from calibration.report_tables import Column, Row, definitions, folded, long_table, table
from calibration.report_target import Part, target_parts, tiles
from calibration.report_words import counted, seconds, verdict
from calibration.whole_file import write_whole

PAGE_NAME = "report.html"

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
"""What a browser may do for the page: take its style sheet, nothing else."""


def write_page(report: Report, path: Path) -> None:
    """Write the page; it appears only when it is complete.

    Args:
        report: What it shows.
        path: The file; folders above it are made.

    Raises:
        OutputError: It cannot be written.
    """
    write_whole(path, page(report).encode())


def page(report: Report) -> str:
    """The page as text that UTF-8 can hold."""
    title = f"INT8 calibration of {report.model}"
    parts = [(target, target_parts(report, target)) for target in report.targets]
    about = (
        Part(key="clips", title="Clips", content=_clips(report)),
        Part(key="settings", title="Settings", content=_settings(report)),
    )
    content: list[Markup] = []
    links: list[tuple[str, str]] = []
    for target, pieces in parts:
        content.append(_headed("h2", target.target, target.file, tiles(report, target)))
        content.extend(_headed("h3", one.key, one.title, one.content) for one in pieces)
        if len(parts) == 1:
            links.extend((one.key, one.title) for one in pieces)
        else:
            links.append((target.target, target.file))
    content.extend(_headed("h2", one.key, one.title, one.content) for one in about)
    links.extend((one.key, one.title) for one in about)
    head = element(
        "head",
        element("meta", attributes={"charset": "utf-8"}),
        _meta("viewport", "width=device-width, initial-scale=1"),
        _meta("color-scheme", "light dark"),
        _meta("generator", f"edgecls {report.edgecls}"),
        element("meta", attributes={"http-equiv": "Content-Security-Policy", "content": _POLICY}),
        element("title", title),
        element("style", Markup(STYLE)),
    )
    body = element("body", _header(report, links), element("main", *content), _footer(report))
    return "<!DOCTYPE html>\n" + element("html", head, body, attributes={"lang": "en"}) + "\n"


def _header(report: Report, links: Sequence[tuple[str, str]]) -> Markup:
    notes = element("ul.notes", *(element("li", " ".join(note.split())) for note in report.notes))
    anchors = [element("a", title, attributes={"href": f"#{key}"}) for key, title in links]
    return element(
        "header",
        element("p.kicker", "INT8 calibration"),
        element("h1", name_of(report.model)),
        element("p.verdict", verdict(report)),
        notes if report.notes else "",
        element("nav", *anchors, attributes={"aria-label": "Parts of this page"}),
    )


def _headed(level: str, key: str, title: str, content: Markup) -> Markup:
    return joined([element(level, name_of(title), attributes={"id": key}), content])


def _clips(report: Report) -> Markup:
    if not report.clips:
        return element("p", "None.")
    parts = Counter(clip.part for clip in report.clips)
    labelled = sum(clip.label is not None for clip in report.clips)
    known = f"the class of {labelled:,} is known" if labelled else "no class is known"
    text = (
        f"{counted(parts['calibration'], 'clip')} to read ranges off and"
        f" {parts['held_out']:,} others to compare fp32 and INT8 on; {known}."
    )
    found = [element("p", text)]
    if labelled:
        found.append(_counts("Classes", "class", [_label(clip) for clip in report.clips], report))
    files = [clip.name for clip in report.clips]
    if len(set(files)) < len(files):
        found.append(_counts("Files", "file", files, report))
    columns = (
        Column(title="Clip"),
        Column(title="From", kind="number"),
        Column(title="To", kind="number"),
        Column(title="Class"),
        Column(title="For", spare=True),
    )
    rows = [
        Row(
            cells=(
                name_of(clip.name),
                seconds(clip.start_s),
                seconds(clip.end_s),
                name_of(_label(clip)),
                "ranges" if clip.part == "calibration" else "comparison",
            )
        )
        for clip in report.clips
    ]
    every = table("Every clip, those for ranges first", columns, rows)
    return joined([*found, folded(f"All {counted(len(rows), 'clip')}", every)])


def _counts(caption: str, noun: str, names: Sequence[str], report: Report) -> Markup:
    """How many clips of each name, most first."""
    counts = Counter(zip(names, (clip.part for clip in report.clips), strict=True))
    totals = Counter(names)
    columns = (
        Column(title=noun.capitalize()),
        Column(title="For ranges", kind="number"),
        Column(title="To compare", kind="number"),
    )
    rows = [
        Row(
            cells=(
                name_of(name),
                f"{counts[name, 'calibration']:,}",
                f"{counts[name, 'held_out']:,}",
            )
        )
        for name in sorted(totals, key=lambda name: (-totals[name], name))
    ]
    what = "classes" if noun == "class" else f"{noun}s"
    return long_table(caption, columns, rows, what=what)


def _label(clip: ClipUsed) -> str:
    return "unknown" if clip.label is None else clip.label


def _settings(report: Report) -> Markup:
    settings, here = report.settings, report.processor
    features = ", ".join(here.int8_features) or "none that speeds INT8 up"
    pairs = (
        ("Clips from", joined(map(name_of, settings.sources), ", ")),
        ("Class names", "as the clips have them" if settings.labels is None else settings.labels),
        ("Asked for", f"{settings.samples:,} for ranges, {settings.held_out:,} to compare"),
        ("Seed", str(settings.seed)),
        ("Ranges", settings.method),
        ("May be lost", f"{settings.budget_points:g} points"),
        ("Files", ", ".join(settings.targets)),
        ("Processor", f"{here.model} ({here.vendor}), {counted(here.threads, 'thread')}"),
        ("INT8 features", features),
        ("Weights", here.why),
        ("Family", report.family),
        ("fp32 graph", f"SHA-256 {report.fp32_sha256}"),
        ("Took", f"{seconds(round(report.duration_s))}, {report.peak_memory_mib:,.0f} MiB"),
        (
            "Versions",
            ", ".join(
                [f"edgecls {report.edgecls}"]
                + [f"{name} {version}" for name, version in sorted(report.versions.items())]
            ),
        ),
    )
    return definitions(pairs)


def _footer(report: Report) -> Markup:
    text = f"Made by edgecls {report.edgecls} of report.json, which lies beside this page."
    return element("footer", text)


def _meta(name: str, content: str) -> Markup:
    return element("meta", attributes={"name": name, "content": content})
