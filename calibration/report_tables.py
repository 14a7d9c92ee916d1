"""Tables, tiles and folds of which the page of a calibration report is made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from calibration.markup import Markup, element, joined, name_of

SHOWN_ROWS = 10
"""Rows of a long table that are not folded away."""

_FOLD_FROM = 4
"""Rows beyond them from which folding is worth it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of a table.

    Attributes:
        title: Its heading.
        kind: Class of its cells: "number", "bar", "histogram", "nowrap" or "".
        spare: Left out on a phone.
    """

    title: str
    kind: str = ""
    spare: bool = False

    def cell(self, content: str, tag: str = "td") -> Markup:
        """One of its cells."""
        classes = [one for one in (self.kind, "spare" if self.spare else "") if one]
        scope = {"scope": "row"} if tag == "th" else {}
        return element(".".join([tag, *classes]), content, attributes=scope)

    def heading(self) -> Markup:
        """The cell on top of it."""
        classes = [one for one in (self.kind, "spare" if self.spare else "") if one]
        kinds = [one for one in classes if one in ("number", "spare")]
        return element(".".join(["th", *kinds]), self.title, attributes={"scope": "col"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row of a table.

    Attributes:
        cells: Text or markup, one per column; the first is the heading of the row.
        marked: It stands out.
    """

    cells: tuple[str, ...]
    marked: bool = False


def table(caption: str, columns: Sequence[Column], rows: Sequence[Row]) -> Markup:
    """A table that scrolls by itself where the screen is too narrow."""
    body = [
        element(
            "tr.marked" if row.marked else "tr",
            *(
                column.cell(cell, "td" if place else "th")
                for place, (column, cell) in enumerate(zip(columns, row.cells, strict=True))
            ),
        )
        for row in rows
    ]
    return element(
        "div.wide",
        element(
            "table",
            element("caption", caption),
            element("thead", element("tr", *(column.heading() for column in columns))),
            element("tbody", *body),
        ),
        attributes={"tabindex": "0", "role": "region", "aria-label": caption},
    )


def long_table(
    caption: str, columns: Sequence[Column], rows: Sequence[Row], *, what: str
) -> Markup:
    """A table whose end is folded away when it is long.

    Args:
        caption: Of it.
        columns: Of it.
        rows: All of them.
        what: What the rows are, in the plural.
    """
    shown = SHOWN_ROWS if len(rows) >= SHOWN_ROWS + _FOLD_FROM else len(rows)
    first = table(caption, columns, rows[:shown])
    if shown == len(rows):
        return first
    rest = table(f"{caption}, continued", columns, rows[shown:])
    return joined([first, folded(f"{len(rows) - shown} more {what}", rest)])


def folded(summary: str, content: Markup) -> Markup:
    """Content that opens on a click."""
    return element("details", element("summary", summary), content)


def tile(what: str, figure: str, more: str, *, tone: str = "") -> Markup:
    """A figure that stands out; `tone` is "good", "bad" or nothing."""
    return element(
        "div.tile",
        element("p.what", what),
        element(f"p.figure.{tone}" if tone else "p.figure", figure),
        element("p.more", more),
    )


def definitions(pairs: Sequence[tuple[str, str]]) -> Markup:
    """Words and what they stand for."""
    return element(
        "dl", *(joined([element("dt", name), element("dd", text)]) for name, text in pairs)
    )


def figure(plot: Markup, caption: str) -> Markup:
    """A plot with a line under it."""
    return element("figure", plot, element("figcaption", caption))


def side_by_side(plot: Markup, rest: Markup) -> Markup:
    """A plot and its table: beside each other where there is room, else one under the other."""
    return element("div.side", plot, element("div", rest))


def two_lines(first: str, second: str) -> Markup:
    """A name with a smaller line under it."""
    return joined([name_of(first), element("span.small", second)])
