"""Records one stream around its events, in a thread of its own."""

from __future__ import annotations

import logging
import shutil
import threading
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from runtime.outputs.clip_coding import ClipEncoder, ClipFile
from runtime.outputs.clip_ring import ClipRing, CodedPicture
from runtime.outputs.film_folder import FilmFolder
from runtime.records import Frame
from runtime.video_coding import coded_size

logger = logging.getLogger(__name__)

LEAST_FREE_BYTES = 64 * 1024 * 1024
"""No clip is begun on a disk with less room than this."""

_WAITING = 48 * 1024 * 1024
_RING_BYTES = 64 * 1024 * 1024
_LEAST_STEP_S = 1 / 32
_LONGEST_GAP_S = 10.0
_ROOM_EVERY_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipSettings:
    """How events are recorded.

    Attributes:
        folder: Of the clips; must be there.
        pre_roll_s: Seconds before the event's start.
        post_roll_s: Seconds after its end.
        held_back_s: By how much an event may be told later than it began.
        longest_s: Longer clips go on in another file.
        most_lines: Higher pictures are scaled down to this.
        limit_bytes: Of all films in the folder; the oldest go. None for no limit.
    """

    folder: Path
    pre_roll_s: float = 5.0
    post_roll_s: float = 3.0
    held_back_s: float = 2.0
    longest_s: float = 300.0
    most_lines: int = 720
    limit_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class _Begin:
    name: str
    from_s: float


@dataclass(frozen=True, slots=True)
class _Stop:
    at_s: float


@dataclass(frozen=True, slots=True)
class _Break:
    pass


_Message = Frame | _Begin | _Stop | _Break


