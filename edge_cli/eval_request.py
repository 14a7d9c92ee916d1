"""What `edgecls eval` is asked for, and which options go together."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from edge_cli.engine_options import engine_words
from models.errors import UsageError

if TYPE_CHECKING:
    from edge_cli.run_request import Views
    from models.spec import ClipSpec
    from runtime.engine_request import EngineRequest
    from runtime.views import Views as ViewCount


class WholeSampling(str, Enum):
    """How clips are cut out of a whole file."""

    UNIFORM = "uniform"
    DENSE = "dense"


class Format(str, Enum):
    """How the report is written."""

    TEXT = "text"
    JSON = "json"


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalRequest:
    """An evaluation, as asked for on the command line.

    Attributes:
        bundle: Folder of the model; None for the built-in one.
        clips: As the user wrote it.
        labels: File of class names that the list's labels refer to.
        root: Where relative paths of a list start.
        engine: What is asked of the engine.
        sampling: How clips are cut out of a file.
        views: None for what the model was tested with.
        limit: At most so many clips.
        reference: A bundle, or a precision of the same one, to compare with.
        output: Folder of the results.
        resume: Folder or log of an evaluation to go on with.
        fmt: Output format.

    Raises:
        UsageError: An option has no meaning with another.
    """

    bundle: Path | None
    clips: str
    labels: Path | None
    root: Path | None
    engine: EngineRequest
    sampling: WholeSampling
    views: Views | None
    limit: int | None
    reference: str | None
    output: Path | None
    resume: Path | None
    fmt: Format

    def __post_init__(self) -> None:
        if self.output is not None and self.resume is not None:
            raise UsageError(
                "--output starts an evaluation and --resume goes on with one.",
                hint="Leave one of the two out.",
            )
        if self.views is not None and self.sampling is WholeSampling.DENSE:
            raise UsageError(
                "--views has no meaning with --sampling dense, which takes ten clips in three"
                " crops each.",
                hint="Leave out --views, or --sampling uniform --views 10.",
            )

    @property
    def log(self) -> Path | None:
        """The log of the results; None when nothing is written."""
        from calibration.eval_log import LOG_NAME

        if self.resume is not None:
            return self.resume if self.resume.suffix == ".jsonl" else self.resume / LOG_NAME
        return None if self.output is None else self.output / LOG_NAME

    def views_of(self, clip: ClipSpec) -> ViewCount:
        """Views of a clip: as asked for, or as the model was tested."""
        if self.sampling is WholeSampling.DENSE:
            from runtime.whole_file import DENSE_VIEWS

            return DENSE_VIEWS
        if self.views is None:
            return clip.views
        return self.views.number

    def inferences_per_clip(self, clip: ClipSpec) -> int:
        """How often the model runs for one file: views times clips."""
        from runtime.sampling import DENSE_CLIPS

        clips = DENSE_CLIPS if self.sampling is WholeSampling.DENSE else 1
        return clips * self.views_of(clip)

    def resume_command(self) -> str:
        """The command that goes on with this evaluation."""
        options: tuple[tuple[str, object], ...] = (
            ("--labels", self.labels),
            ("--root", self.root),
            *engine_words(self.engine, precision="fp32"),
            ("--sampling", self.sampling.value if self.sampling.value != "uniform" else None),
            ("--views", self.views and self.views.value),
            ("--limit", self.limit),
            ("--reference", self.reference),
            ("--resume", self.output or self.resume),
        )
        words = ["edgecls", "eval", *([str(self.bundle)] if self.bundle else [])]
        words += ["--clips", self.clips]
        for name, value in options:
            words += [] if value is None else [name] if value is True else [name, str(value)]
        return shlex.join(words)
