"""OpenCV, kept quiet, and its order of colours."""

from __future__ import annotations

import os

import numpy as np

from runtime.records import Picture

_SILENT = 0

LARGEST_PIXELS = 1 << 26
"""Of a picture that is read: 8192 x 8192, twice what 8K has. A file of a few kilobytes can state
any size, and all its memory would be taken."""

# OpenCV looks at it once, when it is loaded.
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(LARGEST_PIXELS))


def quiet_opencv() -> None:
    """Keep OpenCV's and its FFmpeg's own chatter off stderr; called before the first capture.

    A level the user set in the environment is respected.
    """
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    import cv2

    if "OPENCV_LOG_LEVEL" not in os.environ:
        # OpenCV 4.8 has only the first, 5.0 only the second.
        set_level = getattr(cv2, "setLogLevel", None) or cv2.utils.logging.setLogLevel
        set_level(_SILENT)


def rgb_from_bgr(picture: Picture) -> Picture:
    """Copy of an OpenCV picture, uint8 [H, W, 3], with the channels in RGB order."""
    import cv2

    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), dtype=np.uint8)
