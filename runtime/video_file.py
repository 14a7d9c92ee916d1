"""A video file opened by FFmpeg (PyAV): what it states, its packets, and its pictures."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from models.errors import SourceError
from runtime.closing import ClosesOnExit
from runtime.cpu import usable_cpus
from runtime.opencv import LARGEST_PIXELS
from runtime.records import Picture
from runtime.rgb_pictures import RgbPictures
from runtime.timestamps import plausible_fps

if TYPE_CHECKING:
    from av import Packet, VideoFrame


PLAYABLE = "Give a video file that a player can open, such as MP4, AVI, MKV or WebM."

DECODER_THREADS = 2
"""At most; more would take the processor from the model that waits for the frames."""

LIMITS = {"max_pixels": str(LARGEST_PIXELS)}
"""Options of every decoder, also of those with which FFmpeg looks what there is."""

_POINTING = frozenset({"concat", "concatf", "dash", "hls", "imf", "rtp", "rtsp", "sdp", "vobsub"})
"""Formats that are lists of other files, or of places in the network."""

_COVER = 0x400
"""FFmpeg's `AV_DISPOSITION_ATTACHED_PIC`."""

_UNORDERED = "avi"
"""The container that has no presentation times. What stands there for them is wrong wherever
frames are reordered; its decoding times count the frames."""


class ByteStream(Protocol):
    """Bytes that come one after the other, and cannot be gone back in."""

    def read(self, count: int) -> bytes:
        """Some of the next bytes, as many at most; none at the end."""


