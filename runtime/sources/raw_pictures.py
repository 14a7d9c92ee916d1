"""Pictures without a container, from a pipe."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from functools import partial

from models.errors import SourceError
from runtime.closing import ClosesOnExit
from runtime.elapsed import since_ms
from runtime.records import Frame, SourceCounts
from runtime.sources.ahead import Decoded, ReadAhead
from runtime.sources.base import Wanted
from runtime.sources.pipe_bytes import PipeBytes
from runtime.sources.raw_video import RawVideo, rgb_from_raw

logger = logging.getLogger(__name__)


class RawPictures(ClosesOnExit):
    """Pictures one behind the other, at a fixed rate, read ahead in a thread.

    Args:
        stream: Read to its end; not closed.
        raw: How they are laid out.
        name: Of the stream, for people.

    Raises:
        SourceError: It ends before the first picture is complete.
    """

    def __init__(self, stream: PipeBytes, raw: RawVideo, *, name: str) -> None:
        self._stream = stream
        self._raw = raw
        self._name = name
        self._ahead = ReadAhead(self._decoded(), name=name)
        self.fps: float | None = raw.fps
        self.description = f"{name} ({raw.width}x{raw.height}, {raw.fps:g} fps, {raw.pixels})"
        self._first = stream.read_all(raw.picture_bytes)
        if len(self._first) < raw.picture_bytes:
            raise SourceError(
                f"{name} ended after {len(self._first)} bytes, and a picture of {raw} has"
                f" {raw.picture_bytes}.",
                hint="Check that --raw WIDTHxHEIGHT@FPS:PIXELS is what is piped in.",
            )

    @property
    def counts(self) -> SourceCounts:
        """What became of the pictures so far."""
        return self._ahead.counts

    def frames_and_waits(self, wanted: Wanted | None, patience_s: float) -> Iterator[Frame | None]:
        """Pictures from the current position, and None where there is none for a while."""
        return self._ahead.frames_and_waits(wanted, patience_s)

    def interrupt(self) -> None:
        """Let `frames_and_waits` end soon."""
        self._ahead.interrupt()

    def close(self) -> None:
        """Stop reading."""
        self._ahead.close()

    def _decoded(self) -> Iterator[Decoded]:
        data, index = self._first, 0
        while len(data) == self._raw.picture_bytes:
            time_s = index / self._raw.fps
            converted = partial(self._converted, data, index, time_s, time.monotonic())
            yield Decoded(time_s=time_s, decode_ms=0.0, converted=converted)
            index += 1
            data = self._stream.read_all(self._raw.picture_bytes)
        if data and not self._stream.over:
            logger.warning(
                "%s ended within a picture: its %d bytes, of %d, are left out.",
                self._name,
                len(data),
                self._raw.picture_bytes,
            )

    def _converted(
        self, data: bytes, index: int, time_s: float, arrived_s: float, skipped_ms: float
    ) -> Frame:
        started_s = time.perf_counter()
        picture = rgb_from_raw(data, self._raw)
        return Frame(
            picture=picture,
            index=index,
            time_s=time_s,
            arrived_s=arrived_s,
            decode_ms=since_ms(started_s),
        )
