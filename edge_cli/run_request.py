"""What `edgecls run` is asked for, and which options go together."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from edge_cli.event_request import Fsync
from edge_cli.stream_request import StreamRequest
from models.errors import UsageError

if TYPE_CHECKING:
    from edge_cli.degrade_options import DegradeRequest
    from edge_cli.recording_options import RecordingRequest
    from edge_cli.serve_options import ServeRequest
    from models.card import ModelCard
    from models.spec import ClipSpec
    from runtime.clip_classifier import Decoding
    from runtime.engine_request import EngineRequest
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

    @property
    def number(self) -> ViewCount:
        """How many."""
        return 10 if self is Views.TEN else 1


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
        streams: In the order of their numbers.
        engine: What is asked of the engine.
        sampling: How clips are cut out.
        reuse: Whether overlapping windows share work.
        views: None for what the model was tested with, where it is run as it was tested.
        fmt: Output format.
        changes: Report only windows whose best class differs from that of the one before.
        max_windows: Stop after so many.
        save: Annotated video to write.
        show: Whether windows on the screen show it.
        degrade: What to do when results are late; None for nothing.
        fsync: Of all files of results; None for the usual.
        queue_dir: Where deliveries wait; None for the user's folder for state.
        serve: The watch page; None for none.
        recording: Of what the run sees; None for none.

    Raises:
        UsageError: An option has no meaning with another.
    """

    streams: tuple[StreamRequest, ...]
    engine: EngineRequest
    sampling: Sampling
    reuse: Reuse
    views: Views | None
    fmt: Format
    changes: bool
    max_windows: int | None
    save: Path | None
    fsync: Fsync | None = None
    queue_dir: Path | None = None
    serve: ServeRequest | None = None
    show: bool = False
    degrade: DegradeRequest | None = None
    recording: RecordingRequest | None = None

    def __post_init__(self) -> None:
        for stream in self.streams:
            try:
                self._check_stream(stream)
            except UsageError as error:
                raise stream.mistaken(error) from None
        self._check_outputs()
        if self.sampling.whole:
            self._check_whole()
        if len(self.streams) > 1 and self.save is not None:
            raise UsageError(
                f"--save writes the video of one source, got {len(self.streams)}.",
                hint="Leave out --save, or give one --source.",
            )
        self._check_degrade()
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

    def _check_stream(self, stream: StreamRequest) -> None:
        """Refuse what has no meaning with the sampling."""
        asked = f"--sampling {self.sampling.value}"
        for name, value_s in stream.times():
            if value_s is not None and self.sampling.whole:
                raise UsageError(
                    f"--{name} has no meaning with {asked}, which takes the whole file.",
                    hint=f"Leave out --{name}, or {asked}.",
                )
        if self.sampling.whole and stream.source_options.loop:
            raise UsageError(
                f"--loop has no meaning with {asked}, which takes the whole file once.",
                hint="Leave out --loop, or --sampling sliding.",
            )
        if self.sampling is not Sampling.SLIDING and (stream.gap or stream.gap_after_s):
            raise UsageError(
                "--gap and --gap-after are about the grid of --sampling sliding; with"
                f" {asked} there is none.",
                hint="Leave them out, or --sampling sliding.",
            )
        if self.sampling.whole and (stream.with_events or stream.events.smooth):
            raise UsageError(
                f"{asked} gives one result: nothing to smooth, and no event that begins or ends.",
                hint="Leave out the options about events, or --sampling sliding.",
            )

    def _check_whole(self) -> None:
        """Refuse what has no meaning where the whole file is one result."""
        from runtime.sources.pipe import PIPE

        if any(stream.source == PIPE for stream in self.streams):
            raise UsageError(
                f"--sampling {self.sampling.value} may have to read a video twice, and stdin comes"
                " once.",
                hint="Give the file itself, or --sampling sliding.",
            )
        if self.reuse not in (Reuse.AUTO, Reuse.OFF):
            raise UsageError(
                f"--reuse {self.reuse.value} has no meaning with --sampling {self.sampling.value},"
                " which gives one result: there is no other to share work with.",
                hint="Leave out --reuse, or --sampling sliding.",
            )
        for name, value in (("serve", self.serve), ("show", self.show)):
            if value:
                raise UsageError(
                    f"--{name} has no meaning with --sampling {self.sampling.value}, which gives"
                    " one result at the end.",
                    hint=f"Leave out --{name}, or --sampling sliding.",
                )
        if len(self.streams) > 1:
            raise UsageError(
                f"--sampling {self.sampling.value} takes one source, got {len(self.streams)}.",
                hint="Run it once for each, or edgecls eval --clips FOLDER.",
            )

    def _check_outputs(self) -> None:
        """Refuse a file of two kinds, a folder of two limits, and options without outputs."""
        outputs = [stream.outputs for stream in self.streams]
        kinds: dict[Path, str] = {}
        for file in (file for one in outputs for file in one.files):
            kind = kinds.setdefault(file.path.absolute(), file.kind)
            if kind != file.kind:
                raise UsageError(
                    f"--output names {file.path} as {kind} and as {file.kind}.",
                    hint="Give each its own file.",
                )
        limits: dict[Path, int | None] = {}
        for one in outputs:
            if one.clips is not None:
                limit = limits.setdefault(one.clips.absolute(), one.clips_limit_bytes)
                if limit != one.clips_limit_bytes:
                    raise UsageError(
                        f"--record-limit is another for two streams with films in {one.clips}.",
                        hint="Give each its own folder, or both the same limit.",
                    )
        if self.fsync is not None and not kinds:
            raise UsageError("--fsync has no meaning without --output jsonl:FILE.")
        if self.queue_dir is not None and not any(one.webhooks or one.mqtt for one in outputs):
            raise UsageError("--queue-dir has no meaning without --webhook URL.")

    def top_k_of(self, kind: str) -> tuple[int, ...]:
        """Classes per result of a format, by stream."""
        return tuple(stream.top_k_of(kind) for stream in self.streams)

    def most_classes(self) -> int:
        """Classes per result of the format and stream that have most."""
        return max(self.classes_of(number) for number in range(len(self.streams)))

    def classes_of(self, stream: int) -> int:
        """Classes per result of a stream in the format that has most."""
        asked = self.streams[stream]
        kinds = [self.fmt.value, *(file.kind for file in asked.outputs.files)]
        return max(map(asked.top_k_of, kinds))

    def decoding(self, card: ModelCard) -> Decoding:
        """What is decoded of every result: all that any stream wants to tell of it.

        Args:
            card: Of the model.
        """
        from runtime.clip_classifier import Decoding

        least = min(stream.threshold for stream in self.streams)
        return Decoding(card=card, top_k=self.most_classes(), threshold=least)

    def views_of(self, clip: ClipSpec) -> ViewCount:
        """Views of a clip; of sliding windows one unless asked otherwise, as each costs a run."""
        if self.sampling is Sampling.DENSE:
            from runtime.whole_file import DENSE_VIEWS

            return DENSE_VIEWS
        if self.views is None:
            return clip.views if self.sampling is Sampling.UNIFORM else 1
        return self.views.number

    def inferences_per_result(self, clip: ClipSpec) -> int:
        """How often the model runs for one result: views times clips."""
        from runtime.sampling import DENSE_CLIPS

        clips = DENSE_CLIPS if self.sampling is Sampling.DENSE else 1
        return clips * self.views_of(clip)
