"""What an output is, and how it is told of events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from runtime.degrade.news import DegradeNews
from runtime.events import EventChange
from runtime.outputs.run_end import RunEnd
from runtime.records import Frame, Prediction, SourceEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class EventNews:
    """The beginning or the end of an event, and what only the run knows of it.

    Attributes:
        change: What happened.
        began_at_s: Wall clock at the event's start, seconds since 1970; None where the source is
            no live one.
        clip: File name of its recording; None when there is none.
    """

    change: EventChange
    began_at_s: float | None = None
    clip: str | None = None


class Output(Protocol):
    """Takes what a run finds, in the thread that runs the model.

    No call but `close` waits for a network or another process. A local disk may be waited for.
    """

    def prediction(self, prediction: Prediction) -> None:
        """Take a result, smoothed if that was asked for, with `--top` classes and more.

        Raises:
            OutputError: It cannot be written, and the output is one that must be complete.
        """

    def event(self, news: EventNews) -> None:
        """Take the beginning or the end of an event.

        Raises:
            OutputError: As above.
        """

    def source_event(self, event: SourceEvent, stream: int) -> None:
        """Take what befell a source.

        Raises:
            OutputError: As above.
        """

    def degraded(self, news: DegradeNews) -> None:
        """Take a step of the ladder, up or down.

        Raises:
            OutputError: As above.
        """

    def ended(self, end: RunEnd) -> None:
        """Take how the run ended; nothing but `close` comes after it.

        Raises:
            OutputError: As above.
        """

    def close(self, *, grace_s: float) -> None:
        """Put away what is held; idempotent.

        Args:
            grace_s: How long to wait for others at most.
        """

    def notes(self) -> tuple[str, ...]:
        """What is to be said at the end of the run: things lost, things that wait."""


class FrameOutput(Output, Protocol):
    """An output that takes pictures as well."""

    def wants_frame(self, stream: int) -> bool:
        """Whether the next frame of a stream is wanted; called in the thread that reads it."""

    def frame(self, frame: Frame, stream: int) -> None:
        """Take a frame, be it wanted or not; its picture must not change afterwards."""

    def source_ended(self, stream: int) -> None:
        """Nothing comes of a source any more; others may go on."""
