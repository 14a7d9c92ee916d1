"""Write a video with the current prediction drawn onto every frame."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from typing_extensions import Self

from models.errors import OutputError
from runtime.opencv import quiet_opencv
from runtime.records import Frame, Picture, ScoredLabel

logger = logging.getLogger(__name__)

ENCODERS: dict[str, str] = {".mp4": "mp4v", ".mkv": "mp4v", ".avi": "MJPG"}
"""Codec by file name extension; each is compiled into the OpenCV wheels."""

_LEAST_FREE_BYTES = 16 * 1024 * 1024
_FREE_CHECK_EVERY = 32
_LONGEST_FILL_S = 10.0


class AnnotatedVideo:
    """A video file that shows what the model said.

    Use it as a context manager. Frames go to a hidden temporary file beside the target, which
    takes the target's place when the block ends well (or by Ctrl-C, the usual end of a live
    recording) and the file was read back. After any other exception nothing is left behind.

    The frame rate of the file is constant; to play in real time, the frame before a gap is
    repeated over it (for up to 10 s), and frames that come faster than the rate are left out.

    Args:
        path: Target; its extension chooses container and codec, see `ENCODERS`.
        fps: Frame rate of the file.

    Raises:
        OutputError: Unknown extension, or a folder that cannot be written to.
    """

    def __init__(self, path: Path, fps: float) -> None:
        if path.suffix.lower() not in ENCODERS:
            known = ", ".join(ENCODERS)
            raise OutputError(
                f"{path} cannot be written: the extension {path.suffix or '(none)'!s} is not one"
                f" of {known}.",
                hint=f"--save {path.stem or 'annotated'}.mp4",
            )
        if not 0 < fps <= 1000:
            raise OutputError(f"A video needs a frame rate above 0 and up to 1000, got {fps}.")
        self._path = path
        self._fps = fps
        self._partial = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
        self._writer: Any = None
        self._shown: Any = None
        self._size = (0, 0)
        self._origin_s = 0.0
        self._written = 0
        _check_writable(path, self._partial)

    def write(self, frame: Frame, top: Sequence[ScoredLabel]) -> None:
        """Append a frame with its label bar.

        Args:
            frame: Its picture is not modified. All frames are brought to the first one's size.
            top: Best classes first; nothing is drawn when empty.

        Raises:
            OutputError: The encoder does not start, or the disk is full.
        """
        import cv2

        if self._writer is None:
            self._start(frame)
        copies = self._copies_due(frame.time_s)
        if copies == 0:
            return
        bgr = cv2.cvtColor(annotated(frame.picture, top), cv2.COLOR_RGB2BGR)
        if (bgr.shape[1], bgr.shape[0]) != self._size:
            bgr = cv2.resize(bgr, self._size)
        # What was shown last stays on over a gap; only then comes the new picture.
        for shown in (*[self._shown] * (copies - 1), bgr):
            self._writer.write(shown)
            if self._written % _FREE_CHECK_EVERY == 0:
                self._check_space()
            self._written += 1
        self._shown = bgr

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._writer is not None:
            self._writer.release()
            self._writer = None
        try:
            if kind is None or (issubclass(kind, KeyboardInterrupt) and self._written):
                self._publish()
        finally:
            self._partial.unlink(missing_ok=True)

    def _start(self, frame: Frame) -> None:
        quiet_opencv()
        import cv2

        height, width = frame.picture.shape[:2]
        self._size = (width, height)
        self._origin_s = frame.time_s
        codec = ENCODERS[self._path.suffix.lower()]
        self._writer = cv2.VideoWriter(
            str(self._partial.absolute()),
            cv2.CAP_FFMPEG,
            cv2.VideoWriter.fourcc(*codec),
            self._fps,
            self._size,
        )
        if not self._writer.isOpened():
            raise OutputError(
                f"{self._path} cannot be written: OpenCV's {codec} encoder does not start for"
                f" {width}x{height} pictures at {self._fps:g} fps.",
                hint="Try another container: --save annotated.avi",
            )

    def _copies_due(self, time_s: float) -> int:
        """How often this frame must be written for the file to keep pace with `time_s`."""
        due = round((time_s - self._origin_s) * self._fps) + 1 - self._written
        longest = max(1, round(_LONGEST_FILL_S * self._fps))
        if due > longest:
            self._origin_s += (due - longest) / self._fps
            due = longest
        return max(0, due)

    def _check_space(self) -> None:
        free_bytes = shutil.disk_usage(self._partial.parent).free
        if free_bytes < _LEAST_FREE_BYTES:
            raise OutputError(
                f"{self._path} cannot be written: only {free_bytes / 1e6:.1f} MB are left on"
                " that disk.",
                hint=f"df -h {self._path.parent}",
            )

    def _publish(self) -> None:
        """Read the temporary file back and move it to its place.

        The encoder reports no write error; a full disk shows in a file that does not open or
        lacks frames.
        """
        if self._written == 0:
            raise OutputError(f"{self._path} was not written: there was no frame.")
        readable = _frames_readable(self._partial)
        if readable < self._written:
            raise OutputError(
                f"{self._path} could not be written completely: {self._written} frames were"
                f" encoded, {readable} can be read back. The disk may be full.",
                hint=f"df -h {self._path.parent}",
            )
        try:
            self._partial.replace(self._path)
        except OSError as error:
            raise OutputError(
                f"{self._path} cannot be written: {error.strerror or error}."
            ) from error
        logger.info("%s: %d frames written", self._path, self._written)


def annotated(picture: Picture, top: Sequence[ScoredLabel]) -> Picture:
    """Copy of a picture with a label bar along its lower edge.

    One line per class on a darkened band: the probability as a filled bar behind the name, and
    in percent. Text is white with a black shadow, its size a fixed share of the picture's height,
    and a name that does not fit is cut with dots.

    Args:
        picture: RGB uint8 [H, W, 3]; not modified.
        top: Best classes first; as many are drawn as fit into the picture.

    Returns:
        RGB uint8 of the same shape.
    """
    canvas: Picture = np.array(picture)
    height, width = canvas.shape[:2]
    line = max(14, height // 14)
    shown = top[: max(0, (height - 4) // line)]
    if not shown or width < 32:
        return canvas
    pad = max(3, line // 4)
    band_top = max(0, height - line * len(shown) - 2 * pad)
    band = canvas[band_top:]
    np.copyto(band, band // 4)
    for row, scored in enumerate(shown):
        _draw_line(canvas, scored, top=band_top + pad + row * line, line=line)
    return canvas


def _draw_line(canvas: Picture, scored: ScoredLabel, *, top: int, line: int) -> None:
    width = canvas.shape[1]
    pad = max(3, line // 4)
    filled = round((width - 2 * pad) * min(1.0, max(0.0, scored.probability)))
    bar = canvas[top + 1 : top + line - 1, pad : pad + filled]
    np.copyto(bar, bar // 2 + np.array((10, 70, 110), dtype=np.uint8))
    percent = f"{scored.probability:.0%}"
    percent_width = _text_width(percent, line)
    _put_text(canvas, percent, left=width - 2 * pad - percent_width, top=top, line=line)
    room = width - 5 * pad - percent_width
    name = _fitted(scored.label, room, line)
    _put_text(canvas, name, left=2 * pad, top=top, line=line)


def _fitted(text: str, room: int, line: int) -> str:
    """`text`, cut with dots at the end if it is wider than `room` pixels."""
    fitted = text
    while fitted and _text_width(fitted + ("" if fitted == text else "..."), line) > room:
        fitted = fitted[:-1]
    return text if fitted == text else fitted.rstrip() + "..."


def _scale(line: int) -> float:
    """Font scale at which a capital letter takes about half the line."""
    return line / 42.0


def _thickness(line: int) -> int:
    return max(1, round(line / 20))


def _text_width(text: str, line: int) -> int:
    import cv2

    font, scale = cv2.FONT_HERSHEY_SIMPLEX, _scale(line)
    (width, _), _ = cv2.getTextSize(text, font, scale, _thickness(line))
    return int(width)


def _put_text(canvas: Picture, text: str, *, left: int, top: int, line: int) -> None:
    import cv2

    font, scale = cv2.FONT_HERSHEY_SIMPLEX, _scale(line)
    baseline, weight = top + round(line * 0.72), _thickness(line)
    for shift, grey in ((weight, 0), (0, 255)):
        at = (left + shift, baseline + shift)
        cv2.putText(canvas, text, at, font, scale, (grey, grey, grey), weight, cv2.LINE_AA)


def _check_writable(path: Path, partial: Path) -> None:
    if path.is_dir():
        raise OutputError(f"{path} is a folder; a video file was expected.")
    try:
        str(path.absolute()).encode("utf-8")
    except UnicodeEncodeError as error:  # on which OpenCV would crash
        shown = str(path).encode("utf-8", "backslashreplace").decode("utf-8")
        raise OutputError(
            f"{shown} cannot be written: its name or folder is not UTF-8.",
            hint="--save annotated.mp4",
        ) from error
    try:
        with partial.open("wb"):
            partial.unlink()
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written: {error.strerror or error}.",
            hint=f"mkdir -p {path.parent}" if not path.parent.exists() else f"ls -ld {path.parent}",
        ) from error


def _frames_readable(path: Path) -> int:
    """Number of frames in a video file; 0 when it does not open."""
    quiet_opencv()
    import cv2

    capture = cv2.VideoCapture(str(path.absolute()), cv2.CAP_FFMPEG)
    try:
        if not capture.isOpened():
            return 0
        count = 0
        while capture.grab():
            count += 1
        return count
    finally:
        capture.release()
