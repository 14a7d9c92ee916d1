"""Write a video with the current prediction drawn onto every frame."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import numpy as np
from typing_extensions import Self

from models.errors import OutputError
from runtime.records import Frame, Picture, ScoredLabel
from runtime.video_writer import CONTAINERS, VideoWriter

logger = logging.getLogger(__name__)

_LEAST_FREE_BYTES = 16 * 1024 * 1024
_FREE_CHECK_EVERY = 32
_LONGEST_FILL_S = 10.0


class AnnotatedVideo:
    """A video file that shows what the model said.

    Use it as a context manager. Frames go to `NAME.PID.part.mp4` beside the target, which takes the
    target's place when the block ends well (or by Ctrl-C, the usual end of a live recording).
    After any other exception nothing is left behind; after `kill -9` or a power cut the partial
    file is, and plays as far as it was written.

    The frame rate of the file is constant; to play in real time, the frame before a gap is
    repeated over it (for up to 10 s), and frames that come faster than the rate are left out.

    Args:
        path: Target; its extension chooses container and codec, see `CONTAINERS`.
        fps: Frame rate of the file.
        live: Whether the frames are those of a live source: a disk that fills up then ends the
            film, which stays and is whole, and not the run.

    Attributes:
        ended: Of a live source: why there is no film, or one that ends before the frames did;
            empty where all is well.

    Raises:
        OutputError: Unknown extension, or a folder that cannot be written to.
    """

    def __init__(self, path: Path, fps: float, *, live: bool = False) -> None:
        if path.suffix.lower() not in CONTAINERS:
            known = ", ".join(CONTAINERS)
            raise OutputError(
                f"{path} cannot be written: the extension {path.suffix or '(none)'!s} is not one"
                f" of {known}.",
                hint=f"--save {path.stem or 'annotated'}.mp4",
            )
        if not 0 < fps <= 1000:
            raise OutputError(f"A video needs a frame rate above 0 and up to 1000, got {fps}.")
        self._path = path
        self._fps = fps
        self._live = live
        self.ended = ""
        self._partial = path.with_name(f"{path.stem}.{os.getpid()}.part{path.suffix}")
        self._writer: VideoWriter | None = None
        self._shown: Picture | None = None
        self._origin_s = 0.0
        _check_writable(path, self._partial)

    def write(self, frame: Frame, top: Sequence[ScoredLabel]) -> None:
        """Append a frame with its label bar.

        Args:
            frame: Its picture is not modified. All frames are brought to the first one's size.
            top: Best classes first; nothing is drawn when empty.

        Raises:
            OutputError: The encoder does not start; or the disk is full, and the source no live
                one.
        """
        if self.ended:
            return
        writer = self._writer
        if writer is None:
            writer = self._writer = self._started(frame)
        copies = self._copies_due(frame.time_s, writer.count)
        if copies == 0:
            return
        picture = annotated(frame.picture, top)
        # What was shown last stays on over a gap; only then comes the new picture.
        before = picture if self._shown is None else self._shown
        try:
            for shown in (*[before] * (copies - 1), picture):
                if writer.count % _FREE_CHECK_EVERY == 0:
                    self._check_space()
                writer.write(shown)
        except OSError as error:
            if self._live and writer.count:
                self._writer = None
                self._end(writer, error)
                return
            raise self._incomplete(error) from error
        self._shown = picture

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        writer, self._writer = self._writer, None
        wanted = kind is None or (issubclass(kind, KeyboardInterrupt) and writer is not None)
        if self.ended:
            return
        try:
            if writer is not None:
                self._complete(writer, wanted=wanted)
            if wanted and not self.ended:
                self._publish(0 if writer is None else writer.count)
        finally:
            if not self.ended:
                self._partial.unlink(missing_ok=True)

    def _started(self, frame: Frame) -> VideoWriter:
        height, width = frame.picture.shape[:2]
        self._origin_s = frame.time_s
        try:
            return VideoWriter(self._partial, fps=self._fps, width=width, height=height)
        except OSError as error:
            raise OutputError(
                f"{self._path} cannot be written: the encoder does not start for"
                f" {width}x{height} pictures at {self._fps:g} fps ({error.strerror}).",
                hint="Try another container: --save annotated.avi",
            ) from error

    def _complete(self, writer: VideoWriter, *, wanted: bool) -> None:
        try:
            writer.close()
        except OSError as error:
            if wanted and self._live:
                self._end(writer, error)
            elif wanted:
                raise self._incomplete(error) from error

    def _end(self, writer: VideoWriter, error: OSError) -> None:
        """Give the film its name now; what is written plays."""
        seconds = writer.count / self._fps
        self.ended = f"{self._path} ends after {seconds:.1f} s: {error.strerror or error}"
        with contextlib.suppress(OSError):
            writer.close()
        try:
            self._publish(writer.count)
        except OutputError as refused:
            self.ended += f"; left as {self._partial.name}: {refused.message}"
        logger.warning("%s", self.ended)

    def _incomplete(self, error: OSError) -> OutputError:
        return OutputError(
            f"{self._path} could not be written completely: {error.strerror or error}.",
            hint=f"df -h {self._path.parent}",
        )

    def _copies_due(self, time_s: float, written: int) -> int:
        """How often this frame must be written for the file to keep pace with `time_s`."""
        due = round((time_s - self._origin_s) * self._fps) + 1 - written
        longest = max(1, round(_LONGEST_FILL_S * self._fps))
        if due > longest:
            self._origin_s += (due - longest) / self._fps
            due = longest
        return max(0, due)

    def _check_space(self) -> None:
        free_bytes = shutil.disk_usage(self._partial.parent).free
        if free_bytes < _LEAST_FREE_BYTES:
            raise OSError(None, f"only {free_bytes / 1e6:.1f} MB are left on that disk")

    def _publish(self, written: int) -> None:
        """Move the partial file to its place."""
        if written == 0 and self._live:
            self.ended = f"{self._path} was not written: there was no frame"
            return
        if written == 0:
            raise OutputError(f"{self._path} was not written: there was no frame.")
        try:
            self._partial.replace(self._path)
        except OSError as error:
            raise OutputError(
                f"{self._path} cannot be written: {error.strerror or error}."
            ) from error
        logger.info("%s: %d frames written", self._path, written)


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


def interrupted(picture: Picture, text: str) -> Picture:
    """Dim copy of a picture that is not the newest any more, with a line of text on top.

    Args:
        picture: RGB uint8 [H, W, 3]; not modified.
        text: Why so; cut with dots where it is too long.

    Returns:
        RGB uint8 of the same shape.
    """
    canvas: Picture = picture // 3
    height, width = canvas.shape[:2]
    line = max(14, height // 14)
    pad = max(3, line // 4)
    if width >= 32 and height >= line + 2 * pad:
        _put_text(canvas, _fitted(text, width - 4 * pad, line), left=2 * pad, top=pad, line=line)
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
        with partial.open("wb"):
            partial.unlink()
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written: {error.strerror or error}.",
            hint=f"mkdir -p {path.parent}" if not path.parent.exists() else f"ls -ld {path.parent}",
        ) from error
