"""Plots of a calibration report, drawn as SVG that takes its colours from the page.

Every picture is about 400 units wide, so that its letters are readable on a phone too, and has a
title and a description for those who do not see it.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from calibration.markup import Markup, element, number
from calibration.report import Race, TensorRange
from calibration.report_words import milliseconds, ratio, value_in_words

WIDTH = 400.0
MOST_SHADE = 0.6
"""Opacity of a cell with the whole of its row; letters stay readable on it."""

_TEXT = 12
_HISTOGRAM = (168.0, 40.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A point of the plot of the gate.

    Attributes:
        layers: Layers put back so far.
        share: Accuracy or agreement, 0 to 1.
    """

    layers: int
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """What an SVG says to those who do not see it.

    Attributes:
        key: Tells the pictures of a page apart.
        title: A line.
        description: The figures in a sentence.
    """

    key: str
    title: str
    description: str


def race_plot(races: Sequence[Race], picture: Picture) -> Markup:
    """Two bars per engine: the time of fp32 and that of INT8."""
    slowest = max(max(race.fp32_ms, race.int8_ms) for race in races)
    left, room, row = 44.0, WIDTH - 44.0 - 80.0, 76.0
    parts: list[Markup] = []
    for place, race in enumerate(races):
        top = place * row
        parts.append(_text(0, top + 14, race.backend, "name"))
        gain = f"{ratio(race.ratio)} times as fast"
        parts.append(_text(WIDTH, top + 14, gain, "end" if race.ratio >= 1 else "end.bad"))
        for line, (kind, time_ms) in enumerate((("fp32", race.fp32_ms), ("int8", race.int8_ms))):
            y = top + 24 + line * 21
            length = max(room * _fraction(time_ms, 0.0, slowest), 1.0)
            parts.append(_text(0, y + 12.5, {"int8": "INT8"}.get(kind, kind), "faint"))
            parts.append(_box(left, y, length, 17, kind))
            parts.append(_text(left + length + 6, y + 12.5, milliseconds(time_ms), "value"))
    return _svg(WIDTH, len(races) * row - 6, parts, picture)


def gate_plot(
    steps: Sequence[Step], *, fp32: float, limit: float, picture: Picture, axis: str
) -> Markup:
    """Accuracy or agreement against the number of layers that are fp32 again.

    Args:
        steps: At least one.
        fp32: That of fp32, drawn as a line; 1 for agreement.
        limit: What must be reached, drawn as a dashed line unless it is far below everything.
        picture: What it says.
        axis: What is counted.
    """
    left, right, top, bottom = 48.0, WIDTH - 12.0, 26.0, 196.0
    shares = [step.share for step in steps]
    near = limit > min(*shares, fp32) - 2 * max(fp32 - min(shares), 0.02)
    seen = [*shares, fp32, *([limit] if near else [])]
    pad = max((max(seen) - min(seen)) * 0.12, 0.005)
    low, high = max(0.0, min(seen) - pad), min(1.0, max(seen) + pad)
    last = max(step.layers for step in steps)

    def x(layers: float) -> float:
        return left + 10 + (right - left - 20) * _fraction(layers, 0, max(last, 1))

    def y(share: float) -> float:
        return bottom - (bottom - top) * _fraction(share, low, high)

    parts = [_text(0, 12, axis, "faint")]
    for share in _ticks(low, high, most=5):
        parts.append(_line(left, y(share), right, y(share), "grid"))
        parts.append(_text(left - 6, y(share) + 4, _percent(share, high - low), "faint.end"))
    for layers in _whole_ticks(last):
        parts.append(_text(x(layers), bottom + 18, str(layers), "faint.middle"))
    parts.append(_text((left + right) / 2, bottom + 36, "layers put back to fp32", "faint.middle"))
    parts.append(_line(left, y(fp32), right, y(fp32), "fp32"))
    if near:
        parts.append(_line(left, y(limit), right, y(limit), "limit"))
        parts.append(_text(left + 4, y(limit) - 6, "must be reached", "limit"))
    corners = " ".join(f"{number(x(step.layers))},{number(y(step.share))}" for step in steps)
    parts.append(element("polyline.int8", attributes={"points": corners}))
    for step in steps:
        final = step is steps[-1]
        parts.append(
            element(
                "circle.int8.final" if final else "circle.int8",
                attributes={"cx": x(step.layers), "cy": y(step.share), "r": 5 if final else 3},
            )
        )
    return _svg(WIDTH, bottom + 42, parts, picture)


def bar(share: float, kind: str) -> Markup:
    """A bar that fills a share of its table cell; the figure stands beside it, so it says none."""
    box = _box(0, 0, 100 * min(max(share, 0.0), 1.0), 10, kind)
    return element(
        "svg.bar",
        box,
        attributes={
            "viewBox": "0 0 100 10",
            "preserveAspectRatio": "none",
            "aria-hidden": "true",
            "focusable": "false",
        },
    )


def range_plot(tensor: TensorRange, picture: Picture) -> Markup:
    """A histogram with logarithmic heights; the range kept is shaded, what is cut off is red."""
    width, height = _HISTOGRAM
    start, end = min(tensor.minimum, tensor.low), max(tensor.maximum, tensor.high)

    def x(value: float) -> float:
        return width * _fraction(value, start, end)

    kept = _box(x(tensor.low), 0, max(x(tensor.high) - x(tensor.low), 1.0), height, "kept")
    inside: list[str] = []
    outside: list[str] = []
    most = math.log1p(max([1, *tensor.histogram]))
    left, room = x(tensor.minimum), x(tensor.maximum) - x(tensor.minimum)
    step = max(room / max(len(tensor.histogram), 1), 0.8)
    for place, count in enumerate(tensor.histogram):
        if count <= 0:
            continue
        tall = (height - 3) * math.log1p(count) / most
        stroke = f"M{number(left + place * step)} {number(height)}v{number(-tall)}h{number(step)}v"
        piece = f"{stroke}{number(tall)}z"
        (inside if _is_kept(tensor, place) else outside).append(piece)
    parts = [kept]
    if inside:
        parts.append(element("path.int8", attributes={"d": "".join(inside)}))
    if outside:
        parts.append(element("path.cut", attributes={"d": "".join(outside)}))
    if start < 0 < end:
        parts.append(_line(x(0.0), 0, x(0.0), height, "zero"))
    parts.append(_line(0, height, width, height, "axis"))
    return _svg(width, height + 1, parts, picture)


