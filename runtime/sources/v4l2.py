"""What the cameras of a Linux machine can do, asked of their drivers (Video4Linux 2).

The requests and structures are those of `linux/videodev2.h` as x86 and Arm lay them out.
"""

from __future__ import annotations

import errno
import os
import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

Ask = Callable[[int, int, bytes], bytes]
"""Sends a request to an open device: file descriptor, request, structure; gives the structure as
the driver filled it in. Raises OSError."""

DEVICES = Path("/dev")

_QUERYCAP = 0x80685600
_ENUM_FMT = 0xC0405602
_ENUM_FRAMESIZES = 0xC02C564A
_ENUM_FRAMEINTERVALS = 0xC034564B

_CAPABILITY = struct.Struct("=16s32s32sIII12x")
_FORMAT = struct.Struct("=III32s4sI12x")
_SIZE = struct.Struct("=I4sI6I8x")
_INTERVAL = struct.Struct("=I4sIII6I8x")

_CAPTURE, _CAPTURE_PLANES, _HAS_DEVICE_CAPS = 0x1, 0x1000, 0x80000000
_BUFFER_CAPTURE, _BUFFER_CAPTURE_PLANES = 1, 9
_DISCRETE = 1
_MOST = 512
"""Entries read of one list: a broken driver may never end it."""

