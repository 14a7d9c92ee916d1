"""A stand-in for the drivers of cameras, which answers what `runtime.sources.v4l2` asks."""

from __future__ import annotations

import errno
import os
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

QUERYCAP, ENUM_FMT, ENUM_SIZES, ENUM_RATES = 0x80685600, 0xC0405602, 0xC02C564A, 0xC034564B
"""As <linux/videodev2.h> has them on x86-64, where a C compiler printed them."""

CAPTURE, CAPTURE_PLANES, METADATA, STREAMING = 0x1, 0x1000, 0x800000, 0x4000000
_HAS_DEVICE_CAPS = 0x80000000

_Entry = TypeVar("_Entry")

Interval = tuple[int, int]
"""Numerator and denominator of the seconds from one picture to the next."""


@dataclass(frozen=True)
class FakeSize:
    """One size, or with `up_to` all from it on."""

    width: int
    height: int
    intervals: tuple[Interval, ...] = ()
    up_to: tuple[int, int] | None = None
    between: bool = False


@dataclass
class FakeCamera:
    """What a driver says of a device."""

    name: str = "HD Webcam"
    formats: dict[str, tuple[FakeSize, ...]] = field(default_factory=dict)
    abilities: int = CAPTURE
    own_abilities: bool = True
    fails: int = 0

    def answer(self, request: int, value: bytes) -> bytes:
        """Fill in a structure.

        Raises:
            OSError: The entry asked for is none.
        """
        if self.fails:
            raise OSError(self.fails, os.strerror(self.fails))
        if request == QUERYCAP:
            assert len(value) == 104
            own = self.abilities if self.own_abilities else 0
            everything = CAPTURE | METADATA if self.own_abilities else self.abilities
            flags = everything | STREAMING | (_HAS_DEVICE_CAPS if self.own_abilities else 0)
            texts = (b"uvcvideo", self.name.encode()[:31], b"usb-0000:00:14.0-2")
            return struct.pack("=16s32s32sIII12x", *texts, 0x60500, flags, own)
        index = struct.unpack_from("=I", value)[0]
        if request == ENUM_FMT:
            assert len(value) == 64
            _, buffers = struct.unpack_from("=II", value)
            assert buffers == (1 if self.abilities & CAPTURE else 9)
            code = self._entry(list(self.formats), index)
            words = {"MJPG": b"Motion-JPEG", "YUYV": b"YUYV 4:2:2"}.get(code, b"")
            return struct.pack("=III32s4sI12x", index, buffers, 0, words, code.encode(), 0)
        sizes = self.formats[value[4:8].decode()]
        if request == ENUM_SIZES:
            assert len(value) == 44
            size = self._entry(list(sizes), index)
            to = size.up_to
            numbers = (
                (size.width, to[0], 2, size.height, to[1], 2)
                if to
                else (size.width, size.height, 0, 0, 0, 0)
            )
            return struct.pack("=I4sI6I8x", index, value[4:8], 3 if to else 1, *numbers)
        assert request == ENUM_RATES
        assert len(value) == 52
        width, height = struct.unpack_from("=II", value, 8)
        size = next(
            one for one in sizes if (one.up_to or (one.width, one.height)) == (width, height)
        )
        if size.between:
            self._entry([0], index)
            numbers = (*size.intervals[0], *size.intervals[1], 0, 0)
        else:
            numbers = (*self._entry(list(size.intervals), index), 0, 0, 0, 0)
        kind = 2 if size.between else 1
        return struct.pack("=I4sIII6I8x", index, value[4:8], width, height, kind, *numbers)

    @staticmethod
    def _entry(entries: list[_Entry], index: int) -> _Entry:
        if index >= len(entries):
            raise OSError(errno.EINVAL, "Invalid argument")
        return entries[index]


class FakeDrivers:
    """Devices in a folder, each with its camera.

    Args:
        folder: Stands for /dev.
        cameras: By number.
    """

    def __init__(self, folder: Path, cameras: dict[int, FakeCamera]) -> None:
        self.folder = folder
        self._cameras = {}
        for number, camera in cameras.items():
            path = folder / f"video{number}"
            path.touch()
            self._cameras[path.stat().st_ino] = camera

    def __call__(self, descriptor: int, request: int, value: bytes) -> bytes:
        return self._cameras[os.fstat(descriptor).st_ino].answer(request, value)

    def link(self, name: str, number: int) -> Path:
        """A lasting name, as udev makes it."""
        path = self.folder / "v4l" / "by-id" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.symlink_to(Path("..") / ".." / f"video{number}")
        return path


def webcam(name: str = "HD Webcam") -> FakeCamera:
    """A usual webcam: small pictures raw, large ones as JPEG."""
    return FakeCamera(
        name=name,
        formats={
            "MJPG": (
                FakeSize(1920, 1080, ((1, 30), (1, 15))),
                FakeSize(1280, 720, ((1, 60), (1, 30))),
            ),
            "YUYV": (FakeSize(640, 480, ((1, 30), (1001, 30000))),),
        },
    )
