"""What `edgecls run` is asked for, and which options go together."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from models.errors import UsageError

if TYPE_CHECKING:
    from models.spec import ClipSpec
    from runtime.views import Views as ViewCount


class Sampling(str, Enum):
    """How clips are cut out of the video."""

    SLIDING = "sliding"
    UNIFORM = "uniform"
    DENSE = "dense"


class Views(str, Enum):
    """Crops per frame."""

    ONE = "1"
    TEN = "10"


class Precision(str, Enum):
    """Which graph runs."""

    AUTO = "auto"
    FP32 = "fp32"
    FP16 = "fp16"
    INT8 = "int8"


class Format(str, Enum):
    """How predictions are written."""

    TEXT = "text"
    JSONL = "jsonl"
    CSV = "csv"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """A run, as asked for on the command line.

    Attributes:
        source: As the user wrote it.
        backend: None to choose.
        precision: Of the graph.
        window_s: None for the length the model was trained on.
        stride_s: None for a tenth of the window.
        sampling: How clips are cut out.
        views: None for what the model was tested with, where it is run as it was tested.
        top_k: Classes per window.
        threshold: Least probability reported.
        fmt: Output format.
        changes: Report only windows whose best class differs from that of the one before.
        max_windows: Stop after so many.
        save: Annotated video to write.
        threads: Threads of the engine.

    Raises:
        UsageError: A number is out of range, or an option has no meaning with another.
    """

    source: str
    backend: str | None
    precision: Precision
    window_s: float | None
    stride_s: float | None
    sampling: Sampling
    views: Views | None
    top_k: int
    threshold: float
    fmt: Format
    changes: bool
    max_windows: int | None
    save: Path | None
    threads: int | None

    def __post_init__(self) -> None:
        if not 0 <= self.threshold <= 1:
            raise UsageError(f"--threshold must be from 0 to 1, got {self.threshold}.")
        for name, value_s in (("window", self.window_s), ("stride", self.stride_s)):
            if value_s is not None and not (math.isfinite(value_s) and value_s > 0):
                raise UsageError(f"--{name} must be more than 0 seconds, got {value_s}.")
            if value_s is not None and self.sampling is not Sampling.SLIDING:
                whole = f"--sampling {self.sampling.value}"
                raise UsageError(
                    f"--{name} has no meaning with {whole}, which takes the whole file.",
                    hint=f"Leave out --{name}, or {whole}.",
                )
        if self.views is not None and self.sampling is Sampling.DENSE:
            raise UsageError(
                "--views has no meaning with --sampling dense, which takes ten clips in three"
                " crops each.",
                hint="Leave out --views, or --sampling uniform --views 10.",
            )

    def views_of(self, clip: ClipSpec) -> ViewCount:
        """Views of a clip; of sliding windows one unless asked otherwise, as each costs a run."""
        if self.sampling is Sampling.DENSE:
            from runtime.whole_file import DENSE_VIEWS

            return DENSE_VIEWS
        if self.views is None:
            return clip.views if self.sampling is Sampling.UNIFORM else 1
        return 10 if self.views is Views.TEN else 1

    def inferences_per_result(self, clip: ClipSpec) -> int:
        """How often the model runs for one result: views times clips."""
        from runtime.sampling import DENSE_CLIPS

        clips = DENSE_CLIPS if self.sampling is Sampling.DENSE else 1
        return clips * self.views_of(clip)
