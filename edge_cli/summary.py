"""What a run says about itself at its end."""

from __future__ import annotations

import math
import time
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runtime.feed import Stream
    from runtime.outputs.run_end import EndReason, RunEnd
    from runtime.records import Prediction

_STEP = 1.01
"""Ratio of the latencies at the two ends of a bucket."""

_LEAST_MS = 0.001


def latency_ms(prediction: Prediction) -> float:
    """Time from a complete window to its result, and of preparing its new frames."""
    return prediction.latency.preprocess_ms + prediction.latency.infer_ms


class Latencies:
    """Percentiles of any number of latencies, to half a percent, in memory that does not grow."""

    def __init__(self) -> None:
        self._buckets: Counter[int] = Counter()
        self.count = 0

    def add(self, value_ms: float) -> None:
        """Count one."""
        self._buckets[math.floor(math.log(max(value_ms, _LEAST_MS), _STEP))] += 1
        self.count += 1

    def percentile(self, share: float) -> float:
        """The least value that is not below that share of them, in milliseconds; 0 without any."""
        left = math.ceil(share * self.count)
        for bucket in sorted(self._buckets):
            left -= self._buckets[bucket]
            if left <= 0:
                return float(_STEP ** (bucket + 0.5))
        return 0.0


class RunSummary:
    """Counts windows while they come, and sums them up."""

    def __init__(self) -> None:
        self._started_s = time.monotonic()
        self._latencies = Latencies()
        self._cost_ms = 0.0
        self._reused = 0.0
        self._reusing = 0
        self._resets: dict[int, int] = {}
        self._below = 0
        self._by_stream: Counter[int] = Counter()

    def add(self, prediction: Prediction) -> None:
        """Count a window."""
        latency = prediction.latency
        self._latencies.add(latency_ms(prediction))
        self._cost_ms += latency.preprocess_ms + latency.infer_ms / prediction.batch
        if prediction.reused is not None:
            self._reused += prediction.reused
            self._reusing += 1
        self._resets[prediction.stream] = prediction.resets
        self._below += bool(prediction.level)
        self._by_stream[prediction.stream] += 1

    @property
    def windows(self) -> int:
        """Windows so far."""
        return self._latencies.count

    @property
    def seconds(self) -> float:
        """Time since it began to count."""
        return time.monotonic() - self._started_s

    def end(self, reason: EndReason, streams: Sequence[Stream]) -> RunEnd:
        """How the run ended.

        Args:
            reason: Why.
            streams: Their sources are closed.
        """
        from runtime.outputs.run_end import RunEnd, StreamEnd

        return RunEnd(
            reason=reason,
            seconds=self.seconds,
            streams=tuple(
                StreamEnd.of(
                    stream, windows=self._by_stream[number], gaps=self._resets.get(number, 0)
                )
                for number, stream in enumerate(streams)
            ),
        )

    def line(self, *, dropped: int | None, broken: int = 0) -> str:
        """The summary.

        Args:
            dropped: Frames dropped; None when the source drops none.
            broken: Frames that could not be decoded.
        """
        seconds = self.seconds
        count = self.windows
        parts = [f"{count} window{'s' * (count != 1)} in {seconds:.1f} s"]
        if count:
            parts[0] += f" ({count / max(seconds, 1e-9):.1f}/s)"
            median, p95 = self._latencies.percentile(0.5), self._latencies.percentile(0.95)
            parts.append(f"latency median {median:.1f} ms, p95 {p95:.1f} ms")
            parts.append(f"cost {self._cost_ms / count:.1f} ms per window")
        if self._reusing:
            parts.append(f"{self._reused / self._reusing * 100:.0f} % of the work reused")
        resets = sum(self._resets.values())
        if resets:
            parts.append(f"{resets} gap{'s' * (resets != 1)}")
        if self._below:
            parts.append(
                f"{self._below / count * 100:.0f} % at a lower level, as results were late"
            )
        if dropped is not None:
            parts.append(f"{dropped} frame{'s' * (dropped != 1)} dropped")
        if broken:
            parts.append(f"{broken} frame{'s' * (broken != 1)} damaged")
        return "summary: " + "; ".join(parts)
