"""Decoded frames of FFmpeg as RGB pictures: the one conversion, of files and of streams."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from runtime.opencv import rgb_from_bgr
from runtime.records import Picture

if TYPE_CHECKING:
    from av import VideoFrame


class RgbPictures:
    """Converts the frames of one video. Not for two threads at once."""

    def __init__(self) -> None:
        from av.video.reformatter import VideoReformatter

        self._reformatter = VideoReformatter()

    def picture(self, frame: VideoFrame) -> Picture:
        """A frame as it is shown, with its rotation applied: RGB uint8 [H, W, 3], owned.

        By way of BGR with bicubic chroma: to the level what OpenCV's own reader gives.

        Raises:
            ValueError: FFmpeg cannot convert its pixel format.
        """
        import av
        import cv2

        try:
            bgr = self._reformatter.reformat(frame, format="bgr24", interpolation="BICUBIC")
        except av.error.FFmpegError as error:
            raise ValueError(f"{frame.format.name}: {error}") from error
        plane: Any = bgr.planes[0]
        rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
        pixels = rows[: frame.height, : frame.width * 3].reshape(frame.height, frame.width, 3)
        picture = rgb_from_bgr(pixels)
        turn = {
            90: cv2.ROTATE_90_COUNTERCLOCKWISE,
            180: cv2.ROTATE_180,
            270: cv2.ROTATE_90_CLOCKWISE,
        }.get(round(frame.rotation) % 360)
        return picture if turn is None else np.asarray(cv2.rotate(picture, turn), dtype=np.uint8)
