"""Pictures without a container: how their bytes are laid out, and how they become RGB."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, cast, get_args

import numpy as np

from models.errors import UsageError
from runtime.records import Picture

Pixels = Literal["rgb24", "bgr24", "yuv420p", "nv12", "gray"]
"""Layouts of the bytes of a picture, by FFmpeg's names."""

_BYTES_PER_PIXEL: Mapping[Pixels, Fraction] = {
    "rgb24": Fraction(3),
    "bgr24": Fraction(3),
    "yuv420p": Fraction(3, 2),
    "nv12": Fraction(3, 2),
    "gray": Fraction(1),
}
_HALVED: frozenset[Pixels] = frozenset(("yuv420p", "nv12"))
"""Layouts with one colour for two by two pixels."""

_LONGEST_SIDE = 16384
_HIGHEST_FPS = 1000.0
_WRITTEN = re.compile(
    r"(?P<width>[0-9]{1,5})x(?P<height>[0-9]{1,5})@(?P<fps>[0-9.]{1,12})(?::(?P<pixels>[a-z0-9]+))?",
    re.ASCII,
)
_HINT = "For example: --raw 640x480@25:yuv420p"


@dataclass(frozen=True, slots=True, kw_only=True)
class RawVideo:
    """Pictures one behind the other, nothing between them.

    Attributes:
        width: In pixels.
        height: In pixels.
        fps: Pictures per second.
        pixels: Layout of a picture's bytes, without padding.

    Raises:
        UsageError: A number is out of range, or an odd size has no such layout.
    """

    width: int
    height: int
    fps: float
    pixels: Pixels = "rgb24"

    def __post_init__(self) -> None:
        if not (1 <= self.width <= _LONGEST_SIDE and 1 <= self.height <= _LONGEST_SIDE):
            raise UsageError(
                f"--raw takes sides from 1 to {_LONGEST_SIDE}, got {self.width}x{self.height}.",
                hint=_HINT,
            )
        if not (math.isfinite(self.fps) and 0 < self.fps <= _HIGHEST_FPS):
            raise UsageError(
                f"--raw takes up to {_HIGHEST_FPS:g} pictures per second, got {self.fps:g}.",
                hint=_HINT,
            )
        if self.pixels in _HALVED and (self.width % 2 or self.height % 2):
            raise UsageError(
                f"--raw {self.width}x{self.height}: {self.pixels} has one colour for two by two"
                " pixels, so both sides are even.",
                hint=_HINT,
            )

    @classmethod
    def read(cls, text: str) -> RawVideo:
        """What a user wrote: WIDTHxHEIGHT@FPS, and after a colon the layout if not rgb24.

        Raises:
            UsageError: It is nothing of the kind.
        """
        match = _WRITTEN.fullmatch(text)
        fps = _number(match["fps"]) if match else None
        if match is None or fps is None:
            raise UsageError(f"--raw {text!r} is not WIDTHxHEIGHT@FPS[:PIXELS].", hint=_HINT)
        pixels = match["pixels"] or "rgb24"
        if pixels not in get_args(Pixels):
            raise UsageError(
                f"--raw knows no pixels {pixels!r}, only {', '.join(get_args(Pixels))}.",
                hint=_HINT,
            )
        return cls(
            width=int(match["width"]),
            height=int(match["height"]),
            fps=fps,
            pixels=cast("Pixels", pixels),
        )

    @property
    def picture_bytes(self) -> int:
        """Bytes of one picture."""
        return int(self.width * self.height * _BYTES_PER_PIXEL[self.pixels])

    def __str__(self) -> str:
        return f"{self.width}x{self.height}@{self.fps:g}:{self.pixels}"


def rgb_from_raw(data: bytes | bytearray, raw: RawVideo) -> Picture:
    """A picture, RGB uint8 [H, W, 3], owned.

    Args:
        data: Exactly `raw.picture_bytes`. YUV is that of television (BT.601, 16 to 235).
        raw: How they are laid out.
    """
    import cv2

    flat = np.frombuffer(data, np.uint8)
    if raw.pixels in ("rgb24", "bgr24"):
        pixels = flat.reshape(raw.height, raw.width, 3)
        return np.array(pixels if raw.pixels == "rgb24" else pixels[:, :, ::-1], order="C")
    if raw.pixels == "gray":
        return np.repeat(flat.reshape(raw.height, raw.width, 1), 3, axis=2)
    planes = flat.reshape(raw.height * 3 // 2, raw.width)
    how = cv2.COLOR_YUV2RGB_I420 if raw.pixels == "yuv420p" else cv2.COLOR_YUV2RGB_NV12
    return np.asarray(cv2.cvtColor(planes, how), dtype=np.uint8)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
