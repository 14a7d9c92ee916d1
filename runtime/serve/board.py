"""What a run shows of itself: written by the main loop, read by the watch page's threads."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from runtime.records import Frame, Prediction, ScoredLabel, SourceCounts
from runtime.serve.tally import Tally

HISTORY = 600
"""Predictions kept per stream, for the chart of a page that is opened later."""

EVENTS = 200
"""Events kept, of all streams together."""

WATCHED_S = 3.0
"""A picture is prepared for so long after somebody last asked for one."""

IDLE_S = 1.0
"""A picture so often is wanted when nobody watches."""

MOST_LABELS = 8
"""Classes kept of one prediction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """What does not change during a run.

    Attributes:
        model: Name of the model.
        engine: What computes it, e.g. "openvino 2026.4.1 CPU, fp32".
        version: Of this program.
        window_s: Length of a window.
        labels: All class names, so that the page can show more classes than `--top` asks for.
    """

    model: str
    engine: str
    version: str
    window_s: float
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamFacts:
    """What does not change of one stream.

    Attributes:
        name: Shown to people; holds no credentials.
        live: Whether its times are those of a clock, and it can stall.
    """

    name: str
    live: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One prediction as the page shows it.

    Attributes:
        number: Counts the predictions of the stream, from 1.
        at_s: Unix time at which it came.
        start_s: Start of the window in stream time.
        end_s: End of the window.
        top: Best classes first, at most `MOST_LABELS`.
        age_ms: Age of the newest frame, live streams only.
        infer_ms: Time of the engine.
        latency_ms: Preparation plus inference.
    """

    number: int
    at_s: float
    start_s: float
    end_s: float
    top: tuple[ScoredLabel, ...]
    age_ms: float | None
    infer_ms: float
    latency_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardEvent:
    """Something with a beginning, and mostly an end.

    Attributes:
        id: The same for the beginning and the end of one event; a later call replaces.
        stream: Number of the stream.
        kind: An action that the model saw, or something that befell the source.
        label: The class, or a word such as "gap".
        at_s: Unix time of the beginning.
        start_s: Beginning in stream time.
        end_s: End in stream time; None while it lasts.
        peak: Highest probability; None for what befell the source.
        text: More words; may be empty.
    """

    id: str
    stream: int
    kind: Literal["action", "source"]
    label: str
    at_s: float
    start_s: float
    end_s: float | None
    peak: float | None
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamNow:
    """Counters and state of one stream at one moment.

    Attributes:
        facts: Of the stream.
        ok: Whether its source delivers, as far as it said.
        text: What the source said of itself; may be empty.
        since_frame_s: Time since the last frame; None before the first.
        counts: What became of the pictures of its source.
        tally: Counted so far; a copy.
        known: Whether the last prediction is about what comes now: not behind a break.
        newest: The last prediction.
    """

    facts: StreamFacts
    ok: bool
    text: str
    since_frame_s: float | None
    counts: SourceCounts
    tally: Tally
    known: bool
    newest: Point | None


@dataclass(slots=True, kw_only=True)
class _Stream:
    facts: StreamFacts
    points: deque[Point] = field(default_factory=lambda: deque(maxlen=HISTORY))
    tally: Tally = field(default_factory=Tally)
    frame: Frame | None = None
    frame_number: int = 0
    frame_s: float | None = None
    watched_until_s: float = float("-inf")
    ok: bool = True
    text: str = ""
    known: bool = False


class LiveBoard:
    """The newest frame, the last predictions and events of every stream, and counters.

    Every method may be called from any thread and returns within microseconds: one lock is held
    while a few values are stored. Memory is bounded: one frame, `HISTORY` predictions per stream,
    `EVENTS` events. Frames are kept by reference and never modified.

    Args:
        facts: Of the run.
        streams: Of each stream, in the order of their numbers.
        counts: What became of the pictures of a stream so far; called in any thread.
        picture_rate: Pictures per second and stream that the page shows at most.
        clock: Monotonic seconds.
        wall_clock: Unix time.
    """

    def __init__(
        self,
        facts: RunFacts,
        streams: Sequence[StreamFacts],
        *,
        counts: Callable[[int], SourceCounts],
        picture_rate: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self.facts = facts
        self.stream_count = len(streams)
        self.picture_rate = picture_rate
        self.started_at_s = wall_clock()
        self._streams = [_Stream(facts=one) for one in streams]
        self._events: OrderedDict[str, tuple[int, BoardEvent]] = OrderedDict()
        self._event_number = 0
        self._counted_events: dict[tuple[int, str, str], int] = {}
        self._counts = counts
        self._clock = clock
        self._wall_clock = wall_clock
        self._lock = threading.Lock()
        self._begun_s = clock()
        self._closed = threading.Event()
        self._level: int | None = None
        self._level_text = ""

    # Written by the run.

    def frame(self, frame: Frame, stream: int = 0) -> None:
        """Show this frame from now on."""
        now_s = self._clock()
        with self._lock:
            one = self._streams[stream]
            one.frame = frame
            one.frame_number += 1
            one.frame_s = now_s

    def wants_frame(self, stream: int = 0) -> bool:
        """Whether it is time for another picture.

        While somebody watches, that is `picture_rate` times a second; else every `IDLE_S`, to
        know that the source delivers.
        """
        now_s = self._clock()
        with self._lock:
            one = self._streams[stream]
            wait_s = 1.0 / self.picture_rate if now_s <= one.watched_until_s else IDLE_S
            return one.frame_s is None or now_s - one.frame_s >= wait_s

    def prediction(self, prediction: Prediction) -> None:
        """Show and count a prediction, to the stream that it names."""
        at_s = self._wall_clock()
        latency = prediction.latency
        top = _top(prediction, self.facts.labels)
        with self._lock:
            one = self._streams[prediction.stream]
            one.known = True
            one.tally.add(prediction)
            if self._level is None:
                self._level = prediction.level
            one.points.append(
                Point(
                    number=one.tally.predictions,
                    at_s=at_s,
                    start_s=prediction.start_s,
                    end_s=prediction.end_s,
                    top=top,
                    age_ms=prediction.frame_age_ms,
                    infer_ms=latency.infer_ms,
                    latency_ms=latency.preprocess_ms + latency.infer_ms,
                )
            )

    def event(self, event: BoardEvent) -> None:
        """Show an event; one with the same id is replaced, and counted once."""
        with self._lock:
            self._event_number += 1
            if self._events.pop(event.id, None) is None:
                key = (event.stream, event.kind, event.label)
                self._counted_events[key] = self._counted_events.get(key, 0) + 1
            self._events[event.id] = (self._event_number, event)
            while len(self._events) > EVENTS:
                self._events.popitem(last=False)

    def source_state(self, stream: int, *, ok: bool, text: str = "") -> None:
        """Say how a source is, e.g. that it is being opened again."""
        with self._lock:
            self._streams[stream].ok = ok
            self._streams[stream].text = text

    def degraded(self, level: int, text: str) -> None:
        """Say how many steps below what was asked for the run is, and why."""
        with self._lock:
            self._level, self._level_text = level, text

    def interrupted(self, stream: int) -> None:
        """The last result is none of the pictures that come from now on."""
        with self._lock:
            self._streams[stream].known = False

    def close(self) -> None:
        """The run is over. Calling it twice is fine."""
        self._closed.set()

    # Read by the page.

    @property
    def closed(self) -> bool:
        """Whether the run is over."""
        return self._closed.is_set()

    @property
    def uptime_s(self) -> float:
        """Time since the board was made."""
        return self._clock() - self._begun_s

    def watch(self, stream: int) -> tuple[int, Frame | None, tuple[ScoredLabel, ...]]:
        """The newest frame with its number (0: none yet) and the newest result.

        Whoever calls this is a viewer: frames are wanted for the next `WATCHED_S` seconds.
        """
        now_s = self._clock()
        with self._lock:
            one = self._streams[stream]
            one.watched_until_s = now_s + WATCHED_S
            top = one.points[-1].top if one.known else ()
            return one.frame_number, one.frame, top

    def points_after(self, stream: int, number: int) -> list[Point]:
        """Predictions later than the given one, oldest first; at most `HISTORY`."""
        with self._lock:
            points = self._streams[stream].points
            missing = max(0, points[-1].number - number) if points else 0
            return list(points)[-missing:] if missing else []

    def events_after(self, number: int) -> tuple[int, list[BoardEvent]]:
        """Events that came or changed later than that number, and the number to ask with next."""
        with self._lock:
            found = [event for when, event in self._events.values() if when > number]
            return self._event_number, found

    def now(self, stream: int) -> StreamNow:
        """State and counters of one stream."""
        now_s = self._clock()
        counts = self._counts(stream)
        with self._lock:
            one = self._streams[stream]
            return StreamNow(
                facts=one.facts,
                ok=one.ok,
                text=one.text,
                since_frame_s=None if one.frame_s is None else now_s - one.frame_s,
                counts=counts,
                tally=one.tally.copied(),
                known=one.known,
                newest=one.points[-1] if one.points else None,
            )

    def level(self) -> tuple[int | None, str]:
        """Steps below what was asked for, None where there is no limit; and the last one in words.

        Until the first step it is that of the last result.
        """
        with self._lock:
            return self._level, self._level_text

    def event_counts(self) -> dict[tuple[int, str, str], int]:
        """Events begun so far by stream, kind and label."""
        with self._lock:
            return dict(self._counted_events)


def _top(prediction: Prediction, labels: tuple[str, ...]) -> tuple[ScoredLabel, ...]:
    """The best classes: of all where they are known, else of those that are reported."""
    known = prediction.probabilities
    if known is None or len(known) != len(labels):
        return tuple(prediction.top[:MOST_LABELS])
    best = np.argsort(-known, kind="stable")[:MOST_LABELS]
    return tuple(ScoredLabel(label=labels[at], probability=float(known[at])) for at in best)
