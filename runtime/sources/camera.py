"""Cameras of this machine."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from models.errors import SourceError, SourceNotFound
from runtime.opencv import quiet_opencv, rgb_from_bgr
from runtime.records import Picture
from runtime.sources.base import FrameSource, SourceKind
from runtime.sources.connection import Grabbed, Unreachable
from runtime.sources.live import open_live
from runtime.sources.options import SourceOptions
from runtime.timestamps import plausible_fps

_CAMERA = re.compile(r"^(?:camera|/dev/video)?(\d{1,3})$|^camera$", re.ASCII)
_DEVICES = Path("/dev")


def camera_number(uri: str) -> int | None:
    """Number of the camera that a user means, or None if this is no camera.

    "camera", "camera0", "0" and "/dev/video0" are camera 0. A file with such a name is
    reached as "./0".
    """
    match = _CAMERA.match(uri)
    return None if match is None else int(match.group(1) or 0)


def open_camera(uri: str, options: SourceOptions) -> FrameSource:
    """Open a camera and start reading it.

    Args:
        uri: As `camera_number` reads it.
        options: How it is read.

    Raises:
        SourceNotFound: There is no such camera.
        SourceError: There is one, and it cannot be opened.
    """
    number = camera_number(uri)
    if number is None:
        raise SourceError(f"{uri!r} names no camera.", hint="For example: camera0")
    return open_live(
        lambda unwanted: CameraConnection(number), name=f"camera{number}", options=options
    )


class CameraConnection:
    """A camera that OpenCV has opened.

    Args:
        number: Of the camera.

    Raises:
        SourceNotFound: There is no such camera.
        SourceError: There is one, and it cannot be opened.
    """

    def __init__(self, number: int) -> None:
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
                hint="Another program may use it, or it is a metadata device: try camera"
                f"{number + 1}, or fuser /dev/video{number}",
            )
        # One buffered picture in the driver: our own queue is the only place where frames wait.
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        self._capture = capture
        self.fps = plausible_fps(capture.get(cv2.CAP_PROP_FPS))
        width = int(capture.get(cv2.CAP_PROP_FRAME_WIDTH))
        height = int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
        rate = f", {self.fps:g} fps" if self.fps else ""
        self.description = f"camera{number} ({width}x{height}{rate})"

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


def _check_device(number: int) -> None:
    device = _DEVICES / f"video{number}"
    present = sorted(str(path) for path in _DEVICES.glob("video[0-9]*"))
    if not device.exists():
        found = ", ".join(present) if present else "no /dev/video* at all"
        raise SourceNotFound(
            f"There is no camera {number} ({device}); this machine has {found}.",
            hint="Plug a camera in, or give a video file, or try: edgecls run --source demo",
        )
    if not os.access(device, os.R_OK | os.W_OK):
        raise SourceError(
            f"{device} may not be used by this user.", hint="sudo usermod -aG video $USER"
        )


SOURCE = SourceKind(
    name="camera",
    claims=lambda uri: camera_number(uri) is not None,
    open=open_camera,
    example="camera0",
)
