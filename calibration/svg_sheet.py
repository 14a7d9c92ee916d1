"""The sheet of `calibration.sheet` as SVG: the same calls, written as vectors."""

from __future__ import annotations

from pathlib import Path

from calibration.markup import Attributes, Markup, element
from calibration.sheet import INK, PAPER, Anchor, Colour
from calibration.whole_file import write_whole

_ANCHORS = {"left": "start", "middle": "middle", "right": "end"}
_RISE = 0.35
"""Of the size of the letters: from their middle down to the line they stand on."""


class SvgSheet:
    """A picture that is drawn on. Text is vertically centred on its y.

    Args:
        width: In pixels.
        height: In pixels.
        title: A line for those who do not see it.
        description: The figures in words, for the same.
    """

    def __init__(self, width: int, height: int, *, title: str, description: str) -> None:
        self.width, self.height = width, height
        self._parts: list[Markup] = [element("title", title), element("desc", description)]
        self.box(0, 0, width, height, PAPER)

    def box(self, x: float, y: float, width: float, height: float, colour: Colour) -> None:
        """Fill a rectangle."""
        place: Attributes = {"x": x, "y": y, "width": width, "height": height, "fill": _hex(colour)}
        self._parts.append(element("rect", attributes=place))

    def text(
        self,
        x: float,
        y: float,
        text: str,
        *,
        size: int = 14,
        colour: Colour = INK,
        anchor: Anchor = "left",
    ) -> None:
        """Write a line with its left end, middle or right end at x."""
        place: Attributes = {"x": x, "y": y + _RISE * size, "font-size": size, "fill": _hex(colour)}
        self._parts.append(
            element("text", text, attributes={**place, "text-anchor": _ANCHORS[anchor]})
        )

    def save(self, path: Path) -> None:
        """Write an SVG; the file appears only when it is complete.

        Raises:
            OutputError: It cannot be written.
        """
        frame: Attributes = {
            "xmlns": "http://www.w3.org/2000/svg",
            "width": self.width,
            "height": self.height,
            "viewBox": f"0 0 {self.width} {self.height}",
            "font-family": "Helvetica, Arial, sans-serif",
            "role": "img",
        }
        write_whole(path, element("svg", *self._parts, attributes=frame).encode())


def _hex(colour: Colour) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)