_NUMBERED = re.compile(r"video(\d+)", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameSize:
    """A size of picture.

    Attributes:
        width: In pixels.
        height: In pixels.
        up_to: Largest width and height of a camera that has every size from this one on; None
            for one size.
        fps: Frame rates, highest first; empty where the driver does not tell.
        fps_between: Every rate between the first and the last is possible as well.
    """

    width: int
    height: int
    up_to: tuple[int, int] | None
    fps: tuple[float, ...]
    fps_between: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelFormat:
    """A format in which a camera hands out pictures.

    Attributes:
        code: Four letters, e.g. "MJPG" or "YUYV".
        words: How the driver calls it.
        sizes: In the order of the driver.
    """

    code: str
    words: str
    sizes: tuple[FrameSize, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraDevice:
    """A camera of this machine.

    Attributes:
        number: N of /dev/videoN.
        path: Of the device.
        name: As the camera calls itself; empty when it could not be asked.
        driver: Name of the kernel's driver; likewise.
        bus: Where it is plugged in; likewise.
        links: Other names under /dev/v4l that stay the same when it is plugged in again.
        formats: What it can do.
        problem: Why it could not be asked; None if it could.
    """

    number: int
    path: str
    name: str = ""
    driver: str = ""
    bus: str = ""
    links: tuple[str, ...] = ()
    formats: tuple[PixelFormat, ...] = ()
    problem: str | None = None


def camera_devices(devices: Path = DEVICES, *, ask: Ask | None = None) -> tuple[CameraDevice, ...]:
    """All cameras, by number; devices that give no pictures (metadata, encoders) are left out.

    Asking does not disturb a program that uses the camera.

    Args:
        devices: Folder of the device files.
        ask: None for the system call.
    """
    found = (
        (int(match[1]), path)
        for path in devices.glob("video*")
        if (match := _NUMBERED.fullmatch(path.name))
    )
    links = _links(devices)
    asked = (
        _device(number, path, links=links.get(path.resolve(), ()), ask=ask or _ioctl)
        for number, path in sorted(found)
    )
    return tuple(device for device in asked if device is not None)


def _links(devices: Path) -> dict[Path, tuple[str, ...]]:
    """Lasting names by the device that they mean."""
    links: dict[Path, tuple[str, ...]] = {}
    for kind in ("by-id", "by-path"):
        for link in sorted(devices.glob(f"v4l/{kind}/*")):
            target = link.resolve()
            links[target] = (*links.get(target, ()), str(link))
    return links


def _device(number: int, path: Path, *, links: tuple[str, ...], ask: Ask) -> CameraDevice | None:
    try:
        descriptor = os.open(path, os.O_RDWR | getattr(os, "O_NONBLOCK", 0))
    except OSError as error:
        return CameraDevice(
            number=number, path=str(path), links=links, problem=error.strerror or str(error)
        )
    try:
        answer = ask(descriptor, _QUERYCAP, bytes(_CAPABILITY.size))
        driver, card, bus, _, all_abilities, own = _CAPABILITY.unpack(answer)
        abilities = own if all_abilities & _HAS_DEVICE_CAPS else all_abilities
        if not abilities & (_CAPTURE | _CAPTURE_PLANES):
            return None
        buffers = _BUFFER_CAPTURE if abilities & _CAPTURE else _BUFFER_CAPTURE_PLANES
        return CameraDevice(
            number=number,
            path=str(path),
            name=_text(card),
            driver=_text(driver),
            bus=_text(bus),
            links=links,
            formats=tuple(_formats(descriptor, buffers, ask)),
        )
    except OSError as error:
        if error.errno == errno.ENOTTY:  # no camera at all
            return None
        return CameraDevice(
            number=number, path=str(path), links=links, problem=error.strerror or str(error)
        )
    finally:
        os.close(descriptor)


def _formats(descriptor: int, buffers: int, ask: Ask) -> Iterator[PixelFormat]:
    for answer in _listed(
        lambda index: ask(descriptor, _ENUM_FMT, _FORMAT.pack(index, buffers, 0, b"", b"", 0))
    ):
        _, _, _, words, code, _ = _FORMAT.unpack(answer)
        yield PixelFormat(
            code=_text(code), words=_text(words), sizes=tuple(_sizes(descriptor, code, ask))
        )


def _sizes(descriptor: int, code: bytes, ask: Ask) -> Iterator[FrameSize]:
    for answer in _listed(
        lambda index: ask(descriptor, _ENUM_FRAMESIZES, _SIZE.pack(index, code, 0, *[0] * 6))
    ):
        _, _, kind, *numbers = _SIZE.unpack(answer)
        if kind == _DISCRETE:
            width, height = numbers[:2]
            up_to = None
        else:
            width, up_to_width, _, height, up_to_height, _ = numbers
            up_to = (up_to_width, up_to_height)
        # A range is asked for the rates of its largest picture.
        fps, between = _rates(descriptor, code, up_to or (width, height), ask)
        yield FrameSize(width=width, height=height, up_to=up_to, fps=fps, fps_between=between)
        if kind != _DISCRETE:
            return


def _rates(
    descriptor: int, code: bytes, size: tuple[int, int], ask: Ask
) -> tuple[tuple[float, ...], bool]:
    """Frame rates, highest first, and whether those between are possible as well."""
    rates: set[float] = set()
    for answer in _listed(
        lambda index: ask(
            descriptor, _ENUM_FRAMEINTERVALS, _INTERVAL.pack(index, code, *size, 0, *[0] * 6)
        )
    ):
        _, _, _, _, kind, *numbers = _INTERVAL.unpack(answer)
        intervals = [numbers[:2]] if kind == _DISCRETE else [numbers[:2], numbers[2:4]]
        rates |= {below / above for above, below in intervals if above}
        if kind != _DISCRETE:
            return tuple(sorted(rates, reverse=True)), True
    return tuple(sorted(rates, reverse=True)), False


def _listed(entry: Callable[[int], bytes]) -> Iterator[bytes]:
    """Entries 0, 1, ... of a list of the driver, until it has no more."""
    for index in count():
        if index == _MOST:
            return
        try:
            yield entry(index)
        except OSError as error:
            if error.errno in (errno.EINVAL, errno.ENOTTY, errno.ENODATA):
                return
            raise


def _text(value: bytes) -> str:
    return value.split(b"\0")[0].decode("utf-8", "replace").strip()


def _ioctl(descriptor: int, request: int, value: bytes) -> bytes:
    import fcntl

    return fcntl.ioctl(descriptor, request, value)
