"""What one stream of `edgecls run` is asked to be."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from edge_cli.event_request import EventRequest, OutputRequest
from models.errors import UsageError

if TYPE_CHECKING:
    from edge_cli.streams_file import StreamPlace
    from runtime.sources import SourceOptions


class Gap(str, Enum):
    """What becomes of the frames before a gap."""

    RESET = "reset"
    HOLD = "hold"


USUAL_TOP_K = {"text": 2}
"""Classes per result where nothing was asked for, by format; `_OTHER_TOP_K` for the others."""

_OTHER_TOP_K = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamRequest:
    """A stream, as asked for by options or by a file of streams.

    Attributes:
        source: As the user wrote it.
        source_options: How it is opened and read.
        name: Shown instead of the source; None for the source.
        window_s: None for the length the model was trained on.
        stride_s: None for the interval of the frames of a clip, or of `windowed` a tenth of the
            window.
        gap: None for `reset`.
        gap_after_s: Seconds without a frame that count as a gap; None for the usual.
        top_k: Classes per result; None for the usual of each format.
        threshold: Least probability reported.
        events: Smoothing and events.
        outputs: Where results and events go besides stdout.
        place: Where it is asked for; None for the command line.

    Raises:
        UsageError: A number is out of range.
    """

    source: str
    source_options: SourceOptions
    name: str | None = None
    window_s: float | None = None
    stride_s: float | None = None
    gap: Gap | None = None
    gap_after_s: float | None = None
    top_k: int | None = None
    threshold: float = 0.0
    events: EventRequest = field(default_factory=EventRequest)
    outputs: OutputRequest = field(default_factory=OutputRequest)
    place: StreamPlace | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not 0 <= self.threshold <= 1:
            raise UsageError(f"--threshold must be from 0 to 1, got {self.threshold}.")
        for name, value_s in self.times():
            if value_s is not None and not (math.isfinite(value_s) and value_s > 0):
                raise UsageError(f"--{name} must be more than 0 seconds, got {value_s}.")

    def times(self) -> tuple[tuple[str, float | None], ...]:
        """The times about windows, by option."""
        return (
            ("window", self.window_s),
            ("stride", self.stride_s),
            ("gap-after", self.gap_after_s),
        )

    @property
    def with_events(self) -> bool:
        """Whether events are asked for."""
        return self.events.given or self.outputs.of_events

    @property
    def shown_name(self) -> str:
        """For people and results: the name, or the source without its password."""
        from runtime.sources.address import masked

        return masked(self.source) if self.name is None else self.name

    def top_k_of(self, kind: str) -> int:
        """Classes per result of a format."""
        return self.top_k or USUAL_TOP_K.get(kind, _OTHER_TOP_K)

    def check_classes(self, labels: Sequence[str]) -> None:
        """Refuse classes that the model has not.

        Args:
            labels: Of the model.

        Raises:
            UsageError: One is none of them, or its rules make no sense.
        """
        if self.place is not None:
            self._check_names(self.place, labels)
        try:
            self.events.rules(labels)
        except UsageError as error:
            raise self.mistaken(error) from error

    def mistaken(self, error: UsageError) -> UsageError:
        """An error in what is asked for, with its place."""
        return error if self.place is None else self.place.error(error)

    def _check_names(self, place: StreamPlace, labels: Sequence[str]) -> None:
        """Check each name by itself, as its line is known."""
        from runtime.events.rules import check_labels

        events = self.events
        for name, words in (
            ("on", events.on),
            ("off", events.off),
            ("min-duration", events.least),
            ("cooldown", events.cooldown),
        ):
            for word in words:
                label, equals, _ = word.rpartition("=")
                if equals:
                    check_labels(place.of(name, label), [label], labels)
        for label in events.until:
            check_labels(place.of("until"), [label], labels)
