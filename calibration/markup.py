"""HTML and SVG built of elements, in which every text is escaped unless it is markup already."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape

from calibration.text_file import printable

Attributes = Mapping[str, str | float]

NONE: Attributes = {}

_VOID = frozenset(("br", "meta"))
_OWN_LINE = frozenset(
    (
        *("head", "body", "header", "nav", "main", "section", "footer", "title", "meta", "style"),
        *("h1", "h2", "h3", "p", "ul", "li", "div", "figure", "figcaption", "details", "summary"),
        *("table", "caption", "thead", "tbody", "tr", "svg", "dl", "dt", "dd"),
    )
)
"""Elements that a line break may follow without being seen."""


class Markup(str):
    """Text that is HTML: nothing in it needs escaping any more."""

    __slots__ = ()


def element(name: str, *children: str, attributes: Attributes = NONE) -> Markup:
    r"""An element; what is no `Markup` among its children is escaped.

    Characters that steer a terminal, end a line or cannot be encoded become letters, `\x1b`.

    Args:
        name: Of the element, with its classes: "td.number" is `<td class="number">`.
        children: Content. None for elements that have none, e.g. "br".
        attributes: Their values are escaped, numbers are rounded to hundredths.
    """
    tag, *classes = name.split(".")
    every = {**({"class": " ".join(classes)} if classes else {}), **attributes}
    written = "".join(f' {key}="{_value(value)}"' for key, value in every.items())
    end = "\n" if tag in _OWN_LINE else ""
    if tag in _VOID:
        return Markup(f"<{tag}{written}>{end}")
    return Markup(f"<{tag}{written}>{''.join(map(escaped, children))}</{tag}>{end}")


def joined(parts: Iterable[str], between: str = "") -> Markup:
    """Parts as one piece of markup."""
    return Markup(escaped(between).join(map(escaped, parts)))


def escaped(text: str) -> Markup:
    """Markup as it is, other text escaped."""
    return text if isinstance(text, Markup) else Markup(escape(printable(text)))


def name_of(text: str) -> Markup:
    """A name that a user gave; letters that run from right to left stay within it."""
    return element("bdi", text)


def number(value: float) -> str:
    """A coordinate: at most two decimals, never "-0"."""
    return f"{round(value, 2) + 0.0:.2f}".rstrip("0").rstrip(".")


def _value(value: str | float) -> str:
    return escape(printable(value)) if isinstance(value, str) else number(value)
