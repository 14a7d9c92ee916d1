"""The last seconds of a stream as coded pictures, in bounded memory."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class CodedPicture:
    """A picture as the encoder put it out.

    Attributes:
        time_s: Its time in the stream.
        key: Whether decoding can begin with it.
        data: As the container takes it.
    """

    time_s: float
    key: bool
    data: bytes


class ClipRing:
    """Coded pictures of at least the last `span_s` seconds, beginning with a key picture.

    Whole groups, from one key picture to the next, are forgotten: as soon as the next group alone
    covers the span, or when all are larger than `limit_bytes`. The newest group always stays.

    Args:
        span_s: How far back clips may reach.
        limit_bytes: Size of all pictures at most, unless a single group is larger.
    """

    def __init__(self, span_s: float, *, limit_bytes: int) -> None:
        self._span_s = span_s
        self._limit_bytes = limit_bytes
        self._groups: deque[list[CodedPicture]] = deque()
        self._sizes: deque[int] = deque()
        self.bytes = 0

    def add(self, picture: CodedPicture) -> None:
        """Append a picture, no earlier than the one before; nothing before the first key."""
        if picture.key:
            self._groups.append([])
            self._sizes.append(0)
        elif not self._groups:
            return
        self._groups[-1].append(picture)
        self._sizes[-1] += len(picture.data)
        self.bytes += len(picture.data)
        while len(self._groups) > 1 and (
            self._groups[1][0].time_s <= picture.time_s - self._span_s
            or self.bytes > self._limit_bytes
        ):
            self._groups.popleft()
            self.bytes -= self._sizes.popleft()

    def since(self, time_s: float) -> list[CodedPicture]:
        """Pictures from the last key picture at or before a time; all when that is too long ago."""
        first = 0
        for number, group in enumerate(self._groups):
            if group[0].time_s <= time_s:
                first = number
        return [one for group in list(self._groups)[first:] for one in group]

    def clear(self) -> None:
        """Forget all."""
        self._groups.clear()
        self._sizes.clear()
        self.bytes = 0
