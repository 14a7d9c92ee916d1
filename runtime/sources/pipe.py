"""A video that another program pipes in: `ffmpeg ... | edgecls run --source -`."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from models.errors import SourceError
from runtime.closing import Closeable, ClosesOnExit
from runtime.records import Frame, SourceCounts, SourceEvent, SourceEventKind
from runtime.sources.base import FrameSource, SourceKind, Wanted, only_frames
from runtime.sources.file import SNIFFED_BYTES, FileSource, is_text
from runtime.sources.options import SourceOptions
from runtime.sources.pipe_bytes import PipeBytes
from runtime.sources.raw_pictures import RawPictures
from runtime.video_file import VideoFile

PIPE = "-"
"""How stdin is written as a source."""

_NAME = "stdin"
_HINT = (
    "Pipe in what can be read from the front: ffmpeg -i IN -c copy -f matroska - | edgecls run"
    " --source -   (an MP4 file mostly cannot; pictures without a container need --raw)"
)


class Decoding(Closeable, Protocol):
    """What makes frames of the bytes: `FileSource`, `RawPictures`."""

    @property
    def description(self) -> str:
        """What is shown to people."""

    @property
    def fps(self) -> float | None:
        """Nominal frame rate; None when unknown."""

    @property
    def counts(self) -> SourceCounts:
        """What became of the frames so far."""

    def frames_and_waits(self, wanted: Wanted | None, patience_s: float) -> Iterator[Frame | None]:
        """Frames, and None whenever nothing came for so many seconds."""

    def interrupt(self) -> None:
        """Let `frames_and_waits` end soon."""


class PipeSource(ClosesOnExit):
    """A video from a pipe, which waits for whoever writes it, as long as it takes.

    It is read like a file: nothing is dropped, a slow reader makes the writer wait, and time is
    that of the video. Where nothing comes for a while, an event "silent" says so.

    Args:
        decoding: Closed with this; None where it was time to stop before anything came.
        stream: What it reads.
        patience_s: What counts as a while.
    """

    live = False
    duration_s: float | None = None

    def __init__(self, decoding: Decoding | None, stream: PipeBytes, *, patience_s: float) -> None:
        self._decoding = decoding
        self._stream = stream
        self._patience_s = patience_s
        self._newest_s = 0.0
        self.description = _NAME if decoding is None else decoding.description
        self.fps = None if decoding is None else decoding.fps

    @property
    def counts(self) -> SourceCounts:
        """What became of the frames that came."""
        return SourceCounts() if self._decoding is None else self._decoding.counts

    def __iter__(self) -> Iterator[Frame]:
        """All frames, from the current position."""
        return only_frames(self.frames())

    def frames(self, wanted: Wanted | None = None) -> Iterator[Frame | SourceEvent]:
        """Read on, until the pipe ends.

        Raises:
            SourceError: Not one frame can be decoded.
        """
        silent_since_s: float | None = None
        for frame in self._frames_and_waits(wanted):
            if frame is None:
                if silent_since_s is None:
                    silent_since_s = time.monotonic() - self._patience_s
                    yield self._event("silent", f"nothing came for {self._patience_s:g} s")
                continue
            if silent_since_s is not None:
                lasted_s = time.monotonic() - silent_since_s
                silent_since_s = None
                yield self._event("back", f"it goes on after {lasted_s:.1f} s", lasted_s=lasted_s)
            self._newest_s = frame.time_s
            yield frame

    def _frames_and_waits(self, wanted: Wanted | None) -> Iterator[Frame | None]:
        if self._decoding is None:
            return
        try:
            yield from self._decoding.frames_and_waits(wanted, self._patience_s)
        except SourceError as error:
            raise SourceError(error.message, hint=_HINT) from error

    def interrupt(self) -> None:
        """Let `frames` end soon, a blocked read included."""
        self._stream.interrupt()
        if self._decoding is not None:
            self._decoding.interrupt()

    def close(self) -> None:
        """Stop reading; the pipe itself stays open."""
        self.interrupt()
        if self._decoding is not None:
            self._decoding.close()

    def _event(
        self, kind: SourceEventKind, text: str, *, lasted_s: float | None = None
    ) -> SourceEvent:
        return SourceEvent(
            kind=kind,
            text=text,
            time_s=self._newest_s,
            at_s=time.time(),
            delivers=kind == "back",
            breaks=False,
            lasted_s=lasted_s,
        )


def open_pipe(uri: str, options: SourceOptions) -> FrameSource:
    """Read stdin; waits for the first frame.

    Raises:
        SourceError: Nothing is piped in, or nothing that is a video.
    """
    if options.loop:
        raise SourceError(
            "What comes through a pipe cannot be played again: --loop needs a file.",
            hint="edgecls run --source FILE --loop",
        )
    stream = PipeBytes(_stdin(), stopping=options.stopping)
    try:
        decoding = _decoding(stream, options)
    except SourceError:
        if not options.stopping():
            raise
        decoding = None
    return PipeSource(decoding, stream, patience_s=options.read_timeout_s)


def _decoding(stream: PipeBytes, options: SourceOptions) -> Decoding:
    if options.raw is not None:
        return RawPictures(stream, options.raw, name=_NAME)
    head = stream.head(SNIFFED_BYTES)
    if not head:
        raise SourceError("Nothing came through stdin: it is empty.", hint=_HINT)
    if is_text(head):
        raise SourceError("What comes through stdin is text, not a video.", hint=_HINT)
    try:
        return FileSource(VideoFile(Path(_NAME), stream=stream))
    except SourceError as error:
        raise SourceError(error.message, hint=_HINT) from error


def _stdin() -> int:
    """The descriptor of stdin.

    Raises:
        SourceError: It is closed, or a terminal.
    """
    try:
        descriptor = sys.stdin.fileno()
    except (AttributeError, OSError, ValueError) as error:
        raise SourceError("There is no stdin to read a video from.", hint=_HINT) from error
    if sys.stdin.isatty():
        raise SourceError("stdin is a terminal, and a video has to be piped in.", hint=_HINT)
    return descriptor


SOURCE = SourceKind(
    name="pipe",
    claims=lambda uri: uri == PIPE,
    open=open_pipe,
    example=PIPE,
    about="what another program pipes in; with --raw bare pictures",
)
