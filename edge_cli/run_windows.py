"""`edgecls run`, window by window, on one or several sources."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

from edge_cli.run_output import say
from edge_cli.run_request import Sampling
from models.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edge_cli.run_request import RunRequest
    from edge_cli.run_sinks import RunSinks
    from edge_cli.stop import StopRequest
    from edge_cli.stream_request import StreamRequest
    from edge_cli.summary import RunSummary
    from edgecls.stream_session import StreamSession
    from edgecls.windows import WindowCut
    from models.spec import ClipSpec
    from runtime.grid import GridSpec
    from runtime.outputs.run_end import EndReason
    from runtime.records import Prediction
    from runtime.sources import FrameSource

_CLOSE = 1e-6
"""Relative difference of two strides that is none."""


def windows_asked(clip: ClipSpec, request: RunRequest) -> tuple[WindowCut, ...]:
    """Length and stride of the windows; says so when they are unusual, or not as asked for.

    Args:
        clip: What the model wants.
        request: As asked for.

    Returns:
        Of every stream.

    Raises:
        UsageError: They are out of range.
    """
    found: list[WindowCut] = []
    said: dict[str, list[str]] = {}
    for stream in request.streams:
        try:
            cut = _cut_of(clip, stream, sliding=request.sampling is Sampling.SLIDING)
        except UsageError as error:
            raise stream.mistaken(error) from error
        found.append(cut)
        for note in _notes(cut, clip):
            said.setdefault(note, []).append(stream.shown_name)
    for note, names in said.items():
        say(note if len(names) == len(found) else f"{', '.join(names)}: {note}")
    return tuple(found)


def _cut_of(clip: ClipSpec, stream: StreamRequest, *, sliding: bool) -> WindowCut:
    from edgecls.windows import Windows

    return Windows(
        length_s=stream.window_s or None,
        stride_s=stream.stride_s or None,
        sampling="sliding" if sliding else "windowed",
        gap=stream.gap.value if stream.gap else "reset",
        gap_after_s=stream.gap_after_s,
    ).cut_for(clip)


def _notes(cut: WindowCut, clip: ClipSpec) -> Iterator[str]:
    """What is unusual about windows, or not as asked for."""
    length_s, trained_s = cut.window.length_s, clip.clip_length_s
    if not trained_s * 0.5 <= length_s <= trained_s * 2:
        yield (
            f"warning: windows of {length_s:g} s are far from the {trained_s:g} s clips that"
            " the model was trained on; expect worse results"
        )
    asked_s, grid = cut.stride_asked_s, cut.grid
    if grid and asked_s is not None and abs(asked_s - grid.stride_s) > asked_s * _CLOSE:
        yield (
            f"stride: {grid.stride_s:.4g} s instead of {asked_s:g} s, so that windows share"
            f" frames {grid.interval_s:.4g} s apart (--sampling windowed takes any stride)"
        )


def run_windows(request: RunRequest, session: StreamSession, *, stop: StopRequest) -> None:
    """Classify the sources until they end, or somebody ends it.

    Args:
        request: As asked for.
        session: The model, open.
        stop: Looked at with every frame.
    """
    from edge_cli.recording_options import recorded
    from edge_cli.run_degrade import ladder_plan
    from edge_cli.run_header import header_of, reuse_facts
    from edge_cli.run_outputs import RunStream
    from edge_cli.run_sinks import open_sinks
    from edge_cli.summary import RunSummary
    from edge_cli.viewers import open_viewers
    from runtime.opened_sources import open_sources
    from runtime.pipeline import FrameWatch
    from runtime.sources import repeats_live

    windows = session.cuts
    plan = ladder_plan(request, session)
    with ExitStack() as stack:
        opened = open_sources(
            [
                (asked.source, replace(asked.source_options, stopping=lambda: stop.received))
                for asked in request.streams
            ]
        )
        for source in opened:
            stack.enter_context(source)
        sources = [
            recorded(source, asked.source, request.recording, stack)
            for source, asked in zip(opened, request.streams, strict=True)
        ]
        stop.then = lambda: _interrupt(sources)
        for source, cut in zip(sources, windows, strict=True):
            if source.live:
                length_s = cut.window.length_s
                say(f"{source.description}: the first result comes after {length_s:g} s")
        streams = session.streams(sources)
        model, ladder = session.stream_model(), None
        if plan is not None:
            strides_s = [cut.window.stride_s for cut in windows]
            ladder = stack.enter_context(plan.open(model, streams, strides_s))
            model = ladder.model
        header = header_of(
            request,
            session,
            sources=sources,
            windows=windows,
            reuse=reuse_facts(session),
            degrade=None if ladder is None else ladder.facts(),
        )
        told = [
            RunStream(name=name, live=source.live, window=cut.window)
            for name, source, cut in zip(header.sources, sources, windows, strict=True)
        ]
        viewers = open_viewers(request, header, sources, told, stop=stop, stack=stack)
        sinks = stack.enter_context(open_sinks(request, header, told, viewers=viewers))
        summary = RunSummary()
        predictions = session.predictions(
            streams,
            request.decoding(session.bundle.card),
            model=model,
            watch=FrameWatch(
                on_frame=sinks.frame,
                wants=sinks.wants,
                on_event=sinks.source_event,
                on_end=sinks.source_ended,
                stopped=lambda: stop.received,
            ),
        )
        reason: EndReason = "failed"
        try:
            try:
                for prediction in _limited(predictions, request.max_windows):
                    step = None if ladder is None else ladder.result(prediction)
                    summary.add(prediction)
                    sinks.take(prediction)
                    if step is not None:
                        sinks.degraded(step)
                    if sinks.reached:
                        break
            finally:
                _interrupt(sources)
                predictions.close()
            sinks.stopped = stop.received
            sinks.finish()
            reason = _reason(request, sinks, summary)
        finally:
            for source in sources:
                source.close()
            live = [source.counts.dropped for source in sources if repeats_live(source)]
            broken = sum(source.counts.broken for source in sources)
            say(summary.line(dropped=sum(live) if live else None, broken=broken))
            sinks.ended(summary.end(reason, streams))
            if not summary.windows:
                for stream, cut in zip(streams, windows, strict=True):
                    if cut.grid and stream.sampler.gaps:
                        say(_only_gaps(cut.grid))
                        break
    sinks.check_seen()


def _reason(request: RunRequest, sinks: RunSinks, summary: RunSummary) -> EndReason:
    """Why a run ended that did not fail."""
    if sinks.stopped:
        return "stopped"
    if sinks.reached:
        return "event"
    return "limit" if summary.windows == request.max_windows else "ended"


def _only_gaps(grid: GridSpec) -> str:
    """Why a source that has frames gave no result."""
    return (
        f"hint: frames came more than {grid.gap_after_s:g} s apart, so that no window of"
        f" {grid.frames} frames was ever complete; --gap-after {grid.gap_after_s * 4:g} or --gap"
        " hold repeats them"
    )


def _interrupt(sources: Sequence[FrameSource]) -> None:
    """Let all sources end; only sets flags."""
    for source in sources:
        source.interrupt()


def _limited(predictions: Iterator[Prediction], limit: int | None) -> Iterator[Prediction]:
    """The first predictions, or all; nothing is read beyond the last."""
    return predictions if limit is None else islice(predictions, limit)
