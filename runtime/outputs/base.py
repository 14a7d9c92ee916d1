"""What an output is."""

from __future__ import annotations

from typing import Protocol

from runtime.events import EventChange
from runtime.records import Prediction


class Output(Protocol):
    """Takes what a run finds, in the thread that runs the model.

    No call waits for a network or another process. A local disk may be waited for.
    """

    def prediction(self, prediction: Prediction) -> None:
        """Take a result.

        Raises:
            OutputError: It cannot be written, and the output is one that must be complete.
        """

    def event(self, change: EventChange) -> None:
        """Take the beginning or the end of an event.

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
