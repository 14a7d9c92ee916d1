"""What `edgecls classify` is asked for, and which options go together."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from models.errors import UsageError

if TYPE_CHECKING:
    from edge_cli.run_request import Views
    from models.spec import ClipSpec
    from runtime.engine_request import EngineRequest
    from runtime.views import Views as ViewCount


class ArchiveEngine(str, Enum):
    """What spreads the files over processors or machines."""

    LOCAL = "local"
    RAY = "ray"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifyRequest:
    """An archive, as asked for on the command line.

    Attributes:
        places: Files, folders and patterns.
        lists: Files with a path per line.
        output: Where results go.
        engine: What spreads the files.
        asked: Of the engine that runs the model.
        workers: Files that are worked on at a time; None for the CPUs there are.
        parallel: Of them, how many run the model at a time; None for all.
        address: Of a cluster of Ray.
        views: None for what the model was tested with.
        top_k: Classes per file.
        threshold: Least probability told.
        force: Start anew, whatever there is.
        update: Keep the results that an output has, but for files that failed.
        command: The words of the command line, to go on with.

    Raises:
        UsageError: An option has no meaning with another.
    """

    places: tuple[str, ...]
    lists: tuple[str, ...]
    output: Path
    engine: ArchiveEngine
    asked: EngineRequest
    workers: int | None
    parallel: int | None
    address: str | None
    views: Views | None
    top_k: int
    threshold: float
    force: bool
    update: bool
    command: str

    def __post_init__(self) -> None:
        from runtime.decode import check_decoding

        check_decoding(top_k=self.top_k, threshold=self.threshold)
        if self.force and self.update:
            raise UsageError(
                "--update keeps results that --force throws away.", hint="Leave out one of the two."
            )
        if self.engine is ArchiveEngine.LOCAL and self.address is not None:
            raise UsageError(
                "--address is that of a cluster of Ray.", hint="--engine ray --address HOST:6379"
            )
        if self.engine is ArchiveEngine.RAY and self.parallel is not None:
            raise UsageError(
                "--parallel is about the one model of --engine local; every worker of Ray has its"
                " own.",
                hint="--workers N",
            )

    def views_of(self, clip: ClipSpec) -> ViewCount:
        """Views of a clip: as asked for, or as the model was tested."""
        if self.views is None:
            return clip.views
        return self.views.number
