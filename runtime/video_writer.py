"""A video file of constant rate that plays as far as it was written."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

from runtime.raw_file import RawFile
from runtime.records import Picture
from runtime.video_coding import FRAGMENTED_MP4, coded_size, finishing, plain_errors, usable_codec

CONTAINERS: dict[str, tuple[str, dict[str, str]]] = {
    ".mp4": ("mp4", FRAGMENTED_MP4),
    ".mkv": ("matroska", {"flush_packets": "1", "cluster_time_limit": "1000"}),
    ".avi": ("avi", {"flush_packets": "1"}),
}
"""FFmpeg's name and options, by file name extension."""

_AVI = ("mjpeg", {"qmin": "3", "qmax": "5"})
"""H.264 is not at home in AVI."""

_LONGEST_RATE = 1_000_000
_KEY_EVERY_S = 2.0


class VideoWriter:
    """Writes pictures one after the other.

    Args:
        path: Its extension is one of `CONTAINERS`.
        fps: Pictures per second.
        width: Of the first picture; odd sizes lose a line or column.
        height: Likewise.

    Raises:
        OSError: The file cannot be made, or the encoder does not start.
    """

    @plain_errors()
    def __init__(self, path: Path, *, fps: float, width: int, height: int) -> None:
        import av

        name, options = CONTAINERS[path.suffix.lower()]
        codec, settings = _AVI if name == "avi" else usable_codec()
        self.size = coded_size(width, height)
        self.codec = codec
        self.count = 0
        rate = Fraction(fps).limit_denominator(1001)
        self._clock = 1 / rate
        self._file = RawFile(path)
        try:
            self._container: Any = av.open(self._file, "w", format=name, options=options)
            self._stream: Any = self._container.add_stream(codec, rate=rate, options=settings)
            self._stream.width, self._stream.height = self.size
            self._stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
            self._stream.codec_context.time_base = self._clock
            self._stream.codec_context.gop_size = max(1, round(fps * _KEY_EVERY_S))
            self._container.start_encoding()
            self._file.check()
        except BaseException:
            self._file.close()
            raise

    @plain_errors()
    def write(self, picture: Picture) -> None:
        """Append a picture.

        Args:
            picture: RGB uint8 of any size; brought to that of the file.

        Raises:
            OSError: The disk is full or fails.
        """
        import av
        import cv2

        if (picture.shape[1], picture.shape[0]) != self.size:
            picture = cv2.resize(picture, self.size)
        frame: Any = av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame.pts = self.count
        frame.time_base = self._clock
        for packet in self._stream.encode(frame):
            self._container.mux(packet)
        self._file.check()
        self.count += 1

    def close(self) -> None:
        """Complete the file; idempotent.

        Raises:
            OSError: The end could not be written.
        """
        if self._file.closed:
            return
        with finishing(self._file):
            for packet in self._stream.encode():
                self._container.mux(packet)
            self._container.close()
