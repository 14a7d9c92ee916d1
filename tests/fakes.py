"""Stand-ins for the two boundaries of the runtime: a session and a source."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np

from runtime.closing import ClosesOnExit
from runtime.records import Frame, Picture
from runtime.session import Tensor
from runtime.sources import Wanted


class FakeSession(ClosesOnExit):
    """A session that wraps a function from clips [N, T, 3, H, W] to logits [N, classes]."""

    backend = "fake"
    engine = "fake 1.0 CPU"

    def __init__(self, fn: Callable[[Tensor], Tensor]) -> None:
        self._fn = fn
        self.seen: list[Tensor] = []
        self.closed = 0

    def run(self, clips: Tensor) -> Tensor:
        self.seen.append(clips.copy())
        return self._fn(clips)

    def close(self) -> None:
        self.closed += 1


class FakeSource(ClosesOnExit):
    """A source over frames that exist already."""

    description = "fake"

    def __init__(
        self, frames: Iterable[Frame], *, live: bool = False, dropped: int = 0, fps: float = 25.0
    ) -> None:
        self._frames = list(frames)
        self.live = live
        self.dropped = dropped
        self.fps: float | None = fps
        self.duration_s: float | None = None if live else len(self._frames) / fps
        self.closed = self.skipped = 0

    def __iter__(self) -> Iterator[Frame]:
        return self.frames()

    def frames(self, wanted: Wanted | None = None) -> Iterator[Frame]:
        while self._frames and not self.closed:
            frame = self._frames.pop(0)
            if wanted is None or wanted(frame.time_s):
                yield frame
            else:
                self.skipped += 1

    def close(self) -> None:
        self.closed += 1


def picture_of(value: int, *, width: int = 32, height: int = 24) -> Picture:
    """A picture of one grey value."""
    return np.full((height, width, 3), value % 256, dtype=np.uint8)


def frame_at(
    time_s: float, index: int = 0, *, picture: Picture | None = None, decode_ms: float = 0.0
) -> Frame:
    """A frame that arrived at its own media time; a 1x1 picture unless one is given."""
    return Frame(
        picture=np.zeros((1, 1, 3), np.uint8) if picture is None else picture,
        index=index,
        time_s=time_s,
        arrived_s=time_s,
        decode_ms=decode_ms,
    )


def frames_at(times_s: Iterable[float]) -> list[Frame]:
    """Tiny frames at the given times, numbered from 0."""
    return [frame_at(time_s, index) for index, time_s in enumerate(times_s)]
