"""A network stream, opened and decoded by FFmpeg (PyAV)."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from runtime.cpu import usable_cpus
from runtime.records import Picture
from runtime.rgb_pictures import RgbPictures
from runtime.sources.address import Address, address_from_uri
from runtime.sources.base import FrameSource
from runtime.sources.connection import Grabbed, Unreachable, Unwanted
from runtime.sources.due_times import DueTimes
from runtime.sources.live import open_live
from runtime.sources.network_errors import Attempt, no_video, single_picture, what_went_wrong
from runtime.sources.options import SourceOptions
from runtime.timestamps import plausible_fps
from runtime.video_file import DECODER_THREADS, LIMITS, lenient

if TYPE_CHECKING:
    from av import Packet, VideoFrame

logger = logging.getLogger(__name__)

_COUNTED = frozenset({"mpjpeg", "mjpeg"})
"""Containers without times: FFmpeg counts the pictures as if there were 25 in a second."""
_SINGLE = ("image2", "_pipe")
_ANY_CERTIFICATE = {"tls_verify": "0"}
"""Cameras have certificates of their own making. The default of FFmpeg differs by version."""
_DAMAGED_IN_A_ROW = 20
"""Reads that may fail one after the other before the stream counts as lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How FFmpeg is to open a kind of stream.

    Attributes:
        options: Of its demuxers and protocols.
        protocols: All that the stream, or what it refers to, may use; never files.
        ends: A stream whose length is stated is over at its end, and played in real time.
    """

    options: Mapping[str, str]
    protocols: str
    ends: bool = False


def open_network(uri: str, way: Way, options: SourceOptions) -> FrameSource:
    """Open an address of any kind.

    Args:
        uri: May hold user and password.
        way: How its kind is read.
        options: How sources are read.

    Raises:
        SourceError: The address is wrong, the server refuses, or it gives no video.
    """
    address = address_from_uri(uri)
    connect = partial(NetworkConnection, address, way, options)
    return open_live(connect, name=address.shown, options=options)


class NetworkConnection:
    """A network stream that is open.

    Pictures that were decoded with errors are left out and counted, and so are packets that cannot
    be decoded.

    Args:
        address: Where it is.
        way: How it is opened.
        options: Timeouts.
        unwanted: Looked at between packets.

    Raises:
        SourceError: The server refuses, or what it gives is no video.
        Unreachable: It cannot be reached, or says nothing.
    """

    def __init__(
        self, address: Address, way: Way, options: SourceOptions, unwanted: Unwanted
    ) -> None:
        import av

        self._address = address
        self._timeout_s = options.read_timeout_s
        self._unwanted = unwanted
        attempt = Attempt(address, limit_s=options.open_timeout_s, opens=True)
        try:
            self._container = av.open(
                address.uri,
                options={
                    "protocol_whitelist": way.protocols,
                    **LIMITS,
                    **_ANY_CERTIFICATE,
                    **way.options,
                },
                timeout=(options.open_timeout_s, options.read_timeout_s),
                **lenient(av.__version__),
            )
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise what_went_wrong(error, attempt) from None
        try:
            self._adopt(way)
        except BaseException:
            self._container.close()
            raise

    def _adopt(self, way: Way) -> None:
        """Find the video, and prepare to decode it."""
        kind = self._container.format.name
        if kind.endswith(_SINGLE):
            raise single_picture(self._address)
        streams = self._container.streams.video
        if not streams or streams[0].codec_context is None or kind == "tty":
            raise no_video(self._address)
        self._stream, self._codec = streams[0], streams[0].codec_context
        # Threads that decode whole frames at once would each add a frame of delay.
        self._codec.thread_type = "SLICE"
        self._codec.thread_count = min(DECODER_THREADS, usable_cpus())
        self._codec.options = LIMITS
        self._rgb = RgbPictures()
        self._ends = way.ends and self._container.duration is not None
        self._timed = kind not in _COUNTED
        in_bursts = self._ends or kind == "hls"
        self._due = DueTimes(self._unwanted) if in_bursts else None
        self._packets = self._container.demux(self._stream)
        self._decoded: Iterator[VideoFrame] = iter(())
        self._broken = 0
        rate = self._stream.average_rate or self._stream.guessed_rate
        stated = rate is not None and self._timed
        self.fps = plausible_fps(float(rate)) if stated else None
        shown_rate = f", {self.fps:.4g} fps" if self.fps else ""
        size = f"{self._codec.width}x{self._codec.height}"
        self.description = f"{self._address.shown} ({size}{shown_rate}, {self._codec.name})"

    def grab(self) -> Grabbed | None:
        """Wait for the next picture.

        Returns:
            None at the end of a stream that has one.

        Raises:
            Unreachable: The stream is lost, or there is no picture for too long.
        """
        until_s = time.monotonic() + self._timeout_s
        decode_s = 0.0
        while True:
            started_s = time.perf_counter()
            frame = next(self._decoded, None)
            decode_s += time.perf_counter() - started_s
            if frame is not None and not frame.is_corrupt:
                return self._grabbed(frame, decode_s * 1000.0)
            if frame is not None:
                self._broken += 1
            if self._unwanted() or time.monotonic() > until_s:
                raise Unreachable(f"no picture for {self._timeout_s:g} s", silent=True)
            if frame is None:
                packet = self._next_packet()
                if packet is None:
                    return None
                self._decoded = self._frames(packet)

    def close(self) -> None:
        """Close the connection."""
        self._container.close()

    def _grabbed(self, frame: VideoFrame, decode_ms: float) -> Grabbed:
        media_s = frame.time if self._timed else None
        if self._due is not None and media_s is not None:
            self._due.wait_for(media_s)
        broken, self._broken = self._broken, 0
        return Grabbed(
            picture=partial(self._picture, frame),
            media_s=media_s,
            decode_ms=decode_ms,
            broken=broken,
        )

    def _picture(self, frame: VideoFrame) -> Picture | None:
        try:
            return self._rgb.picture(frame)
        except ValueError as error:
            logger.debug("%s: %s", self._address.shown, error)
            return None

    def _frames(self, packet: Packet) -> Iterator[VideoFrame]:
        """What a packet decodes to; damage is counted."""
        import av

        try:
            yield from self._codec.decode(packet)
        except av.error.EOFError:
            return
        except (av.error.FFmpegError, OSError):
            self._broken += 1

    def _next_packet(self) -> Packet | None:
        """The next packet; None at the end of a stream that has one."""
        import av

        attempt = Attempt(self._address, limit_s=self._timeout_s, opens=False)
        for _ in range(_DAMAGED_IN_A_ROW):
            try:
                packet = next(self._packets, None)
            except (av.error.InvalidDataError, IndexError):
                # A damaged part; or PyAV on a packet of a stream that began only now.
                self._packets = self._container.demux(self._stream)
                if attempt.took_too_long():
                    break
            except (av.error.FFmpegError, OSError) as error:
                raise what_went_wrong(error, attempt) from None
            else:
                if packet is not None or self._ends:
                    return packet
                raise Unreachable("the server ended the stream")
        raise Unreachable("what comes is damaged")
