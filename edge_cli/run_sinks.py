"""Everything that a run tells: results, events, films, deliveries; and when it has seen enough."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING

from typing_extensions import Self

from edge_cli.run_output import say
from edge_cli.run_outputs import RunStream, open_outputs
from models.errors import EventNotSeen

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edge_cli.render import RunHeader
    from edge_cli.run_request import RunRequest
    from runtime.degrade.news import DegradeNews
    from runtime.events import EventChange, EventWatch
    from runtime.outputs import FrameOutput, Output
    from runtime.outputs.clips import EventClips
    from runtime.outputs.run_end import RunEnd
    from runtime.records import Frame, Prediction, SourceEvent

END_GRACE_S = 10.0
"""For deliveries when the sources have ended; a run that is stopped has `STOP_GRACE_S`."""

STOP_GRACE_S = 0.3

_FILMS_GRACE_S = 0.7
"""Films are finished rather than left as partial files."""

_UNSAID = ("file", "loop")
"""What befalls a source in the usual course; too much for stderr."""

_HUNG_S = 0.6
"""An output that needs so much longer than it was given is left behind."""


class RunSinks:
    """A context manager; use `open_sinks`.

    Attributes:
        reached: An event of a class of `--until` began.
        stopped: Set by the run when the user stopped it: nothing is waited for then.
    """

    def __init__(
        self,
        outputs: Sequence[Output],
        *,
        viewers: Sequence[FrameOutput],
        watch: EventWatch | None,
        films: Mapping[int, EventClips],
        request: RunRequest,
        header: RunHeader,
        live: Sequence[bool],
    ) -> None:
        self._outputs = [*outputs, *viewers]
        self._viewers = tuple(viewers)
        # A page shows events in any case; lines about them are written if they were asked for.
        self._told_of_events = [
            self._outputs if stream.with_events else list(viewers) for stream in request.streams
        ]
        self._watch = watch
        self._films = dict(films)
        self._request = request
        self._header = header
        self._live = tuple(live)
        self._finished = False
        self.reached = False
        self.stopped = False

    def wants(self, stream: int) -> bool:
        """Whether the next frame is wanted."""
        return stream in self._films or any(one.wants_frame(stream) for one in self._viewers)

    def frame(self, frame: Frame, stream: int) -> None:
        """Take a frame; its picture must not change afterwards."""
        if stream in self._films:
            self._films[stream].frame(frame, stream)
        for viewer in self._viewers:
            viewer.frame(frame, stream)

    def take(self, prediction: Prediction) -> Prediction:
        """Tell a result, and what began and ended by it.

        Returns:
            The result as it was told: smoothed, where that was asked for.
        """
        asked = self._request.streams[prediction.stream]
        top = tuple(one for one in prediction.top if one.probability >= asked.threshold)
        prediction = replace(prediction, top=top)
        changes: tuple[EventChange, ...] = ()
        if self._watch is not None and prediction.probabilities is not None:
            watched = self._watch.push(
                prediction.stream,
                prediction.end_s,
                prediction.probabilities,
                resets=prediction.resets,
            )
            changes = watched.changes
            if asked.events.smooth is not None:
                prediction = self._smoothed(prediction, watched.probabilities)
        for output in self._outputs:
            output.prediction(prediction)
        for change in changes:
            self._tell_event(change, age_s=(prediction.frame_age_ms or 0.0) / 1000.0)
        return prediction

    def source_event(self, event: SourceEvent, stream: int) -> None:
        """Tell what befell a source; where its windows break, its actions end now."""
        if event.breaks and self._watch is not None:
            for change in self._watch.reset(stream):
                self._tell_event(change, age_s=0.0)
        if event.breaks and stream in self._films:
            self._films[stream].interrupted(stream)
        for output in self._outputs:
            output.source_event(event, stream)
        if event.kind not in _UNSAID:
            name = self._header.sources[stream]
            given_up = "given up: " if event.kind == "gave_up" else ""
            say(f"{name}: {given_up}{event.text.removeprefix(f'{name}: ')}")

    def source_ended(self, stream: int) -> None:
        """Tell who looks at a source that nothing comes of it any more."""
        for viewer in self._viewers:
            viewer.source_ended(stream)

    def degraded(self, news: DegradeNews) -> None:
        """Tell a step of the ladder."""
        for output in self._outputs:
            output.degraded(news)
        say(f"latency: {news.text}")

    def finish(self) -> None:
        """The sources have ended, or nobody listens any more: events that last end."""
        if self._watch is not None and not self._finished:
            self._finished = True
            for change in self._watch.finish():
                self._tell_event(change, age_s=0.0)

    def ended(self, end: RunEnd) -> None:
        """Tell how the run ended, behind the ends of all events."""
        with contextlib.suppress(*((OSError,) if end.reason == "failed" else ())):
            self.finish()
        for output in self._outputs:
            with contextlib.suppress(*((OSError,) if end.reason == "failed" else ())):
                output.ended(end)

    def check_seen(self) -> None:
        """Fail if what `--until` waits for was not seen.

        Raises:
            EventNotSeen: It was not.
        """
        until = dict.fromkeys(
            label for stream in self._request.streams for label in stream.events.until
        )
        if until and not self.reached:
            raise EventNotSeen(
                f"The run ended without an event of {' or '.join(map(repr, until))}.",
                hint="Lower the thresholds: --on 0.3 --off 0.2",
            )

    def _smoothed(self, prediction: Prediction, probabilities: NDArray[np.float64]) -> Prediction:
        from runtime.decode import top_labels

        top = top_labels(
            probabilities,
            self._header.labels,
            top_k=self._request.classes_of(prediction.stream),
            threshold=self._request.streams[prediction.stream].threshold,
            output="probabilities",
        )
        return replace(prediction, probabilities=probabilities, top=top)

    def _tell_event(self, change: EventChange, *, age_s: float) -> None:
        from runtime.outputs import EventNews

        event = change.event
        began_at_s = None
        if self._live[event.stream]:
            began_at_s = time.time() - age_s - max(0.0, change.time_s - event.start_s)
        films = self._films.get(event.stream)
        clip = None if films is None else films.event(change)
        news = EventNews(change=change, began_at_s=began_at_s, clip=clip)
        for output in self._told_of_events[event.stream]:
            output.event(news)
        until = self._request.streams[event.stream].events.until
        if change.kind == "start" and event.label in until:
            self.reached = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        patient = kind is None and not self.stopped
        grace_s = END_GRACE_S if patient else STOP_GRACE_S
        closing: list[tuple[Output | EventClips, float]] = []
        films = dict.fromkeys(self._films.values())
        closing += [(one, max(grace_s, _FILMS_GRACE_S)) for one in films]
        closing += [(output, grace_s) for output in self._outputs]
        _close_together(closing)
        for output, _ in closing:
            for note in output.notes():
                say(note)


def open_sinks(
    request: RunRequest,
    header: RunHeader,
    streams: Sequence[RunStream],
    *,
    viewers: Sequence[FrameOutput] = (),
) -> RunSinks:
    """Open all outputs of a run.

    Args:
        request: As asked for.
        header: Of the results.
        streams: The sources.
        viewers: Further outputs, open; closed with the others.

    Raises:
        UsageError: An address is none.
        OutputError: An output cannot be written.
        MissingExtra: MQTT is asked for and not installed.
    """
    outputs, films = open_outputs(request, header, streams)
    return RunSinks(
        outputs,
        viewers=viewers,
        watch=_watch(request, header, streams),
        films=films,
        request=request,
        header=header,
        live=[stream.live for stream in streams],
    )


def _watch(
    request: RunRequest, header: RunHeader, streams: Sequence[RunStream]
) -> EventWatch | None:
    """What smooths results and finds events; None where neither is asked for."""
    from runtime.events import EventWatch, WatchedStream

    watched = []
    for asked, stream in zip(request.streams, streams, strict=True):
        stride_s = 1.0 if stream.window is None else stream.window.stride_s
        with_events = asked.with_events or request.serve is not None
        watched.append(
            WatchedStream(
                source=stream.name,
                rules=asked.events.rules(header.labels) if with_events else None,
                smoothing=asked.events.smoothing(stride_s),
            )
        )
    wanted = any(one.rules is not None or one.smoothing is not None for one in watched)
    return EventWatch(header.labels, watched) if wanted else None


def _close_together(closing: Sequence[tuple[Output | EventClips, float]]) -> None:
    """Close all at once, each with its grace, so that they wait for others side by side."""
    threads = [
        threading.Thread(target=output.close, kwargs={"grace_s": grace_s}, daemon=True)
        for output, grace_s in closing
    ]
    deadline_s = time.monotonic() + max(grace_s for _, grace_s in closing) + _HUNG_S
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline_s - time.monotonic()))
