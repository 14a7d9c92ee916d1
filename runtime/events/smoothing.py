"""Smoothing of probabilities over time, one stream at a time."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from models.errors import UsageError

SmoothKind = Literal["ema", "mean", "vote"]
"""Exponential moving average; mean of the latest results; share of them that each class won."""

Probabilities = NDArray[np.float64]
"""Shape [classes], 0 to 1."""

_SAME_TIME_S = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Smoothing:
    """How results are smoothed.

    Attributes:
        kind: See `SmoothKind`.
        span_s: `ema`: after so long without it, a class keeps 1/e of its weight; `mean` and
            `vote`: results of the last `span_s` seconds count, the newest one always.

    Raises:
        UsageError: An unknown kind, or a span that is not a positive number.
    """

    kind: SmoothKind
    span_s: float

    def __post_init__(self) -> None:
        if self.kind not in get_args(SmoothKind):
            raise UsageError(
                f"Results can be smoothed by {', '.join(get_args(SmoothKind))}; got {self.kind}."
            )
        if not (math.isfinite(self.span_s) and self.span_s > 0):
            raise UsageError(f"--smooth-span must be more than 0 seconds, got {self.span_s}.")


class Smoother(Protocol):
    """Turns the probabilities of each result into smoothed ones."""

    def push(self, time_s: float, probabilities: Probabilities) -> Probabilities:
        """Smoothed probabilities at this result.

        Args:
            time_s: Not before that of the result before.
            probabilities: [classes], not modified, and not kept as they are.

        Returns:
            [classes], the caller's own; sums to what the probabilities sum to.
        """

    def reset(self) -> None:
        """Forget all results."""


class _Ema:
    """Weights fall by time, not by number, so that an uneven stride changes nothing."""

    def __init__(self, span_s: float) -> None:
        self._span_s = span_s
        self._time_s = 0.0
        self._value: Probabilities | None = None

    def push(self, time_s: float, probabilities: Probabilities) -> Probabilities:
        if self._value is None:
            self._value = np.array(probabilities, np.float64)
        else:
            kept = math.exp(-(time_s - self._time_s) / self._span_s)
            self._value = kept * self._value + (1.0 - kept) * probabilities
        self._time_s = time_s
        return np.array(self._value)

    def reset(self) -> None:
        self._value = None


class _Recent:
    """Mean over the results of the last `span_s` seconds."""

    def __init__(self, span_s: float, *, winners_only: bool) -> None:
        self._span_s = span_s
        self._winners_only = winners_only
        self._kept: deque[tuple[float, Probabilities]] = deque()

    def push(self, time_s: float, probabilities: Probabilities) -> Probabilities:
        value = np.array(probabilities, np.float64)
        if self._winners_only:
            best = int(value.argmax())
            value = np.zeros_like(value)
            value[best] = 1.0
        self._kept.append((time_s, value))
        while self._kept[0][0] <= time_s - self._span_s + _SAME_TIME_S and len(self._kept) > 1:
            self._kept.popleft()
        return np.asarray(np.mean([one for _, one in self._kept], axis=0), np.float64)

    def reset(self) -> None:
        self._kept.clear()


def smoother(smoothing: Smoothing) -> Smoother:
    """A smoother for one stream."""
    if smoothing.kind == "ema":
        return _Ema(smoothing.span_s)
    return _Recent(smoothing.span_s, winners_only=smoothing.kind == "vote")
