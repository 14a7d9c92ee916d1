"""Pictures in files of their own, shown one after the other as a video."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from models.errors import SourceError
from runtime.closing import ClosesOnExit
from runtime.elapsed import since_ms
from runtime.opencv import quiet_opencv, rgb_from_bgr
from runtime.records import Frame, Picture, SourceCounts
from runtime.sources.ahead import Decoded, ReadAhead
from runtime.sources.base import Wanted

LARGEST_BYTES = 512 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureFile:
    """A picture of a sequence.

    Attributes:
        path: Of its file.
        place: Its number in the sequence, from 0; numbers that are left out are gaps in time.
    """

    path: Path
    place: int


class PictureSequence(ClosesOnExit):
    """Pictures at a fixed rate, read ahead in a thread; those that nobody wants are not read.

    A picture that cannot be read is left out, and its time passes. One of another size begins an
    epoch.

    Args:
        files: At least one, in the order of their places.
        fps: Pictures per second.
        title: What they are together, for people.

    Raises:
        SourceError: Not one of them can be read.
    """

    live = False

    def __init__(self, files: Sequence[PictureFile], *, fps: float, title: str) -> None:
        quiet_opencv()
        self._files = files
        self.fps: float | None = fps
        self.duration_s: float | None = (files[-1].place + 1) / fps
        first = next((one for file in files if (one := _picture(file.path)) is not None), None)
        if first is None:
            raise SourceError(
                f"None of the {len(files)} pictures of {title} can be read; the first is"
                f" {files[0].path}.",
                hint="Give pictures that a viewer can open, such as PNG or JPEG.",
            )
        self._size = first.shape
        self._epoch = 0
        self._ahead = ReadAhead(self._decoded(), name=title)
        height, width = first.shape[:2]
        count = len(files)
        self.description = (
            f"{title} ({count} picture{'s' * (count != 1)}, {width}x{height}, {fps:g} fps)"
        )

    @property
    def counts(self) -> SourceCounts:
        """What became of the pictures so far."""
        return self._ahead.counts

    def __iter__(self) -> Iterator[Frame]:
        """All pictures, from the current position."""
        return self.frames()

    def frames(self, wanted: Wanted | None = None) -> Iterator[Frame]:
        """Read on from the current position.

        Args:
            wanted: Asked in the thread that reads, ahead of the frames handed out here.
        """
        return self._ahead.frames(wanted)

    def interrupt(self) -> None:
        """Let `frames` end soon."""
        self._ahead.interrupt()

    def close(self) -> None:
        """Stop reading."""
        self._ahead.close()

    def _decoded(self) -> Iterator[Decoded]:
        for index, file in enumerate(self._files):
            time_s = file.place / (self.fps or 1.0)
            converted = partial(self._converted, file.path, index, time_s)
            yield Decoded(time_s=time_s, decode_ms=0.0, converted=converted)

    def _converted(self, path: Path, index: int, time_s: float, skipped_ms: float) -> Frame | None:
        """The frame; None where there is no picture in the file."""
        started_s = time.perf_counter()
        picture = _picture(path)
        if picture is None:
            return None
        if picture.shape != self._size:
            self._size = picture.shape
            self._epoch += 1
        return Frame(
            picture=picture,
            index=index,
            time_s=time_s,
            arrived_s=time.monotonic(),
            decode_ms=since_ms(started_s),
            epoch=self._epoch,
        )


def _picture(path: Path) -> Picture | None:
    """RGB uint8 [H, W, 3], turned as its camera says; None for what is none."""
    import cv2

    try:
        if not path.is_file() or path.stat().st_size > LARGEST_BYTES:
            return None
        data = np.frombuffer(path.read_bytes(), np.uint8)
        bgr = cv2.imdecode(data, cv2.IMREAD_COLOR)
    except (OSError, ValueError, cv2.error):
        return None
    return None if bgr is None else rgb_from_bgr(np.asarray(bgr, dtype=np.uint8))
