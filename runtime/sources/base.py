"""What every video source promises, and the value that describes a kind of source."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from runtime.chosen_frames import Choose, ChosenFrames
from runtime.closing import Closeable
from runtime.records import Frame, SourceCounts, SourceEvent
from runtime.sources.options import SourceOptions

Wanted = Callable[[float], bool]
"""Whether the frame at a time (`Frame.time_s`) is wanted. It is asked once for every frame, in
order, possibly in the source's own thread, and before the time is spent that only a wanted frame
costs."""


class FrameSource(Closeable, Protocol):
    """An opened video. Iterate it once; close it, or use it as a context manager.

    Frames come with growing indices and non-decreasing times. A file never drops a frame; a
    live source keeps only some of them and counts what it dropped.
    """

    @property
    def live(self) -> bool:
        """Whether time goes on while nobody reads."""

    @property
    def description(self) -> str:
        """What is shown to people, e.g. "archery.avi (320x240, 25 fps)"."""

    @property
    def fps(self) -> float | None:
        """Nominal frame rate; None when unknown."""

    @property
    def duration_s(self) -> float | None:
        """Length in seconds as the container states it; None when unknown or live."""

    @property
    def counts(self) -> SourceCounts:
        """What became of its pictures so far; may be asked for from any thread."""

    def frames(self, wanted: Wanted | None = None) -> Iterator[Frame | SourceEvent]:
        """Read on from the current position.

        What befalls the source comes in its place among the frames.

        Frames that are not wanted are left out before they are converted to RGB. Their indices
        are used up, and the time they took is counted to the next frame's `decode_ms`.

        Args:
            wanted: Which frames are wanted; None for all.

        Raises:
            SourceError: The source cannot be read (any more).
        """

    def __iter__(self) -> Iterator[Frame]:
        """All frames of `frames()`, and nothing else."""

    def interrupt(self) -> None:
        """Let `frames` end within 0.3 s, wherever it waits; the source has to be closed as usual.

        Only sets a flag, so that it may be called from any thread and from a signal handler.
        """

    def close(self) -> None:
        """Release the file or device. Calling it twice is fine; iteration then ends."""


def only_frames(items: Iterator[Frame | SourceEvent]) -> Iterator[Frame]:
    """The frames among what a source tells."""
    return (item for item in items if isinstance(item, Frame))


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceKind:
    """A kind of video source.

    Attributes:
        name: Short name.
        claims: Whether a source as written by the user is of this kind; looks at the text, and at
            most whether a file or folder of that name is there.
        open: Opens it; raises `SourceError`.
        example: How a user writes such a source.
        about: What it is, in a few words.
        chosen: Counts its frames and prepares to decode only some, or gives None where that
            might not give what reading it through does; None for kinds that cannot.
        check: Raises what is wrong with it at a glance, without opening it; None for kinds where
            a glance shows nothing, or where time may mend it.
    """

    name: str
    claims: Callable[[str], bool]
    open: Callable[[str, SourceOptions], FrameSource]
    example: str
    about: str
    chosen: Callable[[str, Choose], ChosenFrames | None] | None = None
    check: Callable[[str], None] | None = None
