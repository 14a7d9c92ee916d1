"""The built-in clip: a generated camera ride whose every second has a known answer."""

from __future__ import annotations

import time
from collections.abc import Iterator

from models.motion.demo import (
    FRAME_HEIGHT,
    FRAME_RATE,
    FRAME_WIDTH,
    demo_drawings,
    demo_schedule,
)
from runtime.closing import ClosesOnExit
from runtime.elapsed import since_ms
from runtime.records import Frame, SourceCounts
from runtime.sources.base import FrameSource, SourceKind, Wanted
from runtime.sources.options import SourceOptions
from runtime.sources.playlist import looped


class DemoSource(ClosesOnExit):
    """Frames of the built-in clip, generated while it is read, as fast as it is read."""

    live = False
    fps: float | None = FRAME_RATE
    description = f"demo (built in, {FRAME_WIDTH}x{FRAME_HEIGHT}, {FRAME_RATE:g} fps)"

    def __init__(self) -> None:
        self.duration_s: float | None = demo_schedule()[-1].end_s
        self._pictures = enumerate(demo_drawings())
        self._closed = False
        self._delivered = self._skipped = 0

    @property
    def counts(self) -> SourceCounts:
        """Every picture is delivered or skipped."""
        delivered, skipped = self._delivered, self._skipped
        return SourceCounts(received=delivered + skipped, delivered=delivered, skipped=skipped)

    def __iter__(self) -> Iterator[Frame]:
        """Generate on from the current position."""
        return self.frames()

    def frames(self, wanted: Wanted | None = None) -> Iterator[Frame]:
        """Generate on from the current position; frames that are not wanted are not drawn."""
        while not self._closed:
            started_s = time.perf_counter()
            item = next(self._pictures, None)
            if item is None:
                self.close()
                return
            index, (time_s, draw) = item
            if wanted is not None and not wanted(time_s):
                self._skipped += 1
                continue
            picture = draw()
            self._delivered += 1
            yield Frame(
                picture=picture,
                index=index,
                time_s=time_s,
                arrived_s=time.monotonic(),
                decode_ms=since_ms(started_s),
            )

    def interrupt(self) -> None:
        """End the iteration."""
        self._closed = True

    def close(self) -> None:
        """End the iteration."""
        self._closed = True


def open_demo(uri: str, options: SourceOptions) -> FrameSource:
    """Open the built-in clip; `uri` is always "demo", and `loop` is looked at."""
    return looped(uri, DemoSource, options)


SOURCE = SourceKind(
    name="demo",
    claims=lambda uri: uri == "demo",
    open=open_demo,
    example="demo",
    about="the built-in clip",
)
