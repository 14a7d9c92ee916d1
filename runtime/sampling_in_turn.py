"""A sampler of its own for every video of a stream. Pure: no clock, no threads, no decoder."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from runtime.records import Clip, Frame

if TYPE_CHECKING:
    from runtime.feed import Sampler


class SamplersInTurn:
    """Cuts each of the videos that follow each other in a stream as if it were alone.

    Windows begin with the first frame of each video, and one that is shorter than a window still
    gives its one clip. The numbers of the windows run on from video to video.

    As with the samplers themselves, the half that asks and the half that takes may live in two
    threads: `expect` tells the one, `begin` the other that the next video has come.

    Args:
        fresh: Makes the sampler of a video.
    """

    def __init__(self, fresh: Callable[[], Sampler]) -> None:
        self._fresh = fresh
        self._take_every = 1
        self._asked = self._taking = fresh()
        self._coming: deque[Sampler] = deque()
        self._past_gaps = 0
        self._first = self._next = 0
        self._past_resets = self._resets = 0

    @property
    def take_every(self) -> int:
        """Of the windows of a video, only those whose number in it is a multiple are given out."""
        return self._take_every

    @take_every.setter
    def take_every(self, every: int) -> None:
        self._take_every = every
        for sampler in (self._taking, *self._coming):
            sampler.take_every = every

    @property
    def gaps(self) -> int:
        """Gaps so far, within the videos."""
        return self._past_gaps + self._taking.gaps

    def expect(self) -> None:
        """The frames that `wanted` is asked about from here on are those of the next video."""
        self._asked = self._fresh()
        self._asked.take_every = self._take_every
        self._coming.append(self._asked)

    def begin(self) -> tuple[Clip, ...]:
        """The frames that come from here on are those of the next video.

        Returns:
            The clips that are left of the one before.
        """
        clips = self.finish()
        self._past_gaps += self._taking.gaps
        self._first, self._past_resets = self._next, self._resets
        self._taking = self._coming.popleft()
        return clips

    def wanted(self, time_s: float) -> bool:
        """Whether a frame is needed; asked once for each, in order."""
        return self._asked.wanted(time_s)

    def due(self, time_s: float) -> bool:
        """Whether `push` has a use for a frame that came, of the video that is asked about."""
        return self._asked.due(time_s)

    def push(self, frame: Frame) -> tuple[Clip, ...]:
        """Take a frame; the clips that it completes."""
        return self._numbered(self._taking.push(frame))

    def finish(self) -> tuple[Clip, ...]:
        """The clips that are left at the end."""
        return self._numbered(self._taking.finish())

    def _numbered(self, clips: tuple[Clip, ...]) -> tuple[Clip, ...]:
        """The clips of a video with their numbers in the stream."""
        found = tuple(
            replace(clip, index=self._first + clip.index, resets=self._past_resets + clip.resets)
            for clip in clips
        )
        for clip in found:
            self._next, self._resets = clip.index + 1, clip.resets
        return found
