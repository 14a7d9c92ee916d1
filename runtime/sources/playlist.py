"""Videos that play one after the other as one stream, and from the beginning again if asked to."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from models.errors import SourceError
from runtime.closing import ClosesOnExit
from runtime.records import Frame, SourceCounts, SourceEvent
from runtime.sampling import FrameInterval
from runtime.sources.base import FrameSource, Wanted, only_frames
from runtime.sources.options import SourceOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One of the videos.

    Attributes:
        name: What it is called in results.
        open: Opens it; raises `SourceError`.
    """

    name: str
    open: Callable[[], FrameSource]


class Playlist(ClosesOnExit):
    """One stream of several videos; each is opened when the one before it has ended.

    Time runs on: a video begins one frame interval after the last frame of the one before. Each
    is an epoch of its own, told by an event "file" before its first frame, and its frames carry
    its name. A video that cannot be read is told of by an event "left_out"; the others play.

    From the beginning again (`SourceOptions.loop`), every round is told by an event "loop".

    Args:
        entries: At least one.
        title: What they are together, for people.
        options: `loop` and `stopping` are looked at.
        named: Their names are told; not where the source is one video.

    Raises:
        SourceError: None of them can be opened.
    """

    live = False
    duration_s: float | None = None

    def __init__(
        self,
        entries: Sequence[Entry],
        *,
        title: str,
        options: SourceOptions,
        named: bool = True,
    ) -> None:
        self._named = named
        self._entries = entries
        self._title = title
        self._options = options
        self._next = 0
        self._round = 1
        self._played = self._begun = False
        self._failures: dict[str, SourceError] = {}
        self._untold: deque[SourceEvent] = deque()
        self._finished = self._closed = self._interrupted = False
        self._place = _Place()
        self._name: str | None = None
        # Together, so that `counts` never sees one without the other.
        self._now: tuple[SourceCounts, FrameSource | None] = (SourceCounts(), None)
        first = self._open_next()
        self.fps = None if first is None else first.fps
        self.description = self._described(first)

    @property
    def counts(self) -> SourceCounts:
        """What became of the frames of all of them."""
        before, playing = self._now
        return before if playing is None else _sum(before, playing.counts)

    def __iter__(self) -> Iterator[Frame]:
        """All frames."""
        return only_frames(self.frames())

    def frames(self, wanted: Wanted | None = None) -> Iterator[Frame | SourceEvent]:
        """Read on from the current position.

        Nobody is asked about frames of a video before the event that tells of it was handed out.

        Raises:
            SourceError: Not one of the videos can be read.
        """
        while not self._over():
            playing = self._now[1] or self._open_next()
            while self._untold and not self._over():
                yield self._untold.popleft()
            if playing is None:
                return
            yield from self._frames_of(playing, wanted)

    def interrupt(self) -> None:
        """Let `frames` end soon."""
        self._interrupted = True
        playing = self._now[1]
        if playing is not None:
            playing.interrupt()

    def close(self) -> None:
        """Close the video that plays."""
        self._closed = True
        self._let_go()

    def _over(self) -> bool:
        return self._closed or self._interrupted

    def _frames_of(
        self, playing: FrameSource, wanted: Wanted | None
    ) -> Iterator[Frame | SourceEvent]:
        """What the video that plays gives, to its end."""
        place = self._place
        try:
            for item in playing.frames(lambda time_s: place.asked(time_s, wanted)):
                if isinstance(item, SourceEvent):
                    yield replace(item, time_s=place.time_s(item.time_s))
                else:
                    yield place.put(item, self._name)
        except SourceError as error:
            self._leave_out(self._entries[self._next - 1].name, error)
        else:
            self._played = True
        if not self._over():
            self._place = place.after(playing.counts.received)
            self._let_go()

    def _open_next(self) -> FrameSource | None:
        """Open the next video that can be opened; None when there is none, or it is time to end.

        Raises:
            SourceError: Not one could be read in the whole round.
        """
        while not (self._finished or self._over() or self._options.stopping()):
            if self._next == len(self._entries):
                self._end_round()
                continue
            entry = self._entries[self._next]
            self._next += 1
            try:
                playing = entry.open()
            except SourceError as error:
                self._leave_out(entry.name, error)
                continue
            self._adopt(playing, entry)
            return playing
        return None

    def _adopt(self, playing: FrameSource, entry: Entry) -> None:
        """Let a video play, and tell of it."""
        if self._round > 1 and not self._begun:
            self._tell("loop", f"from the beginning, round {self._round}", breaks=True)
        self._begun = True
        if self._named:
            self._name = entry.name
            text = f"{self._next} of {len(self._entries)}: {entry.name}"
            self._tell("file", text, breaks=not self._place.first)
        self._now = (self._now[0], playing)
        if self._interrupted:
            playing.interrupt()

    def _end_round(self) -> None:
        """All were tried: begin again, or finish.

        Raises:
            SourceError: Not one could be read.
        """
        if not self._played:
            raise self._nothing_to_play()
        self._finished = not self._options.loop
        if self._finished and self._failures and self._named:
            count = len(self._failures)
            self._tell("left_out", f"left out: {count} of {len(self._entries)} videos")
        self._next = 0
        self._round += 1
        self._played = self._begun = False

    def _leave_out(self, name: str, error: SourceError) -> None:
        """Tell of a video that cannot be read, once."""
        if self._named and name not in self._failures:
            self._tell("left_out", f"{name} is left out: {error.message}")
        self._failures[name] = error

    def _nothing_to_play(self) -> SourceError:
        first = next(iter(self._failures.values()))
        if len(self._entries) == 1:
            return first
        return SourceError(
            f"None of the {len(self._entries)} videos of {self._title} can be read. The first:"
            f" {first.message}",
            hint=first.hint,
        )

    def _tell(
        self, kind: Literal["file", "loop", "left_out"], text: str, *, breaks: bool = False
    ) -> None:
        self._untold.append(
            SourceEvent(
                kind=kind,
                text=text,
                time_s=self._place.start_s,
                at_s=time.time(),
                delivers=True,
                breaks=breaks,
            )
        )

    def _let_go(self) -> None:
        """Close the video that plays, and keep what became of its frames."""
        before, playing = self._now
        if playing is not None:
            playing.close()
            self._now = (_sum(before, playing.counts), None)

    def _described(self, first: FrameSource | None) -> str:
        if first is None:
            return self._title
        again = ", again and again" if self._options.loop else ""
        if not self._named:
            return f"{first.description}{again}"
        count = len(self._entries)
        videos = f"{count} video{'s' * (count != 1)}{again}"
        return f"{self._title}: {videos}; first {first.description}"


