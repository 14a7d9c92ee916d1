"""`edgecls run`, window by window, on one or several sources."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

from edge_cli.run_output import say
from edge_cli.run_request import Sampling

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edge_cli.run_model import Running
    from edge_cli.run_request import RunRequest
    from edge_cli.run_sinks import RunSinks
    from edge_cli.stop import StopRequest
    from edge_cli.summary import RunSummary
    from models.bundle import Bundle
    from models.spec import ClipSpec
    from runtime.feed import Sampler
    from runtime.grid import GridSpec, Neighbours
    from runtime.outputs.run_end import EndReason
    from runtime.records import Prediction
    from runtime.sampling import WindowSpec
    from runtime.sources import FrameSource

_CLOSE = 1e-6
"""Relative difference of two strides that is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Windows:
    """How a stream is cut into windows.

    Attributes:
        window: Length and stride; the stride of a grid is that which it has.
        grid: The grid of `sliding`; None for `windowed`.
        stride_asked_s: None where nothing was asked for.
    """

    window: WindowSpec
    grid: GridSpec | None
    stride_asked_s: float | None

    def sampler(
        self, clip: ClipSpec, source: FrameSource, neighbours: Neighbours | None
    ) -> Sampler:
        """What cuts a source.

        Args:
            clip: What the model wants.
            source: Open.
            neighbours: Frames beyond a window that its clip must know; None for none.
        """
        from runtime.grid import GridSampler
        from runtime.sampling import ClipSampler

        if self.grid is None:
            return ClipSampler(self.window, clip.frames, rule=clip.segment_frame)
        known_s = source.duration_s or 0.0
        return GridSampler(
            self.grid,
            rule=clip.segment_frame,
            neighbours=neighbours,
            short=not source.live and known_s < self.window.length_s,
        )


def windows_asked(clip: ClipSpec, request: RunRequest) -> Windows:
    """Length and stride of the windows; says so when they are unusual, or not as asked for.

    Args:
        clip: What the model wants.
        request: As asked for.

    Raises:
        UsageError: They are out of range.
    """
    from runtime.grid import grid_spec
    from runtime.sampling import WindowSpec

    trained_s = clip.clip_length_s
    length_s = request.window_s or trained_s
    if not trained_s * 0.5 <= length_s <= trained_s * 2:
        say(
            f"warning: windows of {length_s:g} s are far from the {trained_s:g} s clips that"
            " the model was trained on; expect worse results"
        )
    if request.sampling is Sampling.WINDOWED:
        window = WindowSpec(length_s, request.stride_s or length_s / 10)
        return Windows(window=window, grid=None, stride_asked_s=request.stride_s)
    grid = grid_spec(
        clip.frames,
        length_s=length_s,
        stride_s=request.stride_s,
        gap_after_s=request.gap_after_s,
        gap=request.gap.value if request.gap else "reset",
    )
    asked_s = request.stride_s
    if asked_s is not None and abs(asked_s - grid.stride_s) > asked_s * _CLOSE:
        say(
            f"stride: {grid.stride_s:.4g} s instead of {asked_s:g} s, so that windows share"
            f" frames {grid.interval_s:.4g} s apart (--sampling windowed takes any stride)"
        )
    return Windows(window=WindowSpec(length_s, grid.stride_s), grid=grid, stride_asked_s=asked_s)


def run_windows(
    bundle: Bundle, request: RunRequest, running: Running, *, windows: Windows, stop: StopRequest
) -> None:
    """Classify the sources until they end, or somebody ends it.

    Args:
        bundle: The model.
        request: As asked for.
        running: The model, open.
        windows: How the sources are cut.
        stop: Looked at with every frame.
    """
    from edge_cli.run_degrade import ladder_plan
    from edge_cli.run_header import header_of
    from edge_cli.run_sinks import RunStreams, open_sinks
    from edge_cli.summary import RunSummary
    from edge_cli.viewers import open_viewers
    from runtime.clip_classifier import Decoding
    from runtime.pipeline import FrameWatch, Stream, classify_streams
    from runtime.preprocess import Preparation
    from runtime.sources import open_source

    card = bundle.card
    plan = ladder_plan(bundle, request, running, windows)
    with ExitStack() as stack:
        options = replace(request.source_options, stopping=lambda: stop.received)
        sources = [stack.enter_context(open_source(uri, options)) for uri in request.sources]
        stop.then = lambda: _interrupt(sources)
        for source in sources:
            if source.live:
                length_s = windows.window.length_s
                say(f"{source.description}: the first result comes after {length_s:g} s")
        preparation = Preparation(clip=card.clip, views=request.views_of(card.clip))
        neighbours = running.reusing.neighbours() if running.reusing else None
        streams = [
            Stream(source=source, sampler=windows.sampler(card.clip, source, neighbours))
            for source in sources
        ]
        model, ladder = running.stream_model(preparation), None
        if plan is not None:
            strides_s = [windows.window.stride_s for _ in streams]
            ladder = stack.enter_context(plan.open(model, preparation, streams, strides_s))
            model = ladder.model
        header = header_of(
            bundle, request, running, sources=sources, windows=windows, ladder=ladder
        )
        told = RunStreams.of(sources, header.sources, windows.window)
        viewers = open_viewers(request, header, sources, told, stop=stop, stack=stack)
        sinks = stack.enter_context(open_sinks(request, header, told, viewers=viewers))
        summary = RunSummary()
        predictions = classify_streams(
            streams,
            model,
            Decoding(card=card, top_k=request.most_classes(), threshold=request.threshold),
            preparation=preparation,
            watch=FrameWatch(
                on_frame=sinks.frame,
                wants=sinks.wants,
                on_event=sinks.source_event,
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
            live = [source.counts.dropped for source in sources if source.live]
            broken = sum(source.counts.broken for source in sources)
            say(summary.line(dropped=sum(live) if live else None, broken=broken))
            sinks.ended(summary.end(reason, streams))
            if not summary.windows and windows.grid and any(one.sampler.gaps for one in streams):
                say(_only_gaps(windows.grid))
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
