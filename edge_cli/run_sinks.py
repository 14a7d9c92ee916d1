"""Everything that a run tells: results, events, films, deliveries; and when it has seen enough."""

from __future__ import annotations

import contextlib
import threading
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import TYPE_CHECKING

from typing_extensions import Self

from edge_cli.outputs.lines import StdoutLines
from edge_cli.render import FILE_FORMATS, FORMATS
from edge_cli.run_output import say
from models.errors import EventNotSeen

if TYPE_CHECKING:
    from edge_cli.render import RunHeader
    from edge_cli.run_request import RunRequest
    from runtime.degrade.news import DegradeNews
    from runtime.events import EventChange, EventWatch
    from runtime.outputs import FrameOutput, Output
    from runtime.outputs.clips import EventClips
    from runtime.outputs.run_end import RunEnd
    from runtime.records import Frame, Prediction, SourceEvent
    from runtime.sampling import WindowSpec
    from runtime.sources import FrameSource

END_GRACE_S = 10.0
"""For deliveries when the sources have ended; a run that is stopped has `STOP_GRACE_S`."""

STOP_GRACE_S = 0.3

_FILMS_GRACE_S = 0.7
"""Films are finished rather than left as partial files."""

_UNSAID = ("file", "loop")
"""What befalls a source in the usual course; too much for stderr."""

_HUNG_S = 0.6
"""An output that needs so much longer than it was given is left behind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStreams:
    """What the outputs must know of the sources and windows.

    Attributes:
        names: Of the sources, without secrets.
        live: Of each, whether it is live.
        window_s: Length of a window; None where a whole file is one result.
        stride_s: From one window to the next; None likewise.
    """

    names: tuple[str, ...]
    live: tuple[bool, ...]
    window_s: float | None
    stride_s: float | None

    @classmethod
    def of(
        cls, sources: Sequence[FrameSource], names: tuple[str, ...], window: WindowSpec | None
    ) -> RunStreams:
        """Of open sources.

        Args:
            sources: In the order of their numbers.
            names: Of each, without secrets.
            window: None where a whole file is one result.
        """
        return cls(
            names=names,
            live=tuple(source.live for source in sources),
            window_s=None if window is None else window.length_s,
            stride_s=None if window is None else window.stride_s,
        )


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
        clips: EventClips | None,
        request: RunRequest,
        header: RunHeader,
        streams: RunStreams,
    ) -> None:
        self._outputs = [*outputs, *viewers]
        self._viewers = tuple(viewers)
        # A page shows events in any case; lines about them are written if they were asked for.
        asked = request.events.given or request.outputs.of_events
        self._told_of_events = self._outputs if asked else list(viewers)
        self._watch = watch
        self._clips = clips
        self._until = request.events.until
        self._smoothed = request.events.smooth is not None
        self._threshold = request.threshold
        self._header = header
        self._live = streams.live
        self._finished = False
        self.reached = False
        self.stopped = False

    def wants(self, stream: int) -> bool:
        """Whether the next frame is wanted."""
        return self._clips is not None or any(one.wants_frame(stream) for one in self._viewers)

    def frame(self, frame: Frame, stream: int) -> None:
        """Take a frame; its picture must not change afterwards."""
        if self._clips is not None:
            self._clips.frame(frame, stream)
        for viewer in self._viewers:
            viewer.frame(frame, stream)

    def take(self, prediction: Prediction) -> Prediction:
        """Tell a result, and what began and ended by it.

        Returns:
            The result as it was told: smoothed, where that was asked for.
        """
        if self._watch is None or prediction.probabilities is None:
            self._tell(prediction)
            return prediction
        watched = self._watch.push(
            prediction.stream,
            prediction.end_s,
            prediction.probabilities,
            resets=prediction.resets,
        )
        if self._smoothed:
            from runtime.decode import top_labels

            prediction = replace(
                prediction,
                probabilities=watched.probabilities,
                top=top_labels(
                    watched.probabilities,
                    self._header.labels,
                    top_k=self._header.top_k,
                    threshold=self._threshold,
                    output="probabilities",
                ),
            )
        self._tell(prediction)
        for change in watched.changes:
            self._tell_event(change, age_s=(prediction.frame_age_ms or 0.0) / 1000.0)
        return prediction

    def source_event(self, event: SourceEvent, stream: int) -> None:
        """Tell what befell a source; where its windows break, its actions end now."""
        if event.breaks and self._watch is not None:
            for change in self._watch.reset(stream):
                self._tell_event(change, age_s=0.0)
        if event.breaks and self._clips is not None:
            self._clips.interrupted(stream)
        for output in self._outputs:
            output.source_event(event, stream)
        if event.kind not in _UNSAID:
            say(f"{self._header.sources[stream]}: {event.text}")

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
        """Tell how the run ended."""
        for output in self._outputs:
            with contextlib.suppress(*(() if end.reason != "failed" else (OSError,))):
                output.ended(end)

    def check_seen(self) -> None:
        """Fail if what `--until` waits for was not seen.

        Raises:
            EventNotSeen: It was not.
        """
        if self._until and not self.reached:
            raise EventNotSeen(
                f"The run ended without an event of {' or '.join(map(repr, self._until))}.",
                hint="Lower the thresholds: --on 0.3 --off 0.2",
            )

    def _tell(self, prediction: Prediction) -> None:
        for output in self._outputs:
            output.prediction(prediction)

    def _tell_event(self, change: EventChange, *, age_s: float) -> None:
        from runtime.outputs import EventNews

        event = change.event
        began_at_s = None
        if self._live[event.stream]:
            began_at_s = time.time() - age_s - max(0.0, change.time_s - event.start_s)
        clip = None if self._clips is None else self._clips.event(change)
        news = EventNews(change=change, began_at_s=began_at_s, clip=clip)
        for output in self._told_of_events:
            output.event(news)
        if change.kind == "start" and event.label in self._until:
            self.reached = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self._finished:  # the run failed
            with contextlib.suppress(OSError):
                self.finish()
        patient = kind is None and not self.stopped
        grace_s = END_GRACE_S if patient else STOP_GRACE_S
        closing: list[tuple[Output | EventClips, float]] = []
        if self._clips is not None:
            closing.append((self._clips, max(grace_s, _FILMS_GRACE_S)))
        closing += [(output, grace_s) for output in self._outputs]
        _close_together(closing)
        for output, _ in closing:
            for note in output.notes():
                say(note)


def open_sinks(
    request: RunRequest,
    header: RunHeader,
    streams: RunStreams,
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
        UsageError: A class, number or address is none.
        OutputError: An output cannot be written.
        MissingExtra: MQTT is asked for and not installed.
    """
    from runtime.events import EventWatch

    events, wanted = request.events, request.outputs
    with_events = events.given or wanted.of_events or bool(viewers)
    rules = events.rules(header.labels) if with_events else None
    smoothing = events.smoothing(streams.stride_s or 1.0)
    watch = None
    if rules is not None or smoothing is not None:
        watch = EventWatch(header.labels, rules=rules, smoothing=smoothing, sources=streams.names)
    opened: list[Output] = []
    try:
        # What is to be delivered is queued before anybody else hears of it, and stdout says
        # nothing before everything else is known to work.
        opened += _deliveries(request, header)
        opened += _files(request, header, live=any(streams.live))
        clips = _clips(request, streams)
        renderer = FORMATS[request.fmt.value](header)
        opened.append(StdoutLines(renderer, top_k=header.top_k, changes=request.changes))
    except BaseException:
        for output in opened:
            output.close(grace_s=0.0)
        raise
    return RunSinks(
        opened,
        viewers=viewers,
        watch=watch,
        clips=clips,
        request=request,
        header=header,
        streams=streams,
    )


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