def looped(name: str, open_one: Callable[[], FrameSource], options: SourceOptions) -> FrameSource:
    """A video, or where that is asked for the same again and again.

    Args:
        name: What it is called.
        open_one: Opens it; raises `SourceError`.
        options: `loop` and `stopping` are looked at.
    """
    if not options.loop:
        return open_one()
    entry = Entry(name=name, open=open_one)
    return Playlist([entry], title=name, options=options, named=False)


class _Place:
    """Where in the stream a video lies.

    Args:
        start_s: Time of the stream at which its own time is 0.
        index: Frames of the stream before it.
        epoch: Of the stream, at its own epoch 0.

    Attributes:
        first: No frame came before it.
    """

    def __init__(self, *, start_s: float = 0.0, index: int = 0, epoch: int = 0) -> None:
        self.start_s = start_s
        self.first = index == 0
        self._index = index
        self._epoch = self._last_epoch = epoch
        self._newest_s: float | None = None
        self._interval = FrameInterval()

    def time_s(self, own_s: float) -> float:
        """The time of the stream at a time of the video."""
        return self.start_s + own_s

    def asked(self, own_s: float, wanted: Wanted | None) -> bool:
        """Take note of a frame's time, possibly in another thread; whether it is wanted."""
        if self._newest_s is None or own_s > self._newest_s:
            self._newest_s = own_s
            self._interval.push(own_s)
        return wanted is None or wanted(self.time_s(own_s))

    def put(self, frame: Frame, name: str | None) -> Frame:
        """A frame of the video as one of the stream."""
        self._last_epoch = self._epoch + frame.epoch
        return replace(
            frame,
            index=self._index + frame.index,
            time_s=self.time_s(frame.time_s),
            epoch=self._last_epoch,
            file=name,
        )

    def after(self, received: int) -> _Place:
        """The place of the next video, this one having had so many frames."""
        if self._newest_s is None:
            return self
        return _Place(
            start_s=self.time_s(self._newest_s + self._interval.seconds),
            index=self._index + received,
            epoch=self._last_epoch + 1,
        )


def _sum(one: SourceCounts, other: SourceCounts) -> SourceCounts:
    return SourceCounts(
        received=one.received + other.received,
        delivered=one.delivered + other.delivered,
        skipped=one.skipped + other.skipped,
        dropped=one.dropped + other.dropped,
        broken=one.broken + other.broken,
    )
