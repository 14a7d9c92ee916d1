"""`edgecls sources`: the cameras of this machine, and every kind of source."""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from runtime.sources.v4l2 import CameraDevice, FrameSize, PixelFormat

_LINUX = "linux"


def sources(
    as_json: Annotated[bool, typer.Option("--json", help="The same as JSON.")] = False,
) -> None:
    """List the cameras of this machine with what they can do, and every kind of source.

    A camera that another program uses is listed too.

    Example: edgecls sources
    """
    from runtime.sources import SOURCES
    from runtime.sources.v4l2 import camera_devices

    cameras = camera_devices()
    if as_json:
        value = {
            "cameras": [
                {"source": f"camera{camera.number}", **asdict(camera)} for camera in cameras
            ],
            "kinds": [
                {"name": kind.name, "example": kind.example, "about": kind.about}
                for kind in SOURCES
            ],
        }
        sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")
        return

    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    for line in _camera_lines(cameras):
        console.print(line, markup=False, soft_wrap=True)
    table = Table(box=None, pad_edge=False, header_style="cyan")
    table.add_column("--source", no_wrap=True)
    table.add_column("what it is")
    for kind in SOURCES:
        table.add_row(Text(shlex.quote(kind.example)), kind.about)
    console.print()
    console.print(table)


def _camera_lines(cameras: Sequence[CameraDevice]) -> Iterator[str]:
    if not sys.platform.startswith(_LINUX):
        yield "Cameras are listed on Linux only; try camera0, camera1, ..."
    elif not cameras:
        yield "This machine has no camera (/dev/video*)."
    for camera in cameras:
        yield f"camera{camera.number}  {camera.name or camera.path}"
        if camera.problem is not None:
            yield f"    cannot be asked: {camera.problem} (ls -l {camera.path}; groups)"
            continue
        yield f"    {camera.path}, {camera.driver}, {camera.bus}"
        for link in camera.links:
            yield f"    {link}"
        for given in camera.formats:
            yield from _format_lines(given)


def _format_lines(given: PixelFormat) -> Iterator[str]:
    """The sizes of a format, those of the same frame rates in one line."""
    by_rates: dict[str, list[str]] = {}
    for size in given.sizes:
        by_rates.setdefault(_rates_in_words(size), []).append(_size_in_words(size))
    if not by_rates:
        yield f"    {given.code}  {given.words}"
    for number, (rates, sizes) in enumerate(by_rates.items()):
        code = given.code if number == 0 else " " * len(given.code)
        yield f"    {code}  {', '.join(sizes)}{rates}"


def _size_in_words(size: FrameSize) -> str:
    smallest = f"{size.width}x{size.height}"
    return smallest if size.up_to is None else f"{smallest} to {size.up_to[0]}x{size.up_to[1]}"


def _rates_in_words(size: FrameSize) -> str:
    if not size.fps:
        return ""
    rates = [f"{rate:.4g}" for rate in size.fps]
    return f" at {' to '.join(reversed(rates)) if size.fps_between else ', '.join(rates)} fps"
