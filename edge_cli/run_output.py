"""The video of `--save`, and lines on stderr."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from models.errors import UsageError
from models.plain_text import plain

if TYPE_CHECKING:
    from edge_cli.run_request import RunRequest
    from runtime.annotate import AnnotatedVideo
    from runtime.sources import FrameSource

FALLBACK_FPS = 25.0
"""Frame rate of `--save` when the source does not tell its own."""


def video_of(request: RunRequest, source: FrameSource, stack: ExitStack) -> AnnotatedVideo | None:
    """The video of `--save`, entered into the stack; None when there is to be none.

    Raises:
        UsageError: It would overwrite the video that is read.
        OutputError: It cannot be written.
    """
    from runtime.annotate import AnnotatedVideo

    if request.save is None:
        return None
    same = Path(request.streams[0].source)
    if request.save.exists() and same.exists() and request.save.samefile(same):
        raise UsageError(
            f"--save {request.save} would overwrite the video that is read.",
            hint=f"--save {request.save.stem}-labelled{request.save.suffix}",
        )
    fps = source.fps or FALLBACK_FPS
    video = AnnotatedVideo(request.save, fps, live=source.live)
    stack.callback(lambda: say(video.ended) if video.ended else None)
    return stack.enter_context(video)


def say(line: str) -> None:
    """Write a line to stderr; what files and servers told does not steer the terminal."""
    sys.stderr.write(f"{plain(line)}\n")
    sys.stderr.flush()