class ClipRecorder:
    """Codes every frame once, keeps the last seconds, and writes files when it is told to.

    Frames of a live stream that the thread cannot keep up with are left out and counted; those of
    a file are waited for. A failing disk ends the clip, with what was written, and nothing else.

    Args:
        settings: See `ClipSettings`.
        films: The folder of the settings.
        live: Whether the stream goes on while it is not read.
    """

    def __init__(self, settings: ClipSettings, films: FilmFolder, *, live: bool) -> None:
        self._settings = settings
        self._films = films
        self._changed = threading.Condition()
        self._waiting: deque[_Message | None] = deque()
        self._waiting_bytes = 0
        self._live = live
        self.left_out = 0
        self.written = 0
        self.failed = 0
        self.unfinished = False
        self._ring = ClipRing(settings.pre_roll_s + settings.held_back_s, limit_bytes=_RING_BYTES)
        self._encoder: ClipEncoder | None = None
        self._picture_size = (0, 0)
        self._epoch = 0
        self._last_s = 0.0
        self._clip: ClipFile | None = None
        self._wanted = False
        self._name = ""
        self._part = 0
        self._room_s = 0.0
        self._stop_s: float | None = None
        self._thread = threading.Thread(target=self._work, name="clip recorder", daemon=True)
        self._thread.start()

    def frame(self, frame: Frame) -> None:
        """Take a frame; its picture must not change afterwards."""
        with self._changed:
            while self._waiting_bytes and self._waiting_bytes + frame.picture.nbytes > _WAITING:
                if self._live or not self._thread.is_alive():
                    self.left_out += 1
                    return
                self._changed.wait(0.1)
            self._waiting_bytes += frame.picture.nbytes
            self._waiting.append(frame)
            self._changed.notify_all()

    def begin(self, name: str, from_s: float) -> None:
        """Record from a time on, which may be past; goes on when `name` is being recorded."""
        self._tell(_Begin(name, from_s))

    def stop(self, at_s: float) -> None:
        """Record up to a time, which may be to come."""
        self._tell(_Stop(at_s))

    def interrupt(self) -> None:
        """The stream broke off: its film is complete now, not only with the next frame."""
        self._tell(_Break())

    def close(self, *, grace_s: float) -> None:
        """Complete the clip; what is not coded within `grace_s` is not in it. May be repeated."""
        self._tell(None)
        self._thread.join(grace_s)
        self.unfinished = self._thread.is_alive() and self._clip is not None

    def _tell(self, message: _Message | None) -> None:
        with self._changed:
            self._waiting.append(message)
            self._changed.notify_all()

    def _next(self) -> _Message | None:
        with self._changed:
            while not self._waiting:
                self._changed.wait()
            message = self._waiting.popleft()
            if isinstance(message, Frame):
                self._waiting_bytes -= message.picture.nbytes
                self._changed.notify_all()
            return message

    def _work(self) -> None:
        while (message := self._next()) is not None:
            if isinstance(message, _Begin):
                self._begin(message)
            elif isinstance(message, _Stop):
                self._stop_s = message.at_s
            elif isinstance(message, _Break):
                self._finish()
                self._ring.clear()
            else:
                self._code(message)
        self._finish()
        if self._encoder is not None:
            self._encoder.close()

    def _begin(self, message: _Begin) -> None:
        if self._wanted and self._name == message.name:
            self._stop_s = None
            return
        self._finish()
        if self._name != message.name:
            self._name, self._part = message.name, 0
        self._wanted, self._stop_s = True, None
        before = self._ring.since(message.from_s)
        if before:
            self._open(before)

    def _code(self, frame: Frame) -> None:
        """Code a frame, keep it, and write it if there is a clip."""
        size = (frame.picture.shape[1], frame.picture.shape[0])
        step_s = frame.time_s - self._last_s
        broken = not 0 <= step_s <= _LONGEST_GAP_S or frame.epoch != self._epoch
        if self._encoder is None or broken or size != self._picture_size:
            self._start_anew(frame, size)
        elif step_s < _LEAST_STEP_S:
            return
        self._last_s = frame.time_s
        if self._encoder is None:
            return
        for picture in self._encoder.encode(frame.picture, frame.time_s):
            self._ring.add(picture)
            if self._wanted:
                self._write(picture)

    def _start_anew(self, frame: Frame, size: tuple[int, int]) -> None:
        """The picture broke off or changed its size: what follows is another film."""
        self._close_clip()
        self._ring.clear()
        if self._encoder is not None:
            self._encoder.close()
            self._encoder = None
        self._picture_size, self._epoch = size, frame.epoch
        try:
            self._encoder = ClipEncoder(*coded_size(*size, most_lines=self._settings.most_lines))
        except OSError as error:
            self._fail(f"the encoder does not start for {size[0]}x{size[1]} pictures: {error}")

    def _write(self, picture: CodedPicture) -> None:
        if self._stop_s is not None and picture.time_s > self._stop_s:
            self._finish()
            return
        if self._clip is None or (picture.key and self._clip.seconds >= self._settings.longest_s):
            if picture.key:
                self._close_clip()
                self._open([picture])
            return
        if picture.key and self._clip.seconds - self._room_s >= _ROOM_EVERY_S:
            self._room_s = self._clip.seconds
            self._films.make_room()
        try:
            self._clip.add(picture)
        except OSError as error:
            self._fail(error.strerror or str(error))
            self._finish(failed=True)

    def _open(self, pictures: list[CodedPicture]) -> None:
        """Begin the next file of the clip, with these pictures."""
        if self._encoder is None:
            return
        self._part += 1
        suffix = "" if self._part == 1 else f"-{self._part}"
        path = self._settings.folder / f"{self._name}{suffix}.mp4"
        self._room_s = 0.0
        self._films.begin(path.name)
        try:
            _check_room(self._settings.folder)
            self._clip = ClipFile(path, self._encoder.template)
            self.written += 1
            for picture in pictures:
                self._clip.add(picture)
        except OSError as error:
            self._films.end(path.name)
            self._fail(error.strerror or str(error))
            self._finish(failed=True)

    def _finish(self, *, failed: bool = False) -> None:
        """The clip is over."""
        self._close_clip(failed=failed)
        self._wanted, self._stop_s = False, None

    def _close_clip(self, *, failed: bool = False) -> None:
        """Complete the file; that it cannot be is no news when it has `failed` already."""
        clip, self._clip = self._clip, None
        if clip is None:
            return
        try:
            clip.close()
        except OSError as error:
            if not failed:
                self._fail(error.strerror or str(error))
        self._films.end(clip.path.name)

    def _fail(self, reason: str) -> None:
        self.failed += 1
        logger.warning("clip %s in %s: %s", self._name, self._settings.folder, reason)


def _check_room(folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if free < LEAST_FREE_BYTES:
        raise OSError(None, f"only {free / 1e6:.0f} MB are left on that disk")
