"""Reading a recording: its entries in order, each picture decoded only when it is wanted."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from models.errors import SourceError, SourceNotFound
from runtime.closing import ClosesOnExit
from runtime.recording.entries import (
    Asked,
    Ended,
    Entry,
    Happened,
    Opening,
    Pictured,
    Sized,
    entries_of,
)
from runtime.recording.recording_file import checksum
from runtime.records import Picture

_LOOKED_AT = 64
"""Packets among which the first entry is."""

_MOST_AHEAD = 64
"""Pictures of the video that may come before their entries."""

_RECORD = "Make one: edgecls record --source camera0 -o out.mkv"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPicture:
    """A picture of a recording.

    Attributes:
        entry: What the log says of it.
        packet: As it was coded.
        size: Width and height.
    """

    entry: Pictured
    packet: Any
    size: tuple[int, int]


class Recording(ClosesOnExit):
    """An opened recording. Read it once, in one thread.

    Args:
        path: A file.

    Attributes:
        opening: What was recorded.
        damage: Why reading ended before the last entry; empty while it did not.

    Raises:
        SourceNotFound: There is no such file.
        SourceError: It cannot be read, or is no recording.
    """

    def __init__(self, path: Path) -> None:
        import av

        self._path = path
        self.damage = ""
        self._size: tuple[int, int] | None = None
        self._asked_s = float("-inf")
        self._last: Pictured | None = None
        _check_there(path)
        try:
            self._container: Any = av.open(
                str(path.absolute()), format="matroska", options={"protocol_whitelist": "file"}
            )
        except (av.FFmpegError, OSError, ValueError) as error:
            raise _no_recording(path) from error
        try:
            self._adopt()
        except BaseException:
            self._container.close()
            raise

    def entries(self) -> Iterator[Asked | Happened | Ended | StoredPicture]:
        """What happened, in order; ends early at damage, or where a crash cut the file off.

        Raises:
            SourceError: The log contradicts itself.
        """
        for entry, packet in self._paired():
            if isinstance(entry, Opening):
                self._contradicts("it has two beginnings")
            elif isinstance(entry, Sized):
                self._size = (entry.width, entry.height)
            elif isinstance(entry, Pictured):
                yield self._stored(entry, packet)
            else:
                if isinstance(entry, Asked):
                    if entry.time_s < self._asked_s:
                        self._contradicts(f"{entry.time_s} s comes after {self._asked_s} s")
                    self._asked_s = entry.time_s
                yield entry
                if isinstance(entry, Ended):
                    return

    def picture(self, stored: StoredPicture) -> Picture:
        """Decode a picture: RGB uint8 [H, W, 3], bit for bit what was recorded.

        Raises:
            SourceError: It is damaged.
        """
        import av

        try:
            if stored.size != self._coded_size:
                self._open_decoder(stored.size)
            frames = self._decoder.decode(stored.packet)
            picture = np.asarray(frames[0].to_ndarray(format="rgb24"), np.uint8)
        except (av.FFmpegError, OSError, ValueError, IndexError) as error:
            raise self._differs(stored) from error
        if checksum(picture) != stored.entry.checksum:
            raise self._differs(stored)
        return picture

    def close(self) -> None:
        """Close the file. Calling it twice is fine."""
        if self._container is not None:
            self._container.close()
            self._container = None

    def _adopt(self) -> None:
        """Find the video, the log and its first entry."""
        video, log = self._container.streams.video, self._container.streams.subtitles
        if len(video) != 1 or len(log) != 1 or video[0].codec_context is None:
            raise _no_recording(self._path)
        context = video[0].codec_context
        if context.name not in ("h264", "ffv1"):
            raise _no_recording(self._path)
        self._video = video[0].index
        self._codec, self._private = context.name, bytes(context.extradata or b"")
        self._coded_size: tuple[int, int] | None = None
        self._decoder: Any = None
        self._waiting: deque[Entry] = deque()
        self._ahead: deque[Any] = deque()
        self._packets = self._container.demux()
        for _ in range(_LOOKED_AT):
            if self._waiting or not self._read():
                break
        if self.damage or not self._waiting:
            raise _no_recording(self._path)
        opening = self._waiting.popleft()
        if not isinstance(opening, Opening):
            raise _no_recording(self._path)
        self.opening = opening

    def _paired(self) -> Iterator[tuple[Entry, Any]]:
        """Entries, those of pictures with the packet of theirs."""
        while True:
            while self._waiting:
                entry = self._waiting.popleft()
                while isinstance(entry, Pictured) and not self._ahead:
                    if not self._read():
                        return
                yield entry, self._ahead.popleft() if isinstance(entry, Pictured) else None
            if not self._read():
                return

    def _read(self) -> bool:
        """Take in one packet; False at the end, and at damage."""
        import av

        try:
            packet = next(self._packets, None)
        except (av.FFmpegError, OSError, ValueError) as error:
            self.damage = str(error)
            return False
        if packet is None:
            return False
        if not packet.size:  # the end of a stream
            return True
        if packet.stream_index != self._video:
            try:
                self._waiting += entries_of(bytes(packet))
            except ValueError as error:
                self.damage = str(error)
                return False
        else:
            self._ahead.append(packet)
            if len(self._ahead) > _MOST_AHEAD:
                self.damage = "pictures without entries"
                return False
        return True

    def _stored(self, entry: Pictured, packet: Any) -> StoredPicture:
        last = self._last
        if self._size is None or (
            last is not None and (entry.index <= last.index or entry.time_s < last.time_s)
        ):
            self._contradicts(f"picture {entry.index} is out of order")
        self._last = entry
        return StoredPicture(entry=entry, packet=packet, size=self._size)

    def _open_decoder(self, size: tuple[int, int]) -> None:
        import av

        self._decoder = av.CodecContext.create(self._codec, "r")
        self._decoder.extradata = self._private
        self._decoder.width, self._decoder.height = size
        self._decoder.thread_count = 1  # nothing is held back
        self._coded_size = size

    def _contradicts(self, what: str) -> NoReturn:
        raise SourceError(f"The recording {self._path} is damaged: {what}.", hint=_RECORD)

    def _differs(self, stored: StoredPicture) -> SourceError:
        return SourceError(
            f"The recording {self._path} is damaged: picture {stored.entry.index}, at"
            f" {stored.entry.time_s:.3f} s, is not the one that was recorded.",
            hint=_RECORD,
        )


def _check_there(path: Path) -> None:
    try:
        there, is_file = path.exists(), path.is_file()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SourceError(f"{path} cannot be read: {reason}.", hint=_RECORD) from error
    if not there:
        raise SourceNotFound(f"There is no recording {path}.", hint=_RECORD)
    if not is_file:
        # To open a pipe would wait for its writer.
        raise _no_recording(path)


def _no_recording(path: Path) -> SourceError:
    return SourceError(f"{path} is no recording of edgecls.", hint=_RECORD)
