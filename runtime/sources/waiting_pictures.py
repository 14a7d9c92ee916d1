"""Pictures of a live source that wait to be fetched: few, and who goes when there are too many.

Not for two threads at once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from runtime.records import Frame, SourceEvent
from runtime.sources.options import Drop

QUEUE_LENGTH = 8
"""Pictures kept. At 30 fps that is 0.27 s, longer than one inference of the small models takes,
so that nothing is dropped when only the inference makes the reader wait."""
QUEUE_BYTES = 64 << 20
"""Beyond two pictures, they take no more than this."""
QUEUE_AGE_S = 0.5
"""Beyond two pictures, none is kept that is so much older than the newest: where only a few in a
second are wanted, a queue by number alone would be seconds old."""

_MOST_EVENTS = 100
"""A reader that fetches nothing for days finds the newest of what befell."""


class WaitingPictures:
    """A queue of pictures, and of events in their places between them.

    Args:
        drop: Which picture goes when there is no room: the oldest, or the newest, which is the one
            that came. With `none` nothing goes: who puts pictures waits for room.
        length: Pictures kept at most.
    """

    def __init__(self, drop: Drop, length: int = QUEUE_LENGTH) -> None:
        self._drop = drop
        self._length = length
        self._items: deque[Frame | SourceEvent] = deque()
        self._pictures = self._bytes = 0
        self.dropped = 0

    def __bool__(self) -> bool:
        """Whether something waits."""
        return bool(self._items)

    def must_wait(self, frame: Frame) -> bool:
        """Whether it cannot be put yet, as nothing may be dropped for it."""
        return self._drop == "none" and self._full(frame)

    def put(self, frame: Frame) -> None:
        """Let a picture wait, or let one go."""
        if self._drop == "newest" and self._full(frame):
            self.dropped += 1
            return
        while self._drop == "oldest" and (self._full(frame) or self._stale(frame)):
            self._drop_oldest()
        self._items.append(frame)
        self._pictures += 1
        self._bytes += frame.picture.nbytes

    def tell(self, event: SourceEvent) -> None:
        """Let an event wait in its place."""
        self._items.append(event)
        if len(self._items) - self._pictures > _MOST_EVENTS:
            self._items.remove(next(one for one in self._items if isinstance(one, SourceEvent)))

    def take(self) -> Frame | SourceEvent:
        """The next that waits.

        Raises:
            IndexError: Nothing waits.
        """
        item = self._items.popleft()
        if isinstance(item, Frame):
            self._pictures -= 1
            self._bytes -= item.picture.nbytes
        return item

    def keep(self, wanted: Callable[[float], bool]) -> int:
        """Let pictures go that are not wanted, by their times; how many went."""
        waiting, before = list(self._items), self._pictures
        self.clear()
        for item in waiting:
            if isinstance(item, SourceEvent):
                self._items.append(item)
            elif wanted(item.time_s):
                self._items.append(item)
                self._pictures += 1
                self._bytes += item.picture.nbytes
        return before - self._pictures

    def clear(self) -> int:
        """Let everything go; how many pictures that were."""
        pictures = self._pictures
        self._items.clear()
        self._pictures = self._bytes = 0
        return pictures

    def _full(self, frame: Frame) -> bool:
        many = self._pictures >= self._length
        return many or (self._pictures >= 2 and self._bytes + frame.picture.nbytes > QUEUE_BYTES)

    def _stale(self, frame: Frame) -> bool:
        if self._pictures < 2:
            return False
        oldest = next(one for one in self._items if isinstance(one, Frame))
        return frame.arrived_s - oldest.arrived_s > QUEUE_AGE_S

    def _drop_oldest(self) -> None:
        oldest = next(one for one in self._items if isinstance(one, Frame))
        self._items.remove(oldest)
        self._pictures -= 1
        self._bytes -= oldest.picture.nbytes
        self.dropped += 1
