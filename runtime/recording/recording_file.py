"""A recording on disk: lossless pictures as video, the log as text, in one Matroska file."""

from __future__ import annotations

import zlib
from fractions import Fraction
from pathlib import Path
from typing import Any

from models.plain_text import plain
from runtime.cpu import usable_cpus
from runtime.raw_file import RawFile
from runtime.recording.entries import Counts, Entry, Opening, Pictured, Sized, lines_of
from runtime.records import Frame, Picture, SourceCounts
from runtime.video_coding import finishing, plain_errors

TITLE = "edgecls recording"

PICTURE_CODECS: tuple[tuple[str, str, dict[str, str]], ...] = (
    (
        "libx264rgb",
        "rgb24",
        {
            "preset": "ultrafast",
            "tune": "zerolatency",
            "qp": "0",
            "x264-params": "repeat-headers=1",
        },
    ),
    (
        "ffv1",
        "bgr0",
        {"level": "3", "slices": "4", "coder": "rice", "context": "0", "slicecrc": "0"},
    ),
)
"""Name, pixel format and options; the first one that this PyAV was built with. Both give back
every bit of an RGB picture, and every picture stands alone."""

_TICKS = 1000
"""Per second: Matroska's own clock. Exact times are in the log."""

_MATROSKA = {"flush_packets": "1", "cluster_time_limit": "1000"}

_CODER_THREADS = 2

_SIZE_OF_NONE = (16, 16)
"""Of the video in a recording without a picture."""


class RecordingFile:
    """Writes a recording; for one thread.

    What was written before a crash can be read up to the last second: the file is in clusters of
    that length, each complete. Entries reach the disk with the next picture.

    Args:
        path: Made anew.
        opening: The first entry.

    Raises:
        OSError: The file cannot be made.
    """

    def __init__(self, path: Path, opening: Opening) -> None:
        self._file = RawFile(path)
        self._entries: list[Entry] = [opening]
        self._container: Any = None
        self._video: Any = None
        self._log: Any = None
        self._coder: Any = None
        self._codec = _usable_codec()
        self._size: tuple[int, int] | None = None
        self._origin_s: float | None = None
        self._tick = -1
        self.pictures = 0

    @property
    def bytes(self) -> int:
        """Size so far."""
        return self._file.tell()

    def note(self, entry: Entry) -> None:
        """Append an entry; written with the next picture."""
        self._entries.append(entry)

    @plain_errors()
    def add(self, frame: Frame, counts: SourceCounts) -> None:
        """Append a picture and all entries before it.

        Args:
            frame: Its picture is RGB uint8 of any size.
            counts: Of the source when the frame was handed out.

        Raises:
            OSError: The disk is full or fails, or the encoder does.
        """
        import av

        height, width = frame.picture.shape[:2]
        if (width, height) != self._size:
            self._resize(width, height)
        self._entries.append(
            Pictured(
                index=frame.index,
                time_s=frame.time_s,
                epoch=frame.epoch,
                file=None if frame.file is None else plain(frame.file),
                checksum=checksum(frame.picture),
                counts=Counts.of(counts),
            )
        )
        if self._origin_s is None:
            self._origin_s = frame.time_s
        self._tick = max(self._tick + 1, round((frame.time_s - self._origin_s) * _TICKS))
        self._write_log()
        picture: Any = av.VideoFrame.from_ndarray(frame.picture, format="rgb24")
        picture.pts = self._tick
        picture.time_base = Fraction(1, _TICKS)
        for packet in self._coder.encode(picture.reformat(format=self._codec[1])):
            self._mux(packet, self._video)
        self._file.check()
        self.pictures += 1

    def close(self) -> None:
        """Write what is left and complete the file; idempotent.

        Raises:
            OSError: The end could not be written.
        """
        if self._file.closed:
            return
        with finishing(self._file):
            if self._container is None:
                self._open(*_SIZE_OF_NONE)
            if self._entries:
                self._tick += 1
                self._write_log()
            self._container.close()

    def _resize(self, width: int, height: int) -> None:
        """Begin pictures of a size; all but the first have an encoder beside the container."""
        self._entries.append(Sized(width=width, height=height))
        self._size = (width, height)
        if self._container is None:
            self._open(width, height)
            return
        import av

        name, pixels, options = self._codec
        self._coder = av.CodecContext.create(name, "w")
        self._coder.options = options
        _prepare(self._coder, width, height, pixels)

    def _open(self, width: int, height: int) -> None:
        import av

        name, pixels, options = self._codec
        self._container = av.open(self._file, "w", format="matroska", options=_MATROSKA)
        self._container.metadata["title"] = TITLE
        self._video = self._container.add_stream(name, rate=_TICKS, options=options)
        self._coder = self._video.codec_context
        _prepare(self._coder, width, height, pixels)
        self._coder.framerate = Fraction(0)  # a reader takes it from the times
        self._log = self._container.add_mux_stream("subrip")
        self._log.time_base = Fraction(1, _TICKS)
        self._container.start_encoding()
        self._file.check()

    def _write_log(self) -> None:
        import av

        packet: Any = av.Packet(lines_of(self._entries))
        packet.pts = packet.dts = self._tick
        packet.duration = 1
        self._mux(packet, self._log)
        self._entries.clear()

    def _mux(self, packet: Any, stream: Any) -> None:
        packet.stream = stream
        packet.time_base = Fraction(1, _TICKS)
        packet.is_keyframe = True
        self._container.mux_one(packet)


def checksum(picture: Picture) -> int:
    """CRC-32 of a picture's bytes."""
    return zlib.crc32(picture.data if picture.flags.c_contiguous else picture.tobytes())


def _prepare(coder: Any, width: int, height: int, pixels: str) -> None:
    coder.width, coder.height, coder.pix_fmt = width, height, pixels
    coder.time_base = Fraction(1, _TICKS)
    coder.gop_size = 1
    coder.thread_count = min(_CODER_THREADS, usable_cpus())


def _usable_codec() -> tuple[str, str, dict[str, str]]:
    import av

    return next(one for one in PICTURE_CODECS if one[0] in av.codecs_available)
