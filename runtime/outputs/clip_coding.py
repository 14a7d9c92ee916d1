"""Pictures to H.264, and H.264 to MP4 files that play however they end."""

from __future__ import annotations

import contextlib
import io
from fractions import Fraction
from pathlib import Path
from typing import Any

from runtime.outputs.clip_ring import CodedPicture
from runtime.raw_file import RawFile
from runtime.records import Picture
from runtime.video_coding import FRAGMENTED_MP4, finishing, plain_errors, usable_codec

CLOCK = 90_000
"""Ticks per second of all times in the files."""

KEY_EVERY_S = 1.0


class ClipEncoder:
    """H.264 of one picture size, picture by picture, in one thread.

    Args:
        width: Even.
        height: Even.

    Raises:
        OSError: The encoder does not start.
    """

    @plain_errors()
    def __init__(self, width: int, height: int) -> None:
        import av

        self.size = (width, height)
        self._origin_s: float | None = None
        self._last_tick = -1
        self._next_key_s = 0.0
        name, options = usable_codec()
        # The container is never written: it makes the encoder put its parameters where the
        # header of an MP4 file wants them, and is the template of the files' streams.
        self._container: Any = av.open(io.BytesIO(), "w", format="mp4")
        self.template: Any = self._container.add_stream(name, rate=30, options=options)
        self.template.width, self.template.height = width, height
        self.template.pix_fmt = "yuv420p"
        context = self.template.codec_context
        context.time_base = Fraction(1, CLOCK)
        context.gop_size = 10_000  # key pictures are asked for by time
        context.thread_count = 1
        if name == "mpeg4":
            context.time_base = Fraction(1, 60_000)  # the codec's clock has 16 bits
        self._clock = context.time_base.denominator
        self._container.start_encoding()

    @plain_errors()
    def encode(self, picture: Picture, time_s: float) -> list[CodedPicture]:
        """Encode a picture.

        Args:
            picture: RGB uint8 of any size; brought to that of the encoder.
            time_s: After that of the picture before, else nothing is coded.

        Raises:
            OSError: The encoder fails.
        """
        import av
        import cv2
        from av.video.frame import PictureType

        if self._origin_s is None:
            self._origin_s = time_s
        tick = round((time_s - self._origin_s) * self._clock)
        if tick <= self._last_tick:
            return []
        self._last_tick = tick
        if (picture.shape[1], picture.shape[0]) != self.size:
            picture = cv2.resize(picture, self.size, interpolation=cv2.INTER_AREA)
        frame: Any = av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame.pts = tick
        frame.time_base = Fraction(1, self._clock)
        if time_s >= self._next_key_s or tick == 0:
            frame.pict_type = PictureType.I
            self._next_key_s = time_s + KEY_EVERY_S
        return [
            CodedPicture(
                time_s=self._origin_s + float(packet.pts * packet.time_base),
                key=bool(packet.is_keyframe),
                data=bytes(packet),
            )
            for packet in self.template.encode(frame)
        ]

    def close(self) -> None:
        """Free the encoder; idempotent."""
        with contextlib.suppress(OSError), plain_errors():
            self._container.close()


class ClipFile:
    """A fragmented MP4 that is written as `NAME.part.mp4` and takes its name when complete.

    Args:
        path: Of the complete file; must end in `.mp4`.
        template: Of the encoder whose pictures come.

    Raises:
        OSError: The file cannot be made.
    """

    @plain_errors()
    def __init__(self, path: Path, template: Any) -> None:
        import av

        self.path = path
        self._partial = path.with_name(f"{path.stem}.part.mp4")
        self._file = RawFile(self._partial)
        self._first_s: float | None = None
        self.last_s = 0.0
        try:
            self._container: Any = av.open(self._file, "w", format="mp4", options=FRAGMENTED_MP4)
            self._stream: Any = self._container.add_stream_from_template(template)
        except BaseException:
            self._file.close()
            raise

    @property
    def seconds(self) -> float:
        """Length so far."""
        return 0.0 if self._first_s is None else self.last_s - self._first_s

    @plain_errors()
    def add(self, picture: CodedPicture) -> None:
        """Append a picture; the first one is a key picture.

        Raises:
            OSError: The disk is full or fails.
        """
        import av

        if self._first_s is None:
            self._first_s = picture.time_s
        self.last_s = picture.time_s
        packet: Any = av.Packet(picture.data)
        packet.stream = self._stream
        packet.time_base = Fraction(1, CLOCK)
        packet.pts = packet.dts = round((picture.time_s - self._first_s) * CLOCK)
        packet.is_keyframe = picture.key
        self._container.mux(packet)
        self._file.check()

    def close(self) -> None:
        """Complete the file and give it its name; what was written stays, whatever fails.

        Raises:
            OSError: The end could not be written; the file plays up to there.
        """
        try:
            with finishing(self._file):
                self._container.close()
        finally:
            self._partial.replace(self.path)