def share_cut(tensor: TensorRange) -> float:
    """Share of the values seen that lie outside the range kept, by whole bins."""
    total = sum(tensor.histogram)
    cut = sum(count for place, count in enumerate(tensor.histogram) if not _is_kept(tensor, place))
    return cut / total if total > 0 else 0.0


def _is_kept(tensor: TensorRange, place: int) -> bool:
    """Whether the middle of a bin lies within the range kept."""
    share = (place + 0.5) / len(tensor.histogram)
    middle = tensor.minimum * (1 - share) + tensor.maximum * share
    return tensor.low <= middle <= tensor.high or tensor.minimum == tensor.maximum


def heat_map(
    names: Sequence[str], counts: Mapping[tuple[int, int], int], picture: Picture
) -> Markup:
    """A square of cells: a row per class of fp32, a column per class of INT8.

    Args:
        names: Of the classes; they are numbered, since the columns have no room for names.
        counts: Clips by row and column.
        picture: What it says.
    """
    count = len(names)
    cell = min(34.0, 248.0 / count)
    named = min(250.0, WIDTH - 2 - cell * count)
    top = 40.0
    totals = [sum(counts.get((row, column), 0) for column in range(count)) for row in range(count)]
    parts = [
        _text(named - 8, 12, "rows: fp32", "faint.end"),
        _text(named, 12, "columns: INT8", "faint"),
    ]
    for place, name in enumerate(names):
        middle = (place + 0.5) * cell
        shown = cut_to(f"{place + 1} {name}", named - 14, _TEXT)
        parts.append(_text(named - 8, top + middle + 4, shown, "end"))
        parts.append(_text(named + middle, top - 6, str(place + 1), "middle"))
    for row in range(count):
        for column in range(count):
            x, y = named + column * cell, top + row * cell
            parts.append(_box(x, y, cell - 1, cell - 1, "empty"))
            found = counts.get((row, column), 0)
            if found:
                shade = MOST_SHADE * (0.3 + 0.7 * found / totals[row])
                kind = "same" if row == column else "other"
                parts.append(_box(x, y, cell - 1, cell - 1, kind, opacity=shade))
                parts.append(_text(x + (cell - 1) / 2, y + cell / 2 + 4, str(found), "middle"))
    return _svg(WIDTH, top + count * cell + 2, parts, picture)


def cut_to(text: str, width: float, size: float) -> str:
    """A text cut with dots where it would be wider; widths of letters are estimated."""
    if _width(text, size) <= width:
        return text
    kept = text
    while kept and _width(kept, size) > width - size:
        kept = kept[:-1]
    return kept.rstrip() + "\N{HORIZONTAL ELLIPSIS}"


def _width(text: str, size: float) -> float:
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)
    return size * (1.05 * wide + 0.58 * (len(text) - wide))


def _fraction(value: float, low: float, high: float) -> float:
    """Where a value lies between two others, 0 to 1; halved so that no difference overflows."""
    room = high / 2 - low / 2
    return 0.0 if room <= 0 else min(max((value / 2 - low / 2) / room, 0.0), 1.0)


def _ticks(low: float, high: float, *, most: int) -> list[float]:
    """Round numbers from `low` to `high`, of shares."""
    step = 0.001
    while (high - low) / step > most:
        step = next(one for one in _STEPS if one > step)
    return [place * step for place in range(math.ceil(low / step), math.floor(high / step) + 1)]


_STEPS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


def _whole_ticks(last: int) -> list[int]:
    step = next((one for one in (1, 2, 5, 10, 20, 50, 100) if last / one <= 10), max(last, 1))
    return list(range(0, last + 1, step))


def _percent(share: float, span: float) -> str:
    return f"{share:.1%}" if span < 0.04 else f"{share:.0%}"


def _text(x: float, y: float, text: str, kinds: str) -> Markup:
    return element(f"text.{kinds}", text, attributes={"x": x, "y": y})


def _box(
    x: float, y: float, width: float, height: float, kind: str, *, opacity: float | None = None
) -> Markup:
    attributes = {"x": x, "y": y, "width": width, "height": height}
    if opacity is not None:
        attributes["fill-opacity"] = opacity
    return element(f"rect.{kind}", attributes=attributes)


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> Markup:
    return element(f"line.{kind}", attributes={"x1": x1, "y1": y1, "x2": x2, "y2": y2})


def _svg(width: float, height: float, parts: Sequence[Markup], picture: Picture) -> Markup:
    title, description = f"{picture.key}-title", f"{picture.key}-desc"
    return element(
        "svg.plot",
        element("title", picture.title, attributes={"id": title}),
        element("desc", picture.description, attributes={"id": description}),
        *parts,
        attributes={
            "viewBox": f"0 0 {number(width)} {number(height)}",
            "role": "img",
            "aria-labelledby": f"{title} {description}",
        },
    )


def range_in_words(low: float, high: float) -> str:
    """E.g. "-1.2 to 7.49"."""
    return f"{value_in_words(low)} to {value_in_words(high)}"
