"""Outputs of a run that see its frames: the page, windows, the film of `--save`, a service."""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import TYPE_CHECKING

from edge_cli.run_output import video_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_cli.render import RunHeader
    from edge_cli.run_outputs import RunStream
    from edge_cli.run_request import RunRequest
    from edge_cli.stop import StopRequest
    from runtime.annotate import AnnotatedVideo
    from runtime.degrade.news import DegradeNews
    from runtime.outputs import EventNews, FrameOutput
    from runtime.outputs.run_end import RunEnd
    from runtime.records import Frame, Prediction, ScoredLabel, SourceEvent
    from runtime.sources import FrameSource


class SavedVideo:
    """The film of `--save`: every frame of the only source, with the newest result.

    Args:
        video: Closed by others.
        top_k: Classes drawn.
    """

    def __init__(self, video: AnnotatedVideo, *, top_k: int) -> None:
        self._video = video
        self._top_k = top_k
        self._newest: Sequence[ScoredLabel] = ()

    def prediction(self, prediction: Prediction) -> None:
        """Draw it onto what comes from now on."""
        self._newest = prediction.top[: self._top_k]

    def event(self, news: EventNews) -> None:
        """Films show classes, and no events."""

    def source_event(self, event: SourceEvent, stream: int) -> None:
        """No class of before a break is drawn onto a picture of after it."""
        if event.breaks:
            self._newest = ()

    def degraded(self, news: DegradeNews) -> None:
        """Films do not show it."""

    def ended(self, end: RunEnd) -> None:
        """Films do not show it."""

    def wants_frame(self, stream: int) -> bool:
        """All of them."""
        return True

    def frame(self, frame: Frame, stream: int) -> None:
        """Append a frame.

        Raises:
            OutputError: The disk is full, and the source no live one.
        """
        self._video.write(frame, self._newest)

    def source_ended(self, stream: int) -> None:
        """The run ends with its only source."""

    def close(self, *, grace_s: float) -> None:
        """The film is complete only when the run has ended well, which is known later."""

    def notes(self) -> tuple[str, ...]:
        """None: what there is to say is known later."""
        return ()


def open_viewers(
    request: RunRequest,
    header: RunHeader,
    sources: Sequence[FrameSource],
    streams: Sequence[RunStream],
    *,
    stop: StopRequest,
    stack: ExitStack,
) -> tuple[FrameOutput, ...]:
    """Open those that were asked for, and who tells a service manager, where there is one.

    Args:
        request: As asked for.
        header: Of the results.
        sources: Open.
        streams: What outputs must know of them.
        stop: Asked when the user ends the run in a window.
        stack: Closes them.

    Raises:
        UsageError: The film would overwrite the video that is read.
        OutputError: No film can be written there; the port of the page is taken; no display.
        MissingExtra: The extra `serve` is not installed, or OpenCV has no windows.
    """
    from runtime.service.output import service_output

    viewers: list[FrameOutput] = []
    video = video_of(request, sources[0], stack)
    if video is not None:
        viewers.append(SavedVideo(video, top_k=header.top_k))
    if request.serve is not None:
        from edge_cli.serve_options import open_page

        viewers.append(stack.enter_context(open_page(request.serve, header, sources, streams)))
    if request.show:
        from runtime.outputs.window import Windows

        windows = Windows([stream.name for stream in streams], top_k=header.top_k, ended=stop.ask)
        viewers.append(stack.enter_context(windows))
    service = service_output(os.environ, [stream.name for stream in streams])
    if service is not None:
        viewers.append(stack.enter_context(service))
    return tuple(viewers)
