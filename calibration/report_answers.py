"""The part of a report's page about the classes that fp32 and INT8 name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from calibration.markup import Markup, element, joined, name_of
from calibration.report import Report, TargetReport
from calibration.report_plots import Picture, heat_map
from calibration.report_tables import (
    Column,
    Row,
    figure,
    folded,
    long_table,
    side_by_side,
    table,
    two_lines,
)
from calibration.report_words import counted, seconds

MOST_CLASSES = 12
"""Classes of the heat map; of more, those on which fp32 and INT8 differ most often."""


def answers_part(report: Report, target: TargetReport) -> Markup:
    """Which classes fp32 and INT8 name, and for which clips they differ."""
    pairs = Counter((one.fp32, one.int8) for one in target.answers)
    differing = [one for one in target.answers if one.fp32 != one.int8]
    total = len(target.answers)
    summary = (
        f"fp32 and INT8 name the same class for {total - len(differing):,} of"
        f" {counted(total, 'held-out clip')}."
    )
    names, choice = _shown_classes(pairs)
    parts = [element("p", summary)]
    if names:
        places = {name: place for place, name in enumerate(names)}
        counts = {
            (places[fp32], places[int8]): count
            for (fp32, int8), count in pairs.items()
            if fp32 in places and int8 in places
        }
        picture = Picture(
            key=f"{target.target}-answers-plot",
            title="Classes named by fp32 and by INT8",
            description=summary,
        )
        plot = figure(heat_map(names, counts, picture), choice)
        parts.append(side_by_side(plot, joined(_pair_tables(pairs))))
    else:
        parts.extend(_pair_tables(pairs))
    if differing:
        columns = (
            Column(title="Clip"),
            Column(title="fp32"),
            Column(title="INT8"),
            Column(title="Known class", spare=True),
        )
        rows = []
        for one in differing:
            clip = report.clips[one.clip] if 0 <= one.clip < len(report.clips) else None
            where = "" if clip is None else f"{seconds(clip.start_s)} to {seconds(clip.end_s)}"
            label = "" if clip is None or clip.label is None else clip.label
            rows.append(
                Row(
                    cells=(
                        two_lines(f"clip {one.clip}" if clip is None else clip.name, where),
                        _answer(one.fp32, one.fp32_probability, label),
                        _answer(one.int8, one.int8_probability, label),
                        name_of(label) if label else "unknown",
                    )
                )
            )
        listed = long_table("Clips with different answers", columns, rows, what="clips")
        parts.append(listed)
    return joined(parts)


def _shown_classes(pairs: Counter[tuple[str, str]]) -> tuple[list[str], str]:
    """Classes of the heat map, most frequent first, and a sentence that says which."""
    occurring: Counter[str] = Counter()
    differing: Counter[str] = Counter()
    for (fp32, int8), count in pairs.items():
        for name in {fp32, int8}:
            occurring[name] += count
            differing[name] += count if fp32 != int8 else 0
    if len(occurring) <= MOST_CLASSES:
        return _ordered(occurring), "The classes that occur; blue: the same class, red: another."
    involved = Counter({name: count for name, count in differing.items() if count})
    names = _ordered(involved)[:MOST_CLASSES]
    which = "all" if len(names) == len(involved) else f"the {len(names)} most frequent"
    return names, (
        f"Of {len(occurring):,} classes that occur, {which} of the {len(involved):,} on which fp32"
        " and INT8 differ; blue: the same class, red: another."
    )


def _ordered(counts: Counter[str]) -> list[str]:
    return sorted(counts, key=lambda name: (-counts[name], name))


def _pair_tables(pairs: Counter[tuple[str, str]]) -> Iterator[Markup]:
    """What INT8 made of each class: first what differs, then, folded, what does not."""
    ordered = sorted(pairs.items(), key=lambda item: (-item[1], item[0]))
    columns = (Column(title="fp32"), Column(title="INT8"), Column(title="Clips", kind="number"))
    for title, same in (("Different classes", False), ("The same class", True)):
        rows = [
            Row(cells=(name_of(fp32), name_of(int8), f"{count:,}"))
            for (fp32, int8), count in ordered
            if (fp32 == int8) is same
        ]
        if rows and same:
            yield folded(f"{title}: {len(rows)} rows", table(title, columns, rows))
        elif rows:
            yield long_table(title, columns, rows, what="pairs of classes")


def _answer(name: str, probability: float, label: str) -> Markup:
    right = [" ", element("span.mark", "right")] if label and name == label else []
    return joined([name_of(name), *right, element("span.small", f"{probability:.1%}")])
