"""`--camera-size`, `--camera-fps`, `--camera-format` and `--frozen-after` of `edgecls run`."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from models.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runtime.sources.options import CameraOptions

_PANEL = "Sources"

CameraSizeOption = Annotated[
    str | None,
    typer.Option(
        "--camera-size",
        metavar="WxH",
        show_default="the camera's own",
        rich_help_panel=_PANEL,
        help="Size of the pictures that cameras are asked for, e.g. 1280x720; edgecls sources"
        " lists what they can do.",
    ),
]

CameraFpsOption = Annotated[
    float | None,
    typer.Option(
        "--camera-fps",
        metavar="N",
        show_default="the camera's own",
        rich_help_panel=_PANEL,
        help="Pictures per second that cameras are asked for.",
    ),
]

CameraFormatOption = Annotated[
    str | None,
    typer.Option(
        "--camera-format",
        metavar="FOURCC",
        show_default="the camera's own",
        rich_help_panel=_PANEL,
        help="Pixel format that cameras are asked for, e.g. MJPG or YUYV.",
    ),
]

FrozenAfterOption = Annotated[
    float | None,
    typer.Option(
        "--frozen-after",
        metavar="S",
        show_default="20",
        rich_help_panel=_PANEL,
        help="Seconds without any change after which the picture of a camera or stream is said to"
        " be frozen; 0 for never.",
    ),
]

FROZEN_AFTER_S = 20.0

_SIZE = re.compile(r"(\d{1,5})\s*[xX]\s*(\d{1,5})", re.ASCII)
_LEAST_SIDE, _MOST_SIDE = 16, 16384
_MOST_FPS = 1000.0
_CODE = re.compile(r"[!-~]{1,4}")
_OTHER_NAMES = {"MJPEG": "MJPG", "YUY2": "YUYV", "GRAY": "GREY"}


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraRequest:
    """What cameras are asked for, as typed; None for what they do by themselves.

    Attributes:
        size: E.g. "1280x720".
        fps: Pictures per second.
        pixel_format: E.g. "MJPG".
    """

    size: str | None = None
    fps: float | None = None
    pixel_format: str | None = None

    def options(self, sources: Sequence[str]) -> CameraOptions:
        """The same, checked.

        Args:
            sources: What it is for, as typed.

        Raises:
            UsageError: Something is out of range or no such thing, or there is no camera.
        """
        from runtime.sources import camera, csi
        from runtime.sources.address import masked
        from runtime.sources.options import CameraOptions

        for name, value in (
            ("size", self.size),
            ("fps", self.fps),
            ("format", self.pixel_format),
        ):
            kinds = (camera.SOURCE, csi.SOURCE)
            if value is not None and not any(
                kind.claims(source) for kind in kinds for source in sources
            ):
                named = ", ".join(map(masked, sources))
                raise UsageError(
                    f"--camera-{name} is about cameras, and {named} is none.",
                    hint=f"Leave it out, or --source camera0 --camera-{name} {value}",
                )
        if self.fps is not None and not 0 < self.fps <= _MOST_FPS:
            raise UsageError(
                f"--camera-fps must be above 0 and at most {_MOST_FPS:g}, got {self.fps:g}."
            )
        return CameraOptions(
            size=None if self.size is None else _size(self.size),
            fps=self.fps,
            pixel_format=None if self.pixel_format is None else _code(self.pixel_format),
        )


def frozen_after(seconds: float) -> float | None:
    """When a picture counts as frozen; None for never.

    Raises:
        UsageError: It is negative or no number.
    """
    if not (math.isfinite(seconds) and seconds >= 0):
        raise UsageError(f"--frozen-after must be 0 (never) or more seconds, got {seconds:g}.")
    return seconds or None


def _size(text: str) -> tuple[int, int]:
    found = _SIZE.fullmatch(text.strip())
    sides = (int(found[1]), int(found[2])) if found else (0, 0)
    if not all(_LEAST_SIDE <= side <= _MOST_SIDE for side in sides):
        raise UsageError(
            f"--camera-size takes width and height from {_LEAST_SIDE} to {_MOST_SIDE} pixels,"
            f" got {text!r}.",
            hint="--camera-size 1280x720   (edgecls sources lists what a camera can do)",
        )
    return sides


def _code(text: str) -> str:
    code = text.upper() if text.islower() else text
    code = _OTHER_NAMES.get(code, code)
    if not _CODE.fullmatch(code):
        raise UsageError(
            f"--camera-format takes the four letters of a pixel format, got {text!r}.",
            hint="--camera-format MJPG   (edgecls sources lists what a camera can do)",
        )
    # As drivers do: the format called Y16 is "Y16 ".
    return code.ljust(4)
