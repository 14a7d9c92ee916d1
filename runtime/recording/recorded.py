"""A source that is recorded while it is read."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from functools import partial

from models.errors import SourceError
from models.plain_text import plain
from models.version import edgecls_version
from runtime.closing import ClosesOnExit
from runtime.recording.entries import Answer, Asked, Counts, Ended, Entry, Happened, Opening
from runtime.recording.recorder import Recorder
from runtime.records import Frame, SourceCounts, SourceEvent
from runtime.sources.base import FrameSource, Wanted, only_frames

_END_GRACE_S = 5.0
_STOP_GRACE_S = 0.7


def opening_of(source: FrameSource, name: str) -> Opening:
    """The first entry of a recording of a source.

    Args:
        source: Open.
        name: What is shown of its address, without secrets.
    """
    return Opening(
        edgecls=edgecls_version(),
        source=plain(name),
        description=plain(source.description),
        live=source.live,
        fps=source.fps,
        duration_s=source.duration_s,
        began_at_s=time.time(),
    )


class RecordedSource(ClosesOnExit):
    """Gives what another source gives, and has all of it recorded.

    Recorded is every picture about which the reader was asked, the answer, what was handed out,
    and what befell the source.

    Args:
        source: Closed with this one.
        recorder: Likewise.
    """

    def __init__(self, source: FrameSource, recorder: Recorder) -> None:
        self._source = source
        self._recorder = recorder
        self.live = source.live
        self.description = source.description
        self.fps = source.fps
        self.duration_s = source.duration_s
        self._told = source.counts
        self._lost = 0
        self._interrupted = self._closed = False
        self._how: Ended | None = None

    @property
    def counts(self) -> SourceCounts:
        """Of the source, as they were at what it gave last: what is told is what is recorded."""
        over = self._closed or self._how is not None
        counts = self._source.counts if over else self._told
        return replace(
            counts, delivered=counts.delivered - self._lost, dropped=counts.dropped + self._lost
        )

    def __iter__(self) -> Iterator[Frame]:
        """All frames."""
        return only_frames(self.frames())

    def frames(self, wanted: Wanted | None = None) -> Generator[Frame | SourceEvent, None, None]:
        """Read on, and record.

        Args:
            wanted: Which frames are wanted; with None all are, which is recorded too.

        Raises:
            SourceError: The source cannot be read (any more).
        """

        def asked(time_s: float) -> bool:
            answer = wanted is None or wanted(time_s)
            word: Answer = "all" if wanted is None else "yes" if answer else "no"
            self._note(lambda: Asked(time_s=time_s, answer=word))
            return answer

        try:
            for item in self._source.frames(asked):
                self._told = self._source.counts
                if isinstance(item, SourceEvent):
                    self._note(partial(Happened.of, item))
                elif not self._recorder.picture(item, self._told, stopping=self._stopping):
                    self._lost = 1
                    return
                yield item
        except SourceError as error:
            self._how = Ended(how="failed", text=plain(error.message))
            raise
        if not self._stopping():
            self._how = Ended(how="ended")

    def interrupt(self) -> None:
        """Let `frames` end soon."""
        self._interrupted = True
        self._source.interrupt()

    def close(self) -> None:
        """Close the source and complete the recording; idempotent."""
        if self._closed:
            return
        self._closed = True
        self._source.close()
        how = self._how or Ended(how="stopped")
        ended = how.model_copy(update={"counts": Counts.of(self.counts)})
        stopped = how.how == "stopped"
        self._recorder.close(ended, grace_s=_STOP_GRACE_S if stopped else _END_GRACE_S)

    def _note(self, entry: Callable[[], Entry]) -> None:
        try:
            self._recorder.note(entry())
        except ValueError as error:  # a time that is none
            self._recorder.give_up(str(error))

    def _stopping(self) -> bool:
        return self._interrupted or self._closed
