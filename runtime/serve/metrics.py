"""`/metrics`: the counters of a run in the text format of Prometheus.

Everything is read off the board when somebody asks; nothing is registered in the process-wide
registry of prometheus-client, so that several runs in one process do not collide.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from runtime.serve.board import LiveBoard, StreamNow
from runtime.serve.feed import stream_status
from runtime.serve.tally import STAGES, Histogram

if TYPE_CHECKING:
    from prometheus_client.core import Metric

VIEWERS = ("feed", "picture", "mjpeg")
"""What clients are counted by."""


def metrics_text(board: LiveBoard, viewers: Callable[[str], int]) -> tuple[bytes, str]:
    """Metrics of this moment.

    Args:
        board: Of the run.
        viewers: Clients of one kind of `VIEWERS` at the moment.

    Returns:
        The text, and its content type.
    """
    from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
    from prometheus_client.exposition import CONTENT_TYPE_LATEST

    registry = CollectorRegistry()
    registry.register(_BoardCollector(board, viewers))
    ProcessCollector(registry=registry)
    return generate_latest(registry), CONTENT_TYPE_LATEST


class _BoardCollector:
    def __init__(self, board: LiveBoard, viewers: Callable[[str], int]) -> None:
        self._board = board
        self._viewers = viewers

    def collect(self) -> Iterator[Metric]:
        """All metrics; called by the registry."""
        from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily

        board = self._board
        info = InfoMetricFamily("edgecls", "What runs.")
        facts = board.facts
        info.add_metric(
            [], {"version": facts.version, "model": facts.model, "engine": facts.engine}
        )
        yield info
        uptime = GaugeMetricFamily("edgecls_uptime_seconds", "Time since the run began.")
        uptime.add_metric([], board.uptime_s)
        yield uptime
        viewers = GaugeMetricFamily("edgecls_viewers", "Clients being served.", labels=["kind"])
        for kind in VIEWERS:
            viewers.add_metric([kind], self._viewers(kind))
        yield viewers
        level, _ = board.level()
        if level is not None:
            steps = GaugeMetricFamily(
                "edgecls_level", "Steps below what was asked for, as results were late."
            )
            steps.add_metric([], level)
            yield steps
        names = _distinct_names(board)
        streams = [(names[at], at, board.now(at)) for at in range(board.stream_count)]
        yield from self._stream_metrics(streams)
        yield from self._event_metrics(names)

    def _stream_metrics(self, streams: list[tuple[str, int, StreamNow]]) -> Iterator[Metric]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        by_source = ["source"]
        up = GaugeMetricFamily(
            "edgecls_source_up", "1 while the source delivers frames.", labels=by_source
        )
        frames = CounterMetricFamily(
            "edgecls_frames", "Frames that came from the source.", labels=by_source
        )
        dropped = CounterMetricFamily(
            "edgecls_frames_dropped", "Frames nobody had time for.", labels=by_source
        )
        skipped = CounterMetricFamily(
            "edgecls_frames_skipped", "Frames that nobody needed.", labels=by_source
        )
        broken = CounterMetricFamily(
            "edgecls_frames_broken", "Frames that could not be decoded.", labels=by_source
        )
        results = CounterMetricFamily("edgecls_predictions", "Results.", labels=by_source)
        resets = CounterMetricFamily(
            "edgecls_resets", "Times that a stream was started anew behind a gap.", labels=by_source
        )
        last = GaugeMetricFamily(
            "edgecls_last_prediction_timestamp_seconds", "When it came.", labels=by_source
        )
        top = GaugeMetricFamily(
            "edgecls_top_probability", "Of the best class of the last result.", labels=by_source
        )
        best = CounterMetricFamily(
            "edgecls_top_label", "Results by best class.", labels=["source", "label"]
        )
        for name, at, now in streams:
            up.add_metric([name], float(stream_status(self._board, at) == "live"))
            frames.add_metric([name], now.counts.received)
            dropped.add_metric([name], now.counts.dropped)
            skipped.add_metric([name], now.counts.skipped)
            broken.add_metric([name], now.counts.broken)
            results.add_metric([name], now.tally.predictions)
            resets.add_metric([name], now.tally.resets)
            for label, count in now.tally.labels.items():
                best.add_metric([name, label], count)
            if now.newest is not None:
                last.add_metric([name], now.newest.at_s)
                if now.newest.top:
                    top.add_metric([name], now.newest.top[0].probability)
        yield from (up, frames, dropped, skipped, broken, results, resets, last, top, best)
        yield from _durations(streams)

    def _event_metrics(self, names: list[str]) -> Iterator[Metric]:
        from prometheus_client.core import CounterMetricFamily

        events = CounterMetricFamily(
            "edgecls_events", "Events begun.", labels=["source", "kind", "label"]
        )
        for (stream, kind, label), count in self._board.event_counts().items():
            events.add_metric([names[stream], kind, label], count)
        yield events


def _durations(streams: list[tuple[str, int, StreamNow]]) -> Iterator[Metric]:
    from prometheus_client.core import HistogramMetricFamily

    def add(family: Any, labels: list[str], one: Histogram) -> None:
        family.add_metric(labels, buckets=one.cumulative(), sum_value=one.sum_s)

    stages = HistogramMetricFamily(
        "edgecls_stage_seconds", "Time per result by stage.", labels=["source", "stage"]
    )
    ages = HistogramMetricFamily(
        "edgecls_frame_age_seconds",
        "Age of the newest frame when its result came.",
        labels=["source"],
    )
    for name, _, now in streams:
        for stage in STAGES:
            add(stages, [name, stage], now.tally.stages[stage])
        if now.facts.live:
            add(ages, [name], now.tally.age)
    yield stages
    yield ages


def _distinct_names(board: LiveBoard) -> list[str]:
    """Names of the streams; two of one name would be one time series, so they are numbered."""
    names = [board.now(stream).facts.name for stream in range(board.stream_count)]
    return [f"{name} #{at}" if names.count(name) > 1 else name for at, name in enumerate(names)]
