"""Live pictures as JPEG, each encoded once for all who look."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from runtime.records import Picture
from runtime.serve.board import LiveBoard

LONGEST_SIDE = 960
"""Larger pictures are made smaller: a page of four streams shows no more."""

QUALITY = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """A picture ready to send.

    Attributes:
        number: Of the frame; grows.
        jpeg: The file.
    """

    number: int
    jpeg: bytes


class Pictures:
    """The newest picture of each stream, at most `picture_rate` of them per second.

    Not for several threads at once: one thread encodes, whoever asks.

    Args:
        board: Where the frames are.
        clock: Monotonic seconds.
    """

    def __init__(self, board: LiveBoard, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._board = board
        self._clock = clock
        self._newest: dict[tuple[int, bool], tuple[float, Encoded]] = {}

    def newest(self, stream: int, *, labelled: bool = False) -> Encoded | None:
        """The newest picture; encoded anew only if the last one is old enough and not the same.

        Args:
            stream: Number of the stream.
            labelled: With the result drawn onto it.

        Returns:
            None before the first frame.
        """
        number, frame, top = self._board.watch(stream)
        if frame is None:
            return None
        key, now_s = (stream, labelled), self._clock()
        known = self._newest.get(key)
        if known is not None:
            encoded_s, encoded = known
            if encoded.number == number or now_s - encoded_s < 1.0 / self._board.picture_rate:
                return encoded
        picture = _shrunk(frame.picture)
        if labelled:
            from runtime.annotate import annotated

            picture = annotated(picture, top[:2])
        encoded = Encoded(number=number, jpeg=_jpeg(picture))
        self._newest[key] = (now_s, encoded)
        return encoded


def _shrunk(picture: Picture) -> Picture:
    """The picture, no side longer than `LONGEST_SIDE`."""
    import cv2

    height, width = picture.shape[:2]
    scale = LONGEST_SIDE / max(height, width)
    if scale >= 1.0:
        return picture
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _jpeg(picture: Picture) -> bytes:
    import cv2

    bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    _, encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return encoded.tobytes()
