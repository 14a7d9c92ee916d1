"""Video files."""

from __future__ import annotations

import codecs
import logging
import math
import stat
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from models.errors import SourceError, SourceNotFound
from runtime.chosen_frames import Choose, ChosenFrames, chosen_frames
from runtime.closing import ClosesOnExit
from runtime.elapsed import since_ms
from runtime.records import Frame, SourceCounts
from runtime.sources.ahead import Decoded, ReadAhead
from runtime.sources.base import FrameSource, SourceKind, Wanted
from runtime.sources.options import SourceOptions
from runtime.sources.paths import user_path
from runtime.sources.playlist import looped
from runtime.timestamps import TimestampRepair
from runtime.video_file import PLAYABLE, VideoFile, shown_size

if TYPE_CHECKING:
    from av import VideoFrame

logger = logging.getLogger(__name__)

SNIFFED_BYTES = 4096
_NOTHING = np.empty((0, 0, 3), np.uint8)
_TEXT_CONTROLS = frozenset(b"\t\n\r\f\x1b")


class FileSource(ClosesOnExit):
    """A video file, decoded ahead in a thread; rotation metadata is applied.

    Each frame carries the presentation time that the container gives it, mended by
    `TimestampRepair`. Frames that cannot be decoded are left out; if they are many, a warning says
    so at the end.

    Args:
        video: The opened file, at its start; closed with the source.
    """

    live = False

    def __init__(self, video: VideoFile) -> None:
        self._video = video
        self._count = 0
        self._closed = self._interrupted = False
        self._repair = TimestampRepair(video.fps)
        self._undecoded = video.frames()
        # How a picture is turned is known only from the first one.
        started_s = time.perf_counter()
        self._first = next(self._undecoded, None)
        self._first_ms = since_ms(started_s)
        width, height = video.size if self._first is None else shown_size(self._first)
        self._ahead = ReadAhead(self._decoded(), name=video.path.name)
        self.fps = video.fps
        rate = f", {self.fps:g} fps" if self.fps else ""
        self.description = f"{video.path.name} ({width}x{height}{rate})"

    @property
    def duration_s(self) -> float | None:
        """Frame count over frame rate, both as the container states them."""
        if self.fps is None or self._video.stated_frames == 0:
            return None
        return self._video.stated_frames / self.fps

    @property
    def counts(self) -> SourceCounts:
        """What became of the frames that were decoded."""
        return self._ahead.counts

    def __iter__(self) -> Iterator[Frame]:
        """All frames, from the current position."""
        return self.frames()

    def frames(self, wanted: Wanted | None = None) -> Iterator[Frame]:
        """Decode on from the current position.

        Args:
            wanted: Asked in the thread that decodes, ahead of the frames handed out here.

        Raises:
            SourceError: The file opens as a video, but not one frame can be decoded.
        """
        return (one for one in self.frames_and_waits(wanted, math.inf) if one is not None)

    def frames_and_waits(self, wanted: Wanted | None, patience_s: float) -> Iterator[Frame | None]:
        """As `frames`; and None whenever nothing was decoded for so many seconds."""
        yield from self._ahead.frames_and_waits(wanted, patience_s)
        if not (self._closed or self._interrupted):
            self._check_end()
            self.close()

    def interrupt(self) -> None:
        """Let `frames` end soon."""
        self._interrupted = True
        self._ahead.interrupt()

    def close(self) -> None:
        """Close the file."""
        self._closed = True
        self._ahead.close()
        self._video.close()

    def _decoded(self) -> Iterator[Decoded]:
        frame, decode_ms = self._first, self._first_ms
        self._first = None
        epoch, size = 0, None
        while frame is not None:
            if size is not None and size != shown_size(frame):
                epoch += 1
            size = shown_size(frame)
            blank = Frame(
                picture=_NOTHING,
                index=self._count,
                time_s=self._repair.repair(self._count, self._video.time_s(frame)),
                arrived_s=time.monotonic(),
                decode_ms=decode_ms,
                epoch=epoch,
            )
            yield Decoded(
                time_s=blank.time_s,
                decode_ms=decode_ms,
                converted=partial(self._converted, frame, blank),
            )
            self._count += 1
            started_s = time.perf_counter()
            frame = next(self._undecoded, None)
            decode_ms = since_ms(started_s)

    def _converted(self, frame: VideoFrame, blank: Frame, skipped_ms: float) -> Frame:
        """The frame with its picture, and with all the time it took."""
        started_s = time.perf_counter()
        picture = self._video.picture(frame)
        decode_ms = blank.decode_ms + skipped_ms + since_ms(started_s)
        return replace(blank, picture=picture, decode_ms=decode_ms)

    def _check_end(self) -> None:
        expected = self._video.stated_frames
        if self._count == 0:
            raise SourceError(
                f"{self._video.path} opens as a video, but not one frame can be decoded:"
                " the file is damaged or cut off.",
                hint=PLAYABLE,
            )
        # Frame counts of some containers are estimates: a few frames missing are no damage.
        if self._count + max(2, expected // 50) < expected:
            logger.warning(
                "%s: only %d of %d frames can be decoded; the file seems damaged or cut off.",
                self._video.path,
                self._count,
                expected,
            )


def open_file(uri: str, options: SourceOptions) -> FrameSource:
    """Open a video file, once or to be played again and again.

    Args:
        uri: Its path.
        options: `loop` is looked at.

    Raises:
        SourceNotFound: There is no such file.
        SourceError: It is no video.
    """
    path = user_path(uri)
    return looped(path.name, lambda: open_path(path), options)


def open_path(path: Path) -> FrameSource:
    """Open a video file.

    Raises:
        SourceNotFound: There is no such file.
        SourceError: It is a folder, empty, not readable, a text file or no video, or its name is
            not UTF-8.
    """
    check_path(path)
    return FileSource(VideoFile(path))


def check_path(path: Path) -> None:
    """Look whether a file can be a video, without opening it as one.

    Raises:
        SourceNotFound: There is no such file.
        SourceError: As `open_path`.
    """
    _check_name(path)
    _check_readable(path)


def chosen_of_file(uri: str, choose: Choose) -> ChosenFrames | None:
    """Count the frames of a file without decoding it; None where `open_file` has to do it."""
    path = user_path(uri)
    try:
        check_path(path)
    except SourceError:
        return None
    return chosen_frames(path, choose)


def _check_name(path: Path) -> None:
    """FFmpeg is given names in UTF-8."""
    try:
        str(path.absolute()).encode("utf-8")
    except UnicodeEncodeError as error:
        shown = str(path).encode("utf-8", "backslashreplace").decode("utf-8")
        raise SourceError(
            f"{shown} cannot be opened: its name or folder is not UTF-8.", hint="Rename it."
        ) from error


def _check_readable(path: Path) -> None:
    try:
        facts = path.stat()
        mode = facts.st_mode
        if stat.S_ISDIR(mode):
            raise SourceError(f"{path} is a folder, not a video file.", hint=PLAYABLE)
        if not stat.S_ISREG(mode):
            # A pipe cannot be sought in, and opening one waits for its writer.
            raise SourceError(
                f"{path} is a pipe or device, not a video file.",
                hint=f"A pipe is read as stdin: edgecls run --source - < {path}",
            )
        # Of such as the system makes up while they are read, reading may never end.
        with path.open("rb") as stream:
            head = b"" if facts.st_size == 0 else stream.read(SNIFFED_BYTES)
    except FileNotFoundError as error:
        raise SourceNotFound(
            f"There is no file {path}.",
            hint="Check the path, or try the built-in clip: edgecls run --source demo",
        ) from error
    except PermissionError as error:
        raise SourceError(f"{path} may not be read by this user.", hint=f"ls -l {path}") from error
    except (OSError, ValueError) as error:
        raise SourceError(f"{path} cannot be read: {error}.") from error
    if not head:
        raise SourceError(f"{path} is empty (0 bytes).", hint=PLAYABLE)
    if is_text(head):
        raise SourceError(f"{path} is a text file, not a video.", hint=PLAYABLE)


def is_text(head: bytes) -> bool:
    """Whether a file starts as text; FFmpeg would render it as a video of a terminal."""
    if head.startswith(b"YUV4MPEG2 ") or any(
        byte < 32 and byte not in _TEXT_CONTROLS for byte in head
    ):
        return False
    try:
        # Incremental: the end of the sniffed part may cut a character in two.
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return True


SOURCE = SourceKind(
    name="file",
    claims=lambda uri: True,
    open=open_file,
    example="clip.mp4",
    about="a video file",
    chosen=chosen_of_file,
    check=lambda uri: check_path(user_path(uri)),
)
