"""Stand-ins for the two boundaries of the runtime: a session and a source."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np

from runtime.closing import ClosesOnExit
from runtime.placement import all_on
from runtime.records import Frame, Picture, SourceCounts, SourceEvent
from runtime.session import Tensor
from runtime.sources import Wanted, only_frames


class FakeSession(ClosesOnExit):
    """A session that wraps a function from clips [N, T, 3, H, W] to logits [N, classes]."""

    backend = "fake"
    engine = "fake 1.0 CPU"
    placement = all_on("CPU")

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
        self,
        frames: Iterable[Frame | SourceEvent],
        *,
        live: bool = False,
        dropped: int = 0,
        fps: float = 25.0,
    ) -> None:
        self._items = list(frames)
        self.live = live
        self._dropped = dropped
        self.fps: float | None = fps
        self.duration_s: float | None = None if live else len(self._items) / fps
        self.closed = self._skipped = self._delivered = 0
        self.interrupted = False

    @property
    def counts(self) -> SourceCounts:
        return SourceCounts(
            received=self._delivered + self._skipped + self._dropped,
            delivered=self._delivered,
            skipped=self._skipped,
            dropped=self._dropped,
        )

    def __iter__(self) -> Iterator[Frame]:
        return only_frames(self.frames())

    def frames(self, wanted: Wanted | None = None) -> Iterator[Frame | SourceEvent]:
        while self._items and not (self.closed or self.interrupted):
            item = self._items.pop(0)
            if isinstance(item, SourceEvent):
                yield item
            elif wanted is None or wanted(item.time_s):
                self._delivered += 1
                yield item
            else:
                self._skipped += 1

    def interrupt(self) -> None:
        self.interrupted = True

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
