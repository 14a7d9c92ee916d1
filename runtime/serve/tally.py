"""Counters of one stream, in the form in which Prometheus wants them."""

from __future__ import annotations

import bisect
import math
from dataclasses import dataclass, field, replace

from runtime.records import Prediction

BOUNDS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
"""Upper bounds of the buckets of durations, inclusive."""

STAGES = ("decode", "preprocess", "infer")
"""Where the time of a prediction goes."""

MOST_COUNTED_LABELS = 1000
"""Best classes counted by name; others are counted together."""

OTHER = "(other)"


@dataclass(slots=True)
class Histogram:
    """Durations counted in buckets.

    Attributes:
        counts: One per bound of `BOUNDS_S`, and one for what is longer.
        sum_s: Of all durations.
    """

    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS_S) + 1))
    sum_s: float = 0.0

    def add(self, duration_s: float) -> None:
        """Count one duration; what is no finite number is left out."""
        if math.isfinite(duration_s):
            self.counts[bisect.bisect_left(BOUNDS_S, duration_s)] += 1
            self.sum_s += duration_s

    def cumulative(self) -> list[tuple[str, float]]:
        """Pairs of upper bound and number of durations up to it, ending with "+Inf"."""
        total, pairs = 0, []
        for bound, count in zip((*map(repr, BOUNDS_S), "+Inf"), self.counts, strict=True):
            total += count
            pairs.append((bound, float(total)))
        return pairs

    def copied(self) -> Histogram:
        """A copy."""
        return Histogram(list(self.counts), self.sum_s)


@dataclass(slots=True, kw_only=True)
class Tally:
    """What was counted of a stream.

    Attributes:
        predictions: Number of them.
        resets: Times that the stream was started anew, as the newest prediction told.
        stages: Durations by stage.
        age: Ages of the newest frame at each result; live streams only.
        labels: How often each class was the best.
    """

    predictions: int = 0
    resets: int = 0
    stages: dict[str, Histogram] = field(
        default_factory=lambda: {stage: Histogram() for stage in STAGES}
    )
    age: Histogram = field(default_factory=Histogram)
    labels: dict[str, int] = field(default_factory=dict)

    def add(self, prediction: Prediction) -> None:
        """Count one prediction."""
        self.predictions += 1
        self.resets = prediction.resets
        latency = prediction.latency
        for stage, spent_ms in zip(
            STAGES, (latency.decode_ms, latency.preprocess_ms, latency.infer_ms), strict=True
        ):
            self.stages[stage].add(spent_ms / 1000.0)
        if prediction.frame_age_ms is not None:
            self.age.add(prediction.frame_age_ms / 1000.0)
        if prediction.top:
            best = prediction.top[0].label
            if best not in self.labels and len(self.labels) >= MOST_COUNTED_LABELS:
                best = OTHER
            self.labels[best] = self.labels.get(best, 0) + 1

    def copied(self) -> Tally:
        """A copy that later counting does not change."""
        return replace(
            self,
            stages={stage: one.copied() for stage, one in self.stages.items()},
            age=self.age.copied(),
            labels=dict(self.labels),
        )
