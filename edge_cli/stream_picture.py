"""The figures of `edgecls bench --stream` as a picture: a bar for the cost of every way."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from edge_cli.stream_words import times, title_of
from models.errors import UsageError

if TYPE_CHECKING:
    from calibration.sheet import Anchor, Colour
    from runtime.stream_bench import StreamRow

_MARGIN, _ROW, _BAR = 24, 30, 18
_TITLE, _TEXT = 18, 14
_NAMES, _BARS, _VALUES = 300, 420, 170
_HEAD = 84
SUFFIXES = (".svg", ".png")

_COLOURS: dict[str, Colour] = {
    "rival": (150, 154, 162),
    "whole": (160, 190, 222),
    "exact": (38, 110, 180),
    "approx": (236, 140, 52),
}


class Canvas(Protocol):
    """What is drawn on, see `calibration.sheet.Sheet`."""

    def box(self, x: float, y: float, width: float, height: float, colour: Colour) -> None:
        """Fill a rectangle."""

    def text(
        self,
        x: float,
        y: float,
        text: str,
        *,
        size: int = 14,
        colour: Colour = ...,
        anchor: Anchor = "left",
    ) -> None:
        """Write a line that is vertically centred on y."""

    def save(self, path: Path) -> None:
        """Write the file."""


def check_picture(path: Path) -> None:
    """Refuse a file of a kind that cannot be drawn, before anything is measured.

    Raises:
        UsageError: It ends in something else than `SUFFIXES`.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(
            f"A picture is written as {' or '.join(SUFFIXES)}, and {path} is neither.",
            hint=f"--picture {path.with_suffix('.svg')}",
        )


def draw_streams(
    path: Path, rows: Sequence[StreamRow], *, title: str, subtitle: str, rival: StreamRow | None
) -> None:
    """Draw a bar per row that was measured, in their order.

    Args:
        path: An .svg or .png file.
        rows: At least one with figures.
        title: First line.
        subtitle: Second line: how it was measured.
        rival: The row that the others are compared with; None for no comparison.

    Raises:
        OutputError: It cannot be written.
    """
    from calibration.sheet import FAINT, RULE, Sheet
    from calibration.svg_sheet import SvgSheet

    shown = [row for row in rows if row.median_ms]
    width, height = _MARGIN * 2 + _NAMES + _BARS + _VALUES, _HEAD + len(shown) * _ROW + _MARGIN
    canvas: Canvas
    if path.suffix.lower() == ".svg":
        canvas = SvgSheet(width, height, title=title, description=_sentence(shown, rival))
    else:
        canvas = Sheet(width, height)
    canvas.text(_MARGIN, _MARGIN + 6, title, size=_TITLE)
    canvas.text(_MARGIN, _MARGIN + 32, subtitle, size=_TEXT, colour=FAINT)
    slowest = max(row.median_ms or 0.0 for row in shown)
    left = _MARGIN + _NAMES
    canvas.box(left - 1, _HEAD - 6, 1, len(shown) * _ROW + 6, RULE)
    for place, row in enumerate(shown):
        middle = _HEAD + (place + 0.5) * _ROW
        canvas.text(left - 10, middle, title_of(row), size=_TEXT, anchor="right")
        length = max(_BARS * (row.median_ms or 0.0) / slowest, 1.0)
        canvas.box(left, middle - _BAR / 2, length, _BAR, _colour(row))
        canvas.text(left + length + 8, middle, _value(row, rival), size=_TEXT)
    canvas.save(path)


def _value(row: StreamRow, rival: StreamRow | None) -> str:
    from runtime.stream_bench import cheaper_by

    cost = f"{row.median_ms:.1f} ms"
    ratio = cheaper_by(row, rival)
    return cost if ratio is None or row is rival else f"{cost}, {times(ratio)}x"


def _colour(row: StreamRow) -> Colour:
    from runtime.stream_bench import RIVALS

    return _COLOURS["rival" if row.backend in RIVALS else row.way]


def _sentence(rows: Sequence[StreamRow], rival: StreamRow | None) -> str:
    """The figures for those who do not see the picture."""
    return "; ".join(f"{title_of(row)}: {_value(row, rival)}" for row in rows) + "."
