"""What spreads the files of an archive over processors or machines: one small protocol."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from runtime.archive.result import FileResult

Stopping = Callable[[], bool]
"""Whether somebody asked to stop; what is being worked on is finished then."""


class Engine(Protocol):
    """Classifies files, several at a time."""

    def results(self, files: Sequence[str], stopping: Stopping) -> Iterator[FileResult]:
        """Classify files.

        Args:
            files: Each once.
            stopping: Looked at before a file is begun.

        Yields:
            One result per file in any order, as soon as it is there; fewer after a stop. A file
            that cannot be used, or crashes what decodes it, is a result.

        Raises:
            BackendError: The model does not run.
        """
