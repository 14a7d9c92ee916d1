"""A white sheet to draw bars, cells and text on, written as PNG. Pillow only."""

from __future__ import annotations

import io
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from calibration.whole_file import write_whole

Colour = tuple[int, int, int]

INK: Colour = (32, 36, 44)
FAINT: Colour = (120, 126, 136)
RULE: Colour = (222, 225, 230)
PAPER: Colour = (255, 255, 255)
_ELLIPSIS = "..."

_FONTS = (
    *("DejaVuSans.ttf", "Arial.ttf", "arial.ttf", "LiberationSans-Regular.ttf"),
    *("NotoSansCJK-Regular.ttc", "NotoSansSC-Regular.otf", "wqy-microhei.ttc", "wqy-zenhei.ttc"),
    *("msyh.ttc", "simhei.ttf", "PingFang.ttc", "Arial Unicode.ttf"),
)
"""Looked for in the system's font folders, only for names that Pillow's own font cannot draw."""

Anchor = Literal["left", "middle", "right"]


class Sheet:
    """A picture that is drawn on. Text is vertically centred on its y.

    Args:
        width: In pixels.
        height: In pixels.
    """

    def __init__(self, width: int, height: int) -> None:
        from PIL import Image, ImageDraw

        self.width, self.height = width, height
        self._image = Image.new("RGB", (width, height), PAPER)
        self._draw = ImageDraw.Draw(self._image)

    def box(self, x: float, y: float, width: float, height: float, colour: Colour) -> None:
        """Fill a rectangle; one of less than half a pixel is not drawn."""
        left, top, right, bottom = round(x), round(y), round(x + width), round(y + height)
        if right > left and bottom > top:
            self._draw.rectangle((left, top, right - 1, bottom - 1), fill=colour)

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
        shown, font = _drawable(text, size)
        start = x - {"left": 0.0, "middle": 0.5, "right": 1.0}[anchor] * font.getlength(shown)
        self._draw.text((start, y), shown, font=font, fill=colour, anchor="lm")

    def upright(self, x: float, bottom: float, text: str, *, size: int = 14) -> None:
        """Write a line upwards, centred on x, from `bottom` on."""
        from PIL import Image, ImageDraw

        shown, font = _drawable(text, size)
        length, height = int(font.getlength(shown)) + 2, size + 6
        strip = Image.new("L", (length, height), 0)
        ImageDraw.Draw(strip).text((0, height / 2), shown, font=font, fill=255, anchor="lm")
        turned = strip.rotate(90, expand=True)
        at = (round(x - height / 2), round(bottom - length))
        self._image.paste(Image.new("RGB", turned.size, INK), at, turned)

    def save(self, path: Path) -> None:
        """Write a PNG; the file appears only when it is complete.

        Raises:
            OutputError: It cannot be written.
        """
        stream = io.BytesIO()
        self._image.save(stream, format="PNG", optimize=True)
        write_whole(path, stream.getvalue())


def text_width(text: str, size: int = 14) -> int:
    """Width of a line in pixels."""
    shown, font = _drawable(text, size)
    return int(font.getlength(shown)) + 1


def fitted(text: str, width: int, size: int = 14) -> str:
    """The text, cut with dots at its end where it is wider than `width` pixels."""
    if text_width(text, size) <= width:
        return text
    kept = text
    while kept and text_width(kept + _ELLIPSIS, size) > width:
        kept = kept[:-1]
    return kept.rstrip() + _ELLIPSIS


def shown_name(name: str, index: int) -> str:
    """The name of a class, or its number where no font here has the letters of the name."""
    return name if _font_with(name, 13) is not None else f"#{index}"


def _drawable(text: str, size: int) -> tuple[str, Any]:
    """The text and a font that has all its letters; "?" for those that none has."""
    font = _font_with(text, size)
    if font is not None:
        return text, font
    own = _own_font(size)
    return "".join(letter if _has(own, letter) else "?" for letter in text), own


def _font_with(text: str, size: int) -> Any | None:
    fonts = (_own_font(size), *_system_fonts(size))
    return next((font for font in fonts if all(_has(font, letter) for letter in text)), None)


@lru_cache(maxsize=8)
def _own_font(size: int) -> Any:
    from PIL import ImageFont

    return ImageFont.load_default(size)


@lru_cache(maxsize=8)
def _system_fonts(size: int) -> tuple[Any, ...]:
    from PIL import ImageFont

    found = []
    for name in _FONTS:
        try:
            found.append(ImageFont.truetype(name, size))
        except OSError:
            continue
    return tuple(found)


@lru_cache(maxsize=20_000)
def _has(font: Any, letter: str) -> bool:
    """Whether a font can draw a letter: it does not look like one that cannot exist."""
    if letter == " ":
        return True
    return bytes(font.getmask(letter)) != bytes(font.getmask("\uffff"))
