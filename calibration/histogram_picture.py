"""Clips per class as a picture: a bar per class and half, as PaddleX draws it, on its side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from calibration.dataset_report import SplitFacts
from calibration.sheet import FAINT, INK, RULE, Colour, Sheet, fitted, shown_name, text_width

_MARGIN = 24
_TITLE = 44
_ROW = 20
_TEXT = 13
_BARS = {True: 320, False: 150}
"""Length of the longest bar in pixels, by whether there is one column only."""
_WIDEST_NAME = 220
_ONE_COLUMN = 50
_CLASSES_PER_SQUARE = 25
"""400 classes are drawn in 4 columns of 100."""
_GAP = 32

COLOURS: tuple[Colour, ...] = ((46, 110, 180), (236, 140, 52))
"""Of the halves, in their order; told apart by everyone."""


def draw_histogram(path: Path, splits: Sequence[SplitFacts], names: Sequence[str]) -> None:
    """Write a PNG: classes with the most clips for training first, in columns when many.

    Args:
        path: The file.
        splits: One or two halves.
        names: Class names, at least one.

    Raises:
        OutputError: It cannot be written.
    """
    order = sorted(range(len(names)), key=lambda index: -splits[0].counts[index])
    many = len(names) > _ONE_COLUMN
    columns = math.ceil(math.sqrt(len(names) / _CLASSES_PER_SQUARE)) if many else 1
    rows = math.ceil(len(names) / columns)
    bars = _BARS[not many]
    shown = [shown_name(name, index) for index, name in enumerate(names)]
    named = min(_WIDEST_NAME, max(text_width(name, _TEXT) for name in shown))
    most = max(1, *(count for split in splits for count in split.counts))
    figures = text_width(" / ".join([str(most)] * len(splits)), _TEXT) + 8
    column = named + 10 + bars + figures + _GAP
    legend = max(300, sum(text_width(_legend(split), _TEXT) + 44 for split in splits))
    width = max(2 * _MARGIN + columns * column - _GAP, 2 * _MARGIN + legend)
    sheet = Sheet(width, _TITLE + rows * _ROW + 2 * _MARGIN)
    _draw_legend(sheet, splits)
    for place, index in enumerate(order):
        across, down = divmod(place, rows)
        left = _MARGIN + across * column
        top = _TITLE + _MARGIN + down * _ROW
        sheet.text(
            left + named,
            top + _ROW / 2,
            fitted(shown[index], named, _TEXT),
            size=_TEXT,
            anchor="right",
        )
        counts = [split.counts[index] for split in splits]
        _draw_bars(sheet, counts, at=(left + named + 10, top), scale=bars / most)
    sheet.save(path)


def _draw_bars(
    sheet: Sheet, counts: Sequence[int], *, at: tuple[float, float], scale: float
) -> None:
    """The bars of a class and its figures; `scale` is pixels per clip."""
    left, top = at
    sheet.box(left - 1, top, 1, _ROW, RULE)
    height = (_ROW - 6) / len(counts)
    for place, count in enumerate(counts):
        length = max(count * scale, 1.0 if count else 0.0)
        sheet.box(left, top + 3 + place * height, length, height, COLOURS[place % len(COLOURS)])
    figures = " / ".join(map(str, counts))
    ink = INK if any(counts) else FAINT
    sheet.text(left + max(counts) * scale + 6, top + _ROW / 2, figures, size=_TEXT, colour=ink)


def _draw_legend(sheet: Sheet, splits: Sequence[SplitFacts]) -> None:
    left: float = _MARGIN
    for place, split in enumerate(splits):
        sheet.box(left, _TITLE / 2, 14, 14, COLOURS[place % len(COLOURS)])
        text = _legend(split)
        sheet.text(left + 20, _TITLE / 2 + 7, text, size=_TEXT)
        left += text_width(text, _TEXT) + 44


def _legend(split: SplitFacts) -> str:
    return f"{split.split}: {split.labelled} labelled clips"
