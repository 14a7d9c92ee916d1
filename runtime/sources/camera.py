"""Cameras of this machine."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from models.errors import SourceError, SourceNotFound
from runtime.opencv import quiet_opencv, rgb_from_bgr
from runtime.records import Picture
from runtime.sources.base import FrameSource, SourceKind
from runtime.sources.camera_place import CameraPlace
from runtime.sources.connection import Grabbed, Unreachable, Unwanted
from runtime.sources.live import open_live
from runtime.sources.options import CameraOptions, SourceOptions
from runtime.timestamps import plausible_fps

if TYPE_CHECKING:
    import cv2

_CAMERA = re.compile(r"^(?:camera|/dev/video)?(\d{1,3})$|^camera$", re.ASCII)
_LINK = re.compile(r"^/dev/(v4l/by-(?:id|path)/[^/\0]+)$")
_NUMBERED = re.compile(r"video(\d+)", re.ASCII)
_DEVICES = Path("/dev")

_BUFFERS = 2
"""Of the driver: one is filled while the other is read. Pictures wait in our own queue only."""


def camera_number(uri: str) -> int | None:
    """Number of the camera that a user means, or None if this names no camera by number.

    "camera", "camera0", "0" and "/dev/video0" are camera 0. A file with such a name is
    reached as "./0".
    """
    match = _CAMERA.match(uri)
    return None if match is None else int(match.group(1) or 0)


def open_camera(uri: str, options: SourceOptions) -> FrameSource:
    """Open a camera and start reading it.

    Args:
        uri: As `camera_number` reads it, or a lasting name below /dev/v4l.
        options: How it is read.

    Raises:
        SourceNotFound: There is no such camera.
        SourceError: There is one, and it cannot be opened.
    """
    link = _LINK.match(uri)
    number = camera_number(uri)
    asked = options.camera
    if link is not None:
        path = _DEVICES / link[1]
        name = path.name
        return open_live(
            lambda unwanted: open_device(_number_of_link(path), name=name, asked=asked),
            name=name,
            options=options,
        )
    if number is None:
        raise SourceError(f"{uri!r} names no camera.", hint="For example: camera0")
    place = CameraPlace(number)

    def connect(unwanted: Unwanted) -> CaptureConnection:
        now = place.number()
        if now is None:
            raise Unreachable("it is not plugged in")
        name = f"camera{number}" if now == number else f"camera{number}, now /dev/video{now}"
        connection = open_device(now, name=name, asked=asked)
        place.opened()
        return connection

    return open_live(connect, name=f"camera{number}", options=options)


class CaptureConnection:
    """A camera that OpenCV has opened.

    Args:
        capture: Open; any object with `grab`, `retrieve` and `release`.
        description: Shown to people.
        fps: Nominal frame rate; None when unknown.
    """

    def __init__(self, capture: cv2.VideoCapture, *, description: str, fps: float | None) -> None:
        self._capture = capture
        self.description = description
        self.fps = fps

    def grab(self) -> Grabbed:
        """Wait for the next picture.

        Raises:
            Unreachable: The driver gives none.
        """
        if not self._capture.grab():
            raise Unreachable("its driver reported the end")
        return Grabbed(picture=self._picture)

    def close(self) -> None:
        """Let the device go."""
        self._capture.release()

    def _picture(self) -> Picture | None:
        decoded, bgr = self._capture.retrieve()
        return rgb_from_bgr(bgr) if decoded and bgr is not None else None


def open_device(number: int, *, name: str, asked: CameraOptions) -> CaptureConnection:
    """Open the camera of a number, and ask it for pictures of some kind.

    A camera that cannot do what it is asked for does what is nearest to it, or what it does by
    itself; the description tells what it does, and what else was asked for.

    Args:
        number: N of /dev/videoN.
        name: For the description.
        asked: What is asked of it.

    Raises:
        SourceNotFound: There is no such camera.
        SourceError: There is one, and it cannot be opened.
    """
    linux = sys.platform.startswith("linux")
    if linux:
        _check_device(number)
    quiet_opencv()
    import cv2

    capture = cv2.VideoCapture(number, cv2.CAP_V4L2 if linux else cv2.CAP_ANY)
    if not capture.isOpened():
        capture.release()
        raise SourceError(
            f"Camera {number} exists, but it cannot be opened for video.",
            hint="Another program may use it, or it is a metadata device: edgecls sources, or"
            f" fuser /dev/video{number}",
        )
    capture.set(cv2.CAP_PROP_BUFFERSIZE, _BUFFERS)
    # The driver offers sizes by format, and rates by size.
    if asked.pixel_format is not None:
        code = int.from_bytes(asked.pixel_format.encode(), "little")
        capture.set(cv2.CAP_PROP_FOURCC, code)
    if asked.size is not None:
        capture.set(cv2.CAP_PROP_FRAME_WIDTH, asked.size[0])
        capture.set(cv2.CAP_PROP_FRAME_HEIGHT, asked.size[1])
    if asked.fps is not None:
        capture.set(cv2.CAP_PROP_FPS, asked.fps)
    got = CameraOptions(
        size=(
            int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)),
            int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT)),
        ),
        fps=plausible_fps(capture.get(cv2.CAP_PROP_FPS)),
        pixel_format=_letters(int(capture.get(cv2.CAP_PROP_FOURCC))),
    )
    described = f"{name} ({_in_words(got)}{_missed(asked, got)})"
    return CaptureConnection(capture, description=described, fps=got.fps)


def _letters(code: int) -> str | None:
    """The four letters of a pixel format; None where the driver does not tell."""
    letters = "".join(chr(code >> shift & 0xFF) for shift in (0, 8, 16, 24))
    return letters if letters.isascii() and letters.isprintable() else None


def _in_words(options: CameraOptions) -> str:
    words = []
    if options.size is not None:
        words.append(f"{options.size[0]}x{options.size[1]}")
    if options.pixel_format is not None:
        words.append(options.pixel_format)
    if options.fps is not None:
        words.append(f"{options.fps:.4g} fps")
    return ", ".join(words)


def _missed(asked: CameraOptions, got: CameraOptions) -> str:
    """What was asked for in vain, in words; nothing where nothing was."""
    close = asked.fps is None or (got.fps is not None and abs(got.fps - asked.fps) < 0.5)
    missed = CameraOptions(
        size=None if asked.size == got.size else asked.size,
        fps=None if close else asked.fps,
        pixel_format=None if asked.pixel_format == got.pixel_format else asked.pixel_format,
    )
    words = _in_words(missed)
    return f"; asked for {words}" if words else ""


def _number_of_link(path: Path) -> int:
    """N of the /dev/videoN that a lasting name means now.

    Raises:
        SourceNotFound: No camera has that name now.
    """
    match = _NUMBERED.fullmatch(path.resolve().name)
    if match is None or not path.exists():
        present = sorted(one.name for one in path.parent.glob("*"))
        raise SourceNotFound(
            f"There is no camera {path}; there is {', '.join(present) or 'none with such a name'}.",
            hint="edgecls sources   (lists all cameras)",
        )
    return int(match[1])


def _check_device(number: int) -> None:
    device = _DEVICES / f"video{number}"
    present = sorted(str(path) for path in _DEVICES.glob("video[0-9]*"))
    if not device.exists():
        found = ", ".join(present) if present else "no /dev/video* at all"
        raise SourceNotFound(
            f"There is no camera {number} ({device}); this machine has {found}.",
            hint="Plug a camera in (edgecls sources lists them), or try: edgecls run --source demo",
        )
    if not os.access(device, os.R_OK | os.W_OK):
        raise SourceError(
            f"{device} may not be used by this user.", hint="sudo usermod -aG video $USER"
        )


SOURCE = SourceKind(
    name="camera",
    claims=lambda uri: camera_number(uri) is not None or _LINK.match(uri) is not None,
    open=open_camera,
    example="camera0",
    about="a camera by its number, or by a lasting name in /dev/v4l",
)
