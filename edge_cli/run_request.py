"""What `edgecls run` is asked for, and which options go together."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from edge_cli.event_request import EventRequest, OutputRequest
from models.errors import UsageError

if TYPE_CHECKING:
    from edge_cli.degrade_options import DegradeRequest
    from edge_cli.serve_options import ServeRequest
    from models.spec import ClipSpec
    from runtime.sources import SourceOptions
    from runtime.views import Views as ViewCount


class Sampling(str, Enum):
    """How clips are cut out of the video."""

    SLIDING = "sliding"
    WINDOWED = "windowed"
    UNIFORM = "uniform"
    DENSE = "dense"

    @property
    def whole(self) -> bool:
        """Whether the whole file is one result."""
        return self in (Sampling.UNIFORM, Sampling.DENSE)


class Gap(str, Enum):
    """What becomes of the frames before a gap."""

    RESET = "reset"
    HOLD = "hold"


class Reuse(str, Enum):
    """Whether overlapping windows share work."""

    AUTO = "auto"
    EXACT = "exact"
    APPROX = "approx"
    OFF = "off"


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
        sources: As the user wrote them.
        backend: None to choose.
        precision: Of the graph.
        window_s: None for the length the model was trained on.
        stride_s: None for the interval of the frames of a clip, or of `windowed` a tenth of the
            window.
        sampling: How clips are cut out.
        gap: None for `reset`.
        gap_after_s: Seconds without a frame that count as a gap; None for the usual.
        reuse: Whether overlapping windows share work.
        views: None for what the model was tested with, where it is run as it was tested.
        top_k: Classes per window; None for the usual of each format.
        threshold: Least probability reported.
        fmt: Output format.
        changes: Report only windows whose best class differs from that of the one before.
        max_windows: Stop after so many.
        save: Annotated video to write.
        show: Whether windows on the screen show it.
        degrade: What to do when results are late; None for nothing.
        threads: Threads of the engine.
        source_options: How sources are opened and read.
        events: Smoothing and events.
        outputs: Where results and events go besides stdout.
        serve: The watch page; None for none.

    Raises:
        UsageError: A number is out of range, or an option has no meaning with another.
    """

    sources: tuple[str, ...]
    backend: str | None
    precision: Precision
    window_s: float | None
    stride_s: float | None
    sampling: Sampling
    gap: Gap | None
    gap_after_s: float | None
    reuse: Reuse
    views: Views | None
    top_k: int | None
    threshold: float
    fmt: Format
    changes: bool
    max_windows: int | None
    save: Path | None
    threads: int | None
    source_options: SourceOptions
    events: EventRequest = field(default_factory=EventRequest)
    outputs: OutputRequest = field(default_factory=OutputRequest)
    serve: ServeRequest | None = None
    show: bool = False
    degrade: DegradeRequest | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.threshold <= 1:
            raise UsageError(f"--threshold must be from 0 to 1, got {self.threshold}.")
        for name, value_s in (
            ("window", self.window_s),
            ("stride", self.stride_s),
            ("gap-after", self.gap_after_s),
        ):
            if value_s is not None and not (math.isfinite(value_s) and value_s > 0):
                raise UsageError(f"--{name} must be more than 0 seconds, got {value_s}.")
            if value_s is not None and self.sampling.whole:
                whole = f"--sampling {self.sampling.value}"
                raise UsageError(
                    f"--{name} has no meaning with {whole}, which takes the whole file.",
                    hint=f"Leave out --{name}, or {whole}.",
                )
        if self.sampling is not Sampling.SLIDING and (self.gap or self.gap_after_s):
            raise UsageError(
                "--gap and --gap-after are about the grid of --sampling sliding; with --sampling"
                f" {self.sampling.value} there is none.",
                hint="Leave them out, or --sampling sliding.",
            )
        if self.sampling.whole and self.reuse not in (Reuse.AUTO, Reuse.OFF):
            raise UsageError(
                f"--reuse {self.reuse.value} has no meaning with --sampling {self.sampling.value},"
                " which gives one result: there is no other to share work with.",
                hint="Leave out --reuse, or --sampling sliding.",
            )
        if self.sampling.whole and (
            self.events.given or self.events.smooth or self.outputs.of_events
        ):
            raise UsageError(
                f"--sampling {self.sampling.value} gives one result: nothing to smooth, and no"
                " event that begins or ends.",
                hint="Leave out the options about events, or --sampling sliding.",
            )
        if self.sampling.whole and self.source_options.loop:
            raise UsageError(
                f"--loop has no meaning with --sampling {self.sampling.value}, which takes the"
                " whole file once.",
                hint="Leave out --loop, or --sampling sliding.",
            )
        if self.sampling.whole and self.serve is not None:
            raise UsageError(
                f"--serve has no meaning with --sampling {self.sampling.value}, which gives one"
                " result at the end.",
                hint="Leave out --serve, or --sampling sliding.",
            )
        if self.sampling.whole and self.show:
            raise UsageError(
                f"--show has no meaning with --sampling {self.sampling.value}, which gives one"
                " result at the end.",
                hint="Leave out --show, or --sampling sliding.",
            )
        self._check_degrade()
        self._check_several()
        if self.views is not None and self.sampling is Sampling.DENSE:
            raise UsageError(
                "--views has no meaning with --sampling dense, which takes ten clips in three"
                " crops each.",
                hint="Leave out --views, or --sampling uniform --views 10.",
            )

    def _check_degrade(self) -> None:
        """Refuse a largest latency where it has no meaning."""
        if self.degrade is None:
            return
        if self.sampling.whole:
            raise UsageError(
                f"--max-latency has no meaning with --sampling {self.sampling.value}, which gives"
                " one result at the end.",
                hint="Leave out --max-latency, or --sampling sliding.",
            )
        if self.reuse is Reuse.APPROX:
            raise UsageError(
                "--max-latency does not go with --reuse approx, whose results wait for the next"
                " interval by themselves.",
                hint="--reuse exact, or leave out --max-latency.",
            )

    def _check_several(self) -> None:
        """Refuse several sources where only one has a meaning."""
        if len(self.sources) == 1:
            return
        if self.sampling.whole:
            raise UsageError(
                f"--sampling {self.sampling.value} takes one source, got {len(self.sources)}.",
                hint="Run it once for each, or edgecls eval --clips FOLDER.",
            )
        if self.save is not None:
            raise UsageError(
                f"--save writes the video of one source, got {len(self.sources)}.",
                hint="Leave out --save, or give one --source.",
            )

    def top_k_of(self, kind: str) -> int:
        """Classes per result of a format."""
        return self.top_k or (2 if kind == "text" else 5)

    def most_classes(self) -> int:
        """Classes per result of the format that has most."""
        kinds = [self.fmt.value, *(file.kind for file in self.outputs.files)]
        return max(map(self.top_k_of, kinds))

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
