"""A confusion matrix as a picture: every cell of a few classes, a map and the worst of many."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

from calibration.eval_scores import Scores
from calibration.sheet import (
    FAINT,
    INK,
    PAPER,
    RULE,
    Colour,
    Sheet,
    fitted,
    shown_name,
    text_width,
)

MOST_CELLS = 40
"""Up to so many classes every cell is drawn with its count."""

_RIGHT: Colour = (38, 110, 180)
_WRONG: Colour = (206, 72, 36)
_MARGIN = 24
_TEXT = 13
_CELL = 36
_WIDEST_NAME = 200
_MAP = 800
_ROW = 20
_PALEST = 0.3


def draw_confusion(path: Path, scores: Scores, *, title: str) -> None:
    """Write a PNG: a row per true class, a column per predicted class.

    Up to 40 classes: every cell, with its count and shaded by its share of the row; on the right
    the recall. More: a map of `_MAP` pixels without counts, on which every cell that occurs shows,
    and beside it the pairs that are confused most often.

    Args:
        path: The file.
        scores: Figures, of labelled clips.
        title: First line.

    Raises:
        OutputError: It cannot be written.
    """
    if len(scores.classes) <= MOST_CELLS:
        _draw_cells(path, scores, title)
    else:
        _draw_map(path, scores, title)


def _draw_cells(path: Path, scores: Scores, title: str) -> None:
    names = [shown_name(one.name, one.index) for one in scores.classes]
    count = len(names)
    named = min(_WIDEST_NAME, max(text_width(name, _TEXT) for name in names))
    left, top = _MARGIN + named + 10, _MARGIN + 64 + named
    width = left + count * _CELL + 120
    sheet = Sheet(max(width, 2 * _MARGIN + text_width(title, 16)), top + count * _CELL + _MARGIN)
    sheet.text(_MARGIN, _MARGIN, title, size=16)
    sheet.text(_MARGIN, _MARGIN + 24, "rows: true class, columns: answer", size=_TEXT, colour=FAINT)
    for place in range(count + 1):
        sheet.box(left + place * _CELL, top, 1, count * _CELL, RULE)
        sheet.box(left, top + place * _CELL, count * _CELL, 1, RULE)
    sheet.text(left + count * _CELL + 12, top - 14, "recall", size=_TEXT, colour=FAINT)
    for place, (name, one) in enumerate(zip(names, scores.classes, strict=True)):
        shown = fitted(name, named, _TEXT)
        middle = top + (place + 0.5) * _CELL
        sheet.text(left - 10, middle, shown, size=_TEXT, anchor="right")
        sheet.upright(left + (place + 0.5) * _CELL, top - 8, shown, size=_TEXT)
        recall = "no clips" if one.recall is None else f"{one.recall:.1%} of {one.support}"
        colour = FAINT if one.recall is None else INK
        sheet.text(left + count * _CELL + 12, middle, recall, size=_TEXT, colour=colour)
    for pair in scores.confusion:
        share = pair.count / scores.classes[pair.true].support
        x, y = left + pair.taken * _CELL, top + pair.true * _CELL
        sheet.box(x + 1, y + 1, _CELL - 1, _CELL - 1, _shade(share, own=pair.true == pair.taken))
        sheet.text(
            x + _CELL / 2,
            y + _CELL / 2,
            _short(pair.count),
            size=_TEXT,
            colour=PAPER if share > 0.45 else INK,
            anchor="middle",
        )
    sheet.save(path)


def _draw_map(path: Path, scores: Scores, title: str) -> None:
    classes = scores.classes
    bins = math.ceil(len(classes) / _MAP)
    cell = max(1, _MAP // math.ceil(len(classes) / bins))
    side = math.ceil(len(classes) / bins) * cell
    left, top = _MARGIN + 40, _MARGIN + 64
    listed = left + side + 40
    pairs = scores.confused[: side // _ROW]
    lines = [
        f"{pair.count}  {shown_name(classes[pair.true].name, pair.true)}  ->  "
        f"{shown_name(classes[pair.taken].name, pair.taken)}"
        for pair in pairs
    ]
    heading = "most often confused: clips, true class -> answer"
    width = listed + max(text_width(line, _TEXT) for line in (heading, *lines)) + _MARGIN
    sheet = Sheet(max(width, 2 * _MARGIN + text_width(title, 16)), top + side + _MARGIN)
    sheet.text(_MARGIN, _MARGIN, title, size=16)
    sheet.text(
        _MARGIN,
        _MARGIN + 24,
        "rows: number of the true class, columns: of the answer; darker: a larger share of the row",
        size=_TEXT,
        colour=FAINT,
    )
    _draw_axes(sheet, len(classes), at=(left, top), pixels_per_class=cell / bins)
    shares: dict[tuple[int, int], float] = {}
    for pair in scores.confusion:
        bin_of_both = (pair.true // bins, pair.taken // bins)
        share = pair.count / classes[pair.true].support
        shares[bin_of_both] = max(shares.get(bin_of_both, 0.0), share)
    for (row, column), share in shares.items():
        colour = _shade(share, own=row == column)
        sheet.box(left + column * cell, top + row * cell, cell, cell, colour)
    sheet.text(listed, top - 12, heading, size=_TEXT, colour=FAINT)
    for place, line in enumerate(lines):
        sheet.text(listed, top + (place + 0.5) * _ROW, line, size=_TEXT)
    if not lines:
        sheet.text(listed, top + 0.5 * _ROW, "none", size=_TEXT)
    sheet.save(path)


def _draw_axes(
    sheet: Sheet, classes: int, *, at: tuple[float, float], pixels_per_class: float
) -> None:
    """A frame with class numbers along the top and the left."""
    left, top = at
    side = classes * pixels_per_class
    for offset in (-1, side):
        sheet.box(left - 1, top + offset, side + 2, 1, FAINT)
        sheet.box(left + offset, top - 1, 1, side + 2, FAINT)
    step = _step(classes)
    for number in range(0, classes, step):
        place = number * pixels_per_class
        sheet.box(left + place, top, 1, side, RULE)
        sheet.box(left, top + place, side, 1, RULE)
        sheet.text(left - 6, top + place, str(number), size=11, colour=FAINT, anchor="right")
        sheet.text(left + place, top - 9, str(number), size=11, colour=FAINT, anchor="middle")


def _step(classes: int) -> int:
    """A round number that divides the axis into four to ten."""
    step = 1
    for factor in itertools.cycle((2, 2.5, 2)):
        if classes / step <= 10:
            break
        step = round(step * factor)
    return step


def _shade(share: float, *, own: bool) -> Colour:
    """From pale to full: blue for right answers, red for wrong ones."""
    full = _RIGHT if own else _WRONG
    weight = _PALEST + (1 - _PALEST) * share
    red, green, blue = (
        round(paper + (ink - paper) * weight) for paper, ink in zip(PAPER, full, strict=True)
    )
    return red, green, blue


def _short(count: int) -> str:
    return str(count) if count < 10_000 else f"{count / 1000:.0f}k"
