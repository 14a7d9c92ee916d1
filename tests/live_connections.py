"""Connections for tests of live sources: the test says when a picture comes, or what befalls."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

import numpy as np

from runtime.records import Frame, SourceEvent
from runtime.sources.connection import Connection, Grabbed, Unwanted
from runtime.sources.live import LiveSource
from runtime.sources.options import SourceOptions
from runtime.sources.story import Surroundings

WAIT_S = 5.0
"""Upper bound of waits that end as soon as the other thread did its part."""


class StepClock:
    """A clock that the test moves, and that moves on by itself where somebody waits."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s

    def pause(self, seconds: float) -> None:
        self.now_s += seconds

    def surroundings(self) -> Surroundings:
        """Everything with this clock; nothing is left to chance."""
        return Surroundings(
            clock=self, now_s=lambda: 1e9 + self.now_s, pause=self.pause, chance=lambda: 0.0
        )


Step = Callable[[], Grabbed | None]


class FakeConnection:
    """A camera that does as the test says, one thing at a time, and waits in between."""

    description = "camera7 (6x4, 10 fps)"
    fps: float | None = 10.0

    def __init__(self, clock: StepClock) -> None:
        self._clock = clock
        self._steps: queue.Queue[Step] = queue.Queue()
        self.idle = threading.Event()
        self.closed = threading.Event()
        self.converted = 0
        self.count = 0

    def do(self, step: Step) -> None:
        """Let `grab` do something, and wait until it waits again."""
        self.idle.clear()
        self._steps.put(step)
        assert self.idle.wait(WAIT_S)

    def feed(self, count: int, *, media_s: float | None = None, broken: int = 0) -> None:
        """Deliver pictures, 0.1 s apart."""
        for _ in range(count):
            self.do(lambda: self._picture(0.1, media_s=media_s, broken=broken))

    def after(self, seconds: float) -> None:
        """Deliver one picture after a pause."""
        self.do(lambda: self._picture(seconds))

    def sized(self, height: int, width: int) -> None:
        """Deliver one picture of another size."""
        self.do(lambda: self._picture(0.1, shape=(height, width, 3)))

    def fails(self, error: Exception) -> None:
        """Let `grab` raise; it is not called again."""

        def step() -> Grabbed:
            raise error

        self._steps.put(step)

    def ends(self) -> None:
        """Let the video be over."""
        self._steps.put(lambda: None)

    def grab(self) -> Grabbed | None:
        self.idle.set()
        return self._steps.get(timeout=WAIT_S)()

    def close(self) -> None:
        self.closed.set()

    def _picture(
        self,
        seconds: float,
        *,
        shape: tuple[int, int, int] = (4, 6, 3),
        media_s: float | None = None,
        broken: int = 0,
    ) -> Grabbed:
        self._clock.now_s += seconds
        self.count += 1
        number = self.count

        def converted() -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
            self.converted += 1
            return np.full(shape, number, np.uint8)

        return Grabbed(picture=converted, media_s=media_s, broken=broken)


Attempt = FakeConnection | Exception


class FakeDevice:
    """What is opened again and again: each time the next of some connections or errors."""

    def __init__(self, *attempts: Attempt) -> None:
        self._attempts = list(attempts)
        self.opened = 0
        self.changed = threading.Condition()

    def connect(self, unwanted: Unwanted) -> Connection:
        with self.changed:
            attempt = self._attempts[min(self.opened, len(self._attempts) - 1)]
            self.opened += 1
            self.changed.notify_all()
        if isinstance(attempt, Exception):
            raise attempt
        return attempt

    def until_opened(self, times: int) -> None:
        """Wait until it was tried so often."""
        with self.changed:
            assert self.changed.wait_for(lambda: self.opened >= times, WAIT_S)


def live_source(
    device: FakeDevice, clock: StepClock, options: SourceOptions | None = None
) -> LiveSource:
    """A live source over a device of a test."""
    return LiveSource(
        device.connect,
        name="camera7",
        options=options or SourceOptions(),
        around=clock.surroundings(),
    )


def next_of(source: LiveSource, count: int) -> list[Frame | SourceEvent]:
    """What comes next, so many."""
    items = source.frames()
    return [next(items) for _ in range(count)]


def told(items: list[Frame | SourceEvent]) -> list[object]:
    """Indices of the frames and kinds of the events, in order."""
    return [one.index if isinstance(one, Frame) else one.kind for one in items]
