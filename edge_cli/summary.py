"""What a run says about itself at its end."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runtime.records import Prediction


def latency_ms(prediction: Prediction) -> float:
    """Time from a complete window to its result, and of preparing its new frames."""
    return prediction.latency.preprocess_ms + prediction.latency.infer_ms


class RunSummary:
    """Counts windows while they come, and sums them up."""

    def __init__(self) -> None:
        self._started_s = time.monotonic()
        self._latencies_ms: list[float] = []
        self._cost_ms = 0.0
        self._reused: list[float] = []
        self._resets: dict[int, int] = {}

    def add(self, prediction: Prediction) -> None:
        """Count a window."""
        latency = prediction.latency
        self._latencies_ms.append(latency_ms(prediction))
        self._cost_ms += latency.preprocess_ms + latency.infer_ms / prediction.batch
        if prediction.reused is not None:
            self._reused.append(prediction.reused)
        self._resets[prediction.stream] = prediction.resets

    @property
    def windows(self) -> int:
        """Windows so far."""
        return len(self._latencies_ms)

    def line(self, *, dropped: int | None) -> str:
        """The summary.

        Args:
            dropped: Frames dropped; None when the source drops none.
        """
        import numpy as np

        seconds = time.monotonic() - self._started_s
        count = self.windows
        parts = [f"{count} window{'s' * (count != 1)} in {seconds:.1f} s"]
        if count:
            parts[0] += f" ({count / max(seconds, 1e-9):.1f}/s)"
            median, p95 = np.percentile(self._latencies_ms, [50, 95])
            parts.append(f"latency median {median:.1f} ms, p95 {p95:.1f} ms")
            parts.append(f"cost {self._cost_ms / count:.1f} ms per window")
        if self._reused:
            parts.append(f"{np.mean(self._reused):.0%} of the work reused")
        resets = sum(self._resets.values())
        if resets:
            parts.append(f"{resets} gap{'s' * (resets != 1)}")
        if dropped is not None:
            parts.append(f"{dropped} frame{'s' * (dropped != 1)} dropped")
        return "summary: " + "; ".join(parts)
