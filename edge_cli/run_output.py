"""Where the results of `edgecls run` go: stdout, and the video of `--save`."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from models.errors import UsageError

if TYPE_CHECKING:
    from edge_cli.render import Renderer
    from edge_cli.run_request import RunRequest
    from runtime.annotate import AnnotatedVideo
    from runtime.records import Prediction
    from runtime.sources import FrameSource

FALLBACK_FPS = 25.0
"""Frame rate of `--save` when the source does not tell its own."""


class Output:
    """Writes results to stdout, each at once.

    Args:
        renderer: The format; its opening is written now.
        changes: Leave out a result whose best class is that of the one before, of its source.
    """

    def __init__(self, renderer: Renderer, *, changes: bool) -> None:
        self._renderer = renderer
        self._changes = changes
        self._last: dict[int, str | None] = {}
        self._write(renderer.opening())

    def write(self, prediction: Prediction) -> None:
        """Write a result, unless only changes are wanted and this is none."""
        label = prediction.top[0].label if prediction.top else None
        known = prediction.stream in self._last
        if self._changes and known and label == self._last[prediction.stream]:
            return
        self._last[prediction.stream] = label
        self._write(self._renderer.window(prediction))

    def _write(self, text: str) -> None:
        if text:
            sys.stdout.write(text)
            sys.stdout.flush()


def video_of(request: RunRequest, source: FrameSource, stack: ExitStack) -> AnnotatedVideo | None:
    """The video of `--save`, entered into the stack; None when there is to be none.

    Raises:
        UsageError: It would overwrite the video that is read.
        OutputError: It cannot be written.
    """
    from runtime.annotate import AnnotatedVideo

    if request.save is None:
        return None
    same = Path(request.sources[0])
    if request.save.exists() and same.exists() and request.save.samefile(same):
        raise UsageError(
            f"--save {request.save} would overwrite the video that is read.",
            hint=f"--save {request.save.stem}-labelled{request.save.suffix}",
        )
    return stack.enter_context(AnnotatedVideo(request.save, source.fps or FALLBACK_FPS))


def say(line: str) -> None:
    """Write a line to stderr."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
