"""A recording, as fast as it is read: what a live source gave, to the bit."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Iterator

from models.errors import SourceError
from runtime.closing import ClosesOnExit
from runtime.elapsed import since_ms
from runtime.recording.entries import Asked, Ended, Happened
from runtime.recording.recording import Recording, StoredPicture
from runtime.records import Frame, SourceCounts, SourceEvent
from runtime.sources.base import FrameSource, SourceKind, Wanted, only_frames
from runtime.sources.options import SourceOptions
from runtime.sources.paths import user_path

logger = logging.getLogger(__name__)

PREFIX = "replay:"


class ReplaySource(ClosesOnExit):
    """Gives the frames and events of a recording, as a source that waits for its reader.

    A run that asks for the same windows as the one that recorded is given the same frames in the
    same places among the same events, and is told the same counts. Where nobody chose while it
    was recorded (`edgecls record`), frames that are not wanted are skipped.

    Args:
        recording: At its start; closed with this one.

    Attributes:
        of_live: The recorded source was live: windows and counts are those of a live one.
        unfinished: The end of the recording is no end of the source: whoever recorded had
            stopped, or was killed. What was not complete then is not to be completed.
    """

    live = False

    def __init__(self, recording: Recording) -> None:
        opening = recording.opening
        self._recording = recording
        self.of_live = opening.live
        self.unfinished = False
        self.fps = opening.fps
        self.duration_s = opening.duration_s
        self.description = f"{opening.description}, recorded"
        self._recorded = SourceCounts()
        self._skipped = self._lacking = 0
        self._asked: deque[tuple[float, bool]] = deque()
        self._interrupted = self._closed = False

    @property
    def counts(self) -> SourceCounts:
        """As they were when the last frame was handed out, but for frames skipped only now."""
        then = self._recorded
        return SourceCounts(
            received=then.received,
            delivered=then.delivered - self._skipped,
            skipped=then.skipped + self._skipped,
            dropped=then.dropped,
            broken=then.broken,
        )

    def __iter__(self) -> Iterator[Frame]:
        """All frames."""
        return only_frames(self.frames())

    def frames(self, wanted: Wanted | None = None) -> Iterator[Frame | SourceEvent]:
        """Read on.

        Args:
            wanted: Asked for every frame that arrived when it was recorded, in order.

        Raises:
            SourceError: The recording is damaged, or the recorded source failed here.
        """
        for entry in () if self._closed else self._recording.entries():
            if self._interrupted:
                return
            if isinstance(entry, Asked):
                self._ask(entry, wanted)
            elif isinstance(entry, Happened):
                yield entry.event()
            elif isinstance(entry, StoredPicture):
                self._recorded = entry.entry.counts.source_counts()
                if self._chosen(entry.entry.time_s):
                    yield self._frame(entry)
                else:
                    self._skipped += 1
            else:
                self._end(entry)
                return
        if not self._closed:
            self._end(None)

    def interrupt(self) -> None:
        """Let `frames` end soon."""
        self._interrupted = True

    def close(self) -> None:
        """Close the file."""
        self._interrupted = self._closed = True
        self._recording.close()

    def _ask(self, entry: Asked, wanted: Wanted | None) -> None:
        needed = wanted is None or wanted(entry.time_s)
        self._lacking += needed and entry.answer == "no"
        if entry.answer != "no":
            # What a run was given then it is given now: a grid takes the frame that comes, also
            # one that only somebody else wanted.
            self._asked.append((entry.time_s, needed or entry.answer == "yes"))

    def _chosen(self, time_s: float) -> bool:
        """Whether the picture of that time is given; those before it never came."""
        chosen = True
        while self._asked and self._asked[0][0] <= time_s:
            chosen = self._asked.popleft()[1]
        return chosen

    def _frame(self, stored: StoredPicture) -> Frame:
        started_s = time.perf_counter()
        picture = self._recording.picture(stored)
        return Frame(
            picture=picture,
            index=stored.entry.index,
            time_s=stored.entry.time_s,
            arrived_s=time.monotonic(),
            decode_ms=since_ms(started_s),
            epoch=stored.entry.epoch,
            file=stored.entry.file,
        )

    def _end(self, ended: Ended | None) -> None:
        self.unfinished = ended is None or ended.how in ("stopped", "cut")
        if ended is not None and ended.counts is not None:
            self._recorded = ended.counts.source_counts()
        if self._recording.damage:
            logger.warning("The recording is damaged: %s.", self._recording.damage)
        elif ended is None:
            logger.warning("The recording was never completed; it is replayed as far as it goes.")
        elif ended.how == "cut":
            logger.warning("The recording ends before its run did: %s.", ended.text)
        if self._lacking:
            logger.warning(
                "%d pictures that are wanted here were not recorded: the run that recorded had"
                " other windows. edgecls record keeps all pictures.",
                self._lacking,
            )
        if ended is not None and ended.how == "failed":
            raise SourceError(ended.text)


def repeats_live(source: FrameSource) -> bool:
    """Whether windows and counts are those of a live source: it is one, or repeats one."""
    return source.live or (isinstance(source, ReplaySource) and source.of_live)


def unfinished(source: FrameSource) -> bool:
    """Whether the end of what a source gave is no end of its windows."""
    return isinstance(source, ReplaySource) and source.unfinished


def open_replay(uri: str, options: SourceOptions) -> FrameSource:
    """Open "replay:FILE".

    Raises:
        SourceNotFound: There is no such file.
        SourceError: It is no recording.
    """
    return ReplaySource(Recording(user_path(uri.removeprefix(PREFIX))))


SOURCE = SourceKind(
    name="replay",
    claims=lambda uri: uri.startswith(PREFIX),
    open=open_replay,
    example="replay:out.mkv",
    about="a recording, repeated as it was",
)