def _files(request: RunRequest, header: RunHeader, *, live: bool) -> list[Output]:
    from edge_cli.outputs.lines import FileLines
    from runtime.outputs.line_file import Sync, WhenFull

    fsync = request.outputs.fsync
    return [
        FileLines(
            file.path,
            file.kind,
            FILE_FORMATS[file.kind](replace(header, top_k=request.top_k_of(file.kind))),
            top_k=request.top_k_of(file.kind),
            sync=Sync.EVENTS if fsync is None else Sync(fsync.value),
            when_full=WhenFull.DROP if live else WhenFull.FAIL,
        )
        for file in request.outputs.files
    ]


def _deliveries(request: RunRequest, header: RunHeader) -> list[Output]:
    from edge_cli.outputs.deliveries import delivered_events

    return list(
        delivered_events(
            request.outputs,
            model=str(header.facts["model"]),
            run=uuid.uuid4().hex[:12],
            sources=header.sources,
        )
    )


def _clips(request: RunRequest, streams: RunStreams) -> EventClips | None:
    from runtime.outputs.clip_recorder import ClipSettings
    from runtime.outputs.clips import EventClips

    wanted = request.outputs
    if wanted.clips is None:
        return None
    usual = ClipSettings(folder=wanted.clips)
    window_s = streams.window_s or usual.pre_roll_s
    held_back_s = usual.held_back_s + (request.events.least_s or 0.0)
    settings = replace(
        usual,
        pre_roll_s=window_s if wanted.pre_roll_s is None else wanted.pre_roll_s,
        post_roll_s=usual.post_roll_s if wanted.post_roll_s is None else wanted.post_roll_s,
        held_back_s=held_back_s,
        limit_bytes=wanted.clips_limit_bytes,
    )
    return EventClips(settings, live=streams.live)
