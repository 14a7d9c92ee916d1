"""Video files, decoded by the FFmpeg inside OpenCV."""

from __future__ import annotations

import codecs
import logging
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from models.errors import SourceError, SourceNotFound
from runtime.closing import ClosesOnExit
from runtime.records import Frame, Picture
from runtime.sources.base import FrameSource, SourceKind, Wanted
from runtime.timestamps import TimestampRepair, plausible_fps

logger = logging.getLogger(__name__)

_SILENT = 0
_SNIFFED_BYTES = 4096
_TEXT_CONTROLS = frozenset(b"\t\n\r\f\x1b")
_PLAYABLE = "Give a video file that a player can open, such as MP4, AVI, MKV or WebM."


def quiet_opencv() -> None:
    """Keep OpenCV's and FFmpeg's own chatter off stderr; called before the first capture.

    A level the user set in the environment is respected.
    """
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    import cv2

    if "OPENCV_LOG_LEVEL" not in os.environ:
        # OpenCV 4.8 has only the first, 5.0 only the second.
        set_level = getattr(cv2, "setLogLevel", None) or cv2.utils.logging.setLogLevel
        set_level(_SILENT)


def rgb_from_bgr(picture: Picture) -> Picture:
    """Copy of an OpenCV picture, uint8 [H, W, 3], with the channels in RGB order."""
    import cv2

    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), dtype=np.uint8)


class FileSource(ClosesOnExit):
    """A video file; rotation metadata is applied, and no frame is left out.

    Each frame carries the presentation time that the container gives it, mended by
    `TimestampRepair`. A decoder that stops early ends the video, with a warning.

    Args:
        capture: An opened `cv2.VideoCapture`.
        path: Where it came from, for messages.
    """

    live = False
    dropped = 0
    skipped = 0

    def __init__(self, capture: Any, path: Path) -> None:
        import cv2

        self._capture = capture
        self._path = path
        self._index = 0
        self.fps = plausible_fps(capture.get(cv2.CAP_PROP_FPS))
        self._expected = max(0, int(capture.get(cv2.CAP_PROP_FRAME_COUNT)))
        self._repair = TimestampRepair(self.fps)
        width = int(capture.get(cv2.CAP_PROP_FRAME_WIDTH))
        height = int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
        rate = f", {self.fps:g} fps" if self.fps else ""
        self.description = f"{path.name} ({width}x{height}{rate})"

    @property
    def duration_s(self) -> float | None:
        """Frame count over frame rate, both as the container states them."""
        if self.fps is None or self._expected == 0:
            return None
        return self._expected / self.fps

    def __iter__(self) -> Iterator[Frame]:
        """Decode on from the current position, all frames."""
        return self.frames()

    def frames(self, wanted: Wanted | None = None) -> Iterator[Frame]:
        """Decode on from the current position.

        Raises:
            SourceError: The file opens as a video, but not one frame can be decoded.
        """
        while self._capture is not None:
            frame = self._decoded(wanted)
            if frame is None:
                self._check_end()
                self.close()
                return
            yield frame

    def close(self) -> None:
        """Close the file."""
        if self._capture is not None:
            self._capture.release()
            self._capture = None

    def _decoded(self, wanted: Wanted | None) -> Frame | None:
        import cv2

        started_s = time.perf_counter()
        while True:
            if not self._capture.grab():
                return None
            # Right after `grab` this is the time of the grabbed frame, 0 when it has none.
            container_s = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000.0
            index, self._index = self._index, self._index + 1
            time_s = self._repair.repair(index, container_s)
            if wanted is None or wanted(time_s):
                break
            self.skipped += 1
        decoded, bgr = self._capture.retrieve()
        if not decoded or bgr is None:
            self._index = index
            return None
        picture = rgb_from_bgr(bgr)
        decode_ms = (time.perf_counter() - started_s) * 1000.0
        return Frame(
            picture=picture,
            index=index,
            time_s=time_s,
            arrived_s=time.monotonic(),
            decode_ms=decode_ms,
        )

    def _check_end(self) -> None:
        if self._index == 0:
            raise SourceError(
                f"{self._path} opens as a video, but not one frame can be decoded:"
                " the file is damaged or cut off.",
                hint=_PLAYABLE,
            )
        # Frame counts of some containers are estimates: a few frames missing are no damage.
        if self._index + max(2, self._expected // 50) < self._expected:
            logger.warning(
                "%s: decoding stopped after %d of %d frames; the file seems damaged or cut off.",
                self._path,
                self._index,
                self._expected,
            )


def open_file(uri: str) -> FrameSource:
    """Open a video file.

    Args:
        uri: Its path.

    Raises:
        SourceNotFound: There is no such file.
        SourceError: It is a folder, empty, not readable, a text file or no video, or its name is
            not UTF-8.
    """
    path = Path(uri).expanduser()
    _check_name(path)
    _check_readable(path)
    quiet_opencv()
    import cv2

    backends = cv2.videoio_registry.getBackends()
    api = cv2.CAP_FFMPEG if cv2.CAP_FFMPEG in backends else cv2.CAP_ANY
    # Absolute, so that a name such as "a:b.mp4" is not mistaken for a protocol.
    capture = cv2.VideoCapture(str(path.absolute()), api)
    if not capture.isOpened():
        capture.release()
        raise SourceError(f"{path} is not a video that OpenCV can read.", hint=_PLAYABLE)
    return FileSource(capture, path)


def _check_name(path: Path) -> None:
    """OpenCV crashes on names that are not UTF-8."""
    try:
        str(path.absolute()).encode("utf-8")
    except UnicodeEncodeError as error:
        shown = str(path).encode("utf-8", "backslashreplace").decode("utf-8")
        raise SourceError(
            f"{shown} cannot be opened: its name or folder is not UTF-8.", hint="Rename it."
        ) from error


def _check_readable(path: Path) -> None:
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise SourceError(f"{path} is a folder, not a video file.", hint=_PLAYABLE)
        if not stat.S_ISREG(mode):
            # A pipe cannot be sought in, and opening one waits for its writer.
            raise SourceError(f"{path} is a pipe or device, not a video file.", hint=_PLAYABLE)
        with path.open("rb") as stream:
            head = stream.read(_SNIFFED_BYTES)
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
        raise SourceError(f"{path} is empty (0 bytes).", hint=_PLAYABLE)
    if _is_text(head):
        raise SourceError(f"{path} is a text file, not a video.", hint=_PLAYABLE)


def _is_text(head: bytes) -> bool:
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


SOURCE = SourceKind(name="file", claims=lambda uri: True, open=open_file, example="clip.mp4")