class VideoFile(ClosesOnExit):
    """A video file, of which the first video stream is read. Not for two threads at once.

    Damage never raises: what cannot be decoded is left out, and `damaged` tells.

    Args:
        path: A file that exists; of a stream, what it is called.
        stream: Read instead of the file, from its beginning; not closed.

    Attributes:
        fps: Nominal frame rate; None when unknown.
        stated_frames: Number of frames that the container states or that its length and frame
            rate give; 0 when unknown.
        codec: FFmpeg's name of the codec, e.g. "h264".
        private: What the container says for the decoder; empty when nothing.
        presented: The packets' `pts` are the times at which frames are shown.
        damaged: Something could not be read or decoded, or was decoded with errors.

    Raises:
        SourceError: It is no video, or one in a codec that cannot be decoded.
    """

    def __init__(self, path: Path, *, stream: ByteStream | None = None) -> None:
        import av

        self.path = path
        try:
            # Absolute, so that a name such as "a:b.mp4" is not mistaken for a protocol.
            self._container = av.open(
                str(path.absolute()) if stream is None else stream,
                options={
                    "protocol_whitelist": "file" if stream is None else "pipe",
                    "format_whitelist": _self_contained(),
                    **LIMITS,
                },
                **lenient(av.__version__),
            )
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise SourceError(
                f"{path} is not a video that FFmpeg can read.", hint=PLAYABLE
            ) from error
        try:
            self._adopt()
        except BaseException:
            self._container.close()
            raise

    def _adopt(self) -> None:
        """Find the video in the container, and learn what is stated of it."""
        streams = self._container.streams.video
        # A cover picture is a video stream too.
        stream = next((one for one in streams if not one.disposition.value & _COVER), None)
        if stream is None:
            raise SourceError(f"{self.path} holds no video.", hint=PLAYABLE)
        if stream.codec_context is None:
            raise SourceError(
                f"{self.path} is a video in a codec that FFmpeg cannot decode here.",
                hint="Convert it: ffmpeg -i IN -c:v libx264 OUT.mp4",
            )
        self._stream, self._codec = stream, stream.codec_context
        if self._codec.width * self._codec.height > LARGEST_PIXELS:
            raise SourceError(
                f"{self.path} has pictures of {self._codec.width}x{self._codec.height}; up to"
                f" {LARGEST_PIXELS // 10**6} million pixels are read.",
                hint="Make it smaller: ffmpeg -i IN -vf scale=1280:-2 OUT.mp4",
            )
        self._codec.thread_count = min(DECODER_THREADS, usable_cpus())
        self._codec.thread_type = "AUTO"
        self._codec.options = LIMITS
        self._rgb = RgbPictures()
        self._open = True
        self._droppable = False
        self.codec: str = self._codec.name
        self.private = bytes(self._codec.extradata or b"")
        self.damaged = False
        avi = self._container.format.name == _UNORDERED
        self.presented = not avi or not self._codec.has_b_frames
        self._by_decoding_time = avi
        rate = stream.average_rate or stream.guessed_rate
        self.fps = plausible_fps(None if rate is None else float(rate))
        self.stated_frames: int = max(0, stream.frames) or self._estimated()

    def _estimated(self) -> int:
        duration_us: int | None = self._container.duration
        if duration_us is None or self.fps is None:
            return 0
        return max(0, math.floor(duration_us / 1e6 * self.fps + 0.5))

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels as they are stated, before any rotation; 0 when unknown."""
        return self._codec.width, self._codec.height

    def packets(self) -> Iterator[Packet]:
        """Packets that hold data, in the order of decoding, from the current position."""
        import av

        more = True
        while more:
            more = False
            try:
                for packet in self._container.demux(self._stream):
                    if packet.size:
                        yield packet
            except IndexError:
                # PyAV on a packet of a stream that began only now; the next one may be ours.
                more = True
            except (av.error.FFmpegError, OSError):
                self.damaged = True

    def decode(self, packet: Packet | None) -> list[VideoFrame]:
        """Frames that are finished once a packet was decoded; with None all that are left."""
        import av

        try:
            frames: list[VideoFrame] = self._codec.decode(packet)
        except av.error.EOFError:
            return []
        except (av.error.FFmpegError, OSError):
            self.damaged = True
            return []
        if any(frame.is_corrupt for frame in frames):
            self.damaged = True
        return frames

    def start_anew(self) -> None:
        """Forget all frames decoded so far; the next packet must not refer to any of them."""
        self._codec.flush_buffers()

    def only_if_referred_to(self, droppable: bool) -> None:
        """Whether the next packets may go undecoded where no other frame refers to theirs."""
        if droppable != self._droppable:
            self._codec.skip_frame = "NONREF" if droppable else "DEFAULT"
            self._droppable = droppable

    def frames(self) -> Iterator[VideoFrame]:
        """All frames that can be decoded, in the order in which they are shown."""
        for packet in self.packets():
            yield from self.decode(packet)
        yield from self.decode(None)

    def time_s(self, frame: VideoFrame) -> float | None:
        """When a frame is shown, in seconds from the start that the container states."""
        ticks = frame.dts if self._by_decoding_time or frame.pts is None else frame.pts
        return None if ticks is None else self.seconds(ticks)

    def seconds(self, ticks: int) -> float:
        """Seconds from the start that the container states to a time in its own unit."""
        base = self._stream.time_base
        since_start = ticks - (self._stream.start_time or 0)
        return float(since_start * base) if base is not None else math.nan

    def picture(self, frame: VideoFrame) -> Picture:
        """A frame as it is shown, with its rotation applied: RGB uint8 [H, W, 3], owned.

        Raises:
            SourceError: FFmpeg cannot convert its pixel format.
        """
        try:
            return self._rgb.picture(frame)
        except ValueError as error:
            raise SourceError(
                f"{self.path}: a picture of {frame.width}x{frame.height} in {frame.format.name}"
                " cannot be converted to RGB.",
                hint=PLAYABLE,
            ) from error

    def close(self) -> None:
        """Close the file. Calling it twice is fine."""
        if self._open:
            self._open = False
            self._container.close()


def _self_contained() -> str:
    """All formats in which a file holds its own video: to open one must not open others."""
    import av

    return ",".join(sorted(av.formats_available - _POINTING))


def shown_size(frame: VideoFrame) -> tuple[int, int]:
    """Width and height of a frame as it is shown, with its rotation applied."""
    turned = round(frame.rotation) % 180 == 90
    return (frame.height, frame.width) if turned else (frame.width, frame.height)


def lenient(version: str) -> dict[str, str]:
    """Arguments of `av.open` with which titles that are not UTF-8 are no error.

    PyAV 19 needs none any more.
    """
    return {"metadata_errors": "replace"} if int(version.split(".")[0]) < 19 else {}
