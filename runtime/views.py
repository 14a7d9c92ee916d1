"""Which squares of a resized picture the network sees: one view, or the several of a test."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from models.errors import UsageError
from models.spec import ClipSpec
from runtime.records import Picture

CropOffset = Literal["round", "down"]
"""Values of `ClipSpec.crop_offset`."""

Views = Literal[1, 3, 10]
"""How many views are taken: the centre; left, right and centre; `ten_crops`."""


@dataclass(frozen=True, slots=True)
class View:
    """A square of a picture.

    Attributes:
        left: Pixels to the left of it.
        top: Pixels above it.
        mirrored: Whether left and right are exchanged.
    """

    left: int
    top: int
    mirrored: bool = False

    def cut(self, picture: Picture, side: int) -> Picture:
        """The square of that side; shares the memory of `picture` (uint8 [H, W, 3])."""
        square = picture[self.top : self.top + side, self.left : self.left + side]
        return square[:, ::-1] if self.mirrored else square


def centre(margins: tuple[int, int], offset: CropOffset) -> View:
    """The centre.

    An uneven margin is halved by `round((length - side) / 2)`, halves to the even number, as
    PaddleVideo and PaddleX do by default, or by `(length - side) // 2`, PaddleVideo's
    `do_round=False`. 224 of 341 starts at 58 either way (58.5), 224 of 455 at 116 by `round`
    and at 115 by `down` (115.5).

    Args:
        margins: Width and height of the picture less the side of the square, in pixels.
        offset: How they are halved.
    """
    if offset == "down":
        return View(margins[0] // 2, margins[1] // 2)
    return View(round(margins[0] / 2.0), round(margins[1] / 2.0))


def ten_crops(margins: tuple[int, int]) -> tuple[View, ...]:
    """Corners and centre, each also mirrored: the test of TSN and PP-TSN (`TenCrop`).

    Offsets are multiples of a quarter of the margin, rounded down, so the right-hand corners
    may miss up to three pixels: with margins of 117 and 32 pixels the lefts are 0, 116 and 58,
    the tops 0, 32 and 16. Order: upper left, its mirror image, upper right, …, lower left,
    lower right, centre.

    Args:
        margins: Width and height of the picture less the side of the square, in pixels.
    """
    x, y = margins[0] // 4, margins[1] // 4
    corners = ((0, 0), (4 * x, 0), (0, 4 * y), (4 * x, 4 * y), (2 * x, 2 * y))
    return tuple(View(left, top, mirrored) for left, top in corners for mirrored in (False, True))


def three_crops(margins: tuple[int, int]) -> tuple[View, ...]:
    """Left, right and centre at half height: dense testing of PP-TSM (`GroupFullResSample`).

    Quarters of the margins as in `ten_crops`: with 117 and 32 pixels the lefts are 0, 116 and
    58, the top 16. Of a picture that is higher than wide, top and bottom are not looked at.

    Args:
        margins: Width and height of the picture less the side of the square, in pixels.
    """
    x, y = margins[0] // 4, margins[1] // 4
    return (View(0, 2 * y), View(4 * x, 2 * y), View(2 * x, 2 * y))


SEVERAL: dict[Views, Callable[[tuple[int, int]], tuple[View, ...]]] = {
    3: three_crops,
    10: ten_crops,
}
"""Where the views lie when they are more than the centre."""


def views_of(picture: Picture, clip: ClipSpec, views: Views) -> tuple[View, ...]:
    """Where the views of a resized picture lie.

    Args:
        picture: uint8 [H, W, 3], resized.
        clip: Gives the side of the square, and the rounding of the centre when it is the only one.
        views: How many.

    Raises:
        UsageError: The picture is smaller than the square.
    """
    height, width = picture.shape[:2]
    side = clip.crop
    if width < side or height < side:
        raise UsageError(
            f"The picture is {width}x{height} after resizing, too small for a {side}x{side} crop.",
            hint="Check short_side and crop in the bundle's card.json.",
        )
    margins = (width - side, height - side)
    return (centre(margins, clip.crop_offset),) if views == 1 else SEVERAL[views](margins)
