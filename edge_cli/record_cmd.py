"""`edgecls record`: keep what a source gives, with its times, to run it again."""

from __future__ import annotations

import math
import threading
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_cli.camera_options import (
    CameraFormatOption,
    CameraFpsOption,
    CameraRequest,
    CameraSizeOption,
    FrozenAfterOption,
)
from edge_cli.recording_options import RecordingRequest, opened_recorder
from edge_cli.run_output import say
from edge_cli.source_options import (
    DropOption,
    ImageFpsOption,
    LoopOption,
    OpenTimeoutOption,
    RawOption,
    ReadTimeoutOption,
    RetriesOption,
    RtspTransportOption,
    SourceRequest,
)
from models.errors import OutputError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.recording.recorder import Recorder
    from runtime.sources import FrameSource, SourceOptions

_LONGEST_S = 31 * 86_400.0


def record(
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="FILE.mkv", help="The recording; must not exist yet."
        ),
    ],
    source: Annotated[
        str,
        typer.Option("--source", "-s", metavar="SOURCE", help="As for edgecls run."),
    ],
    duration: Annotated[
        float | None,
        typer.Option(
            metavar="S", show_default="until Ctrl-C or the end", help="Seconds to record."
        ),
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE",
            show_default="until the disk is full",
            help="Size at which it ends, e.g. 10GB.",
        ),
    ] = None,
    drop: DropOption = None,
    retries: RetriesOption = None,
    open_timeout: OpenTimeoutOption = None,
    read_timeout: ReadTimeoutOption = None,
    rtsp_transport: RtspTransportOption = None,
    frozen_after: FrozenAfterOption = None,
    camera_size: CameraSizeOption = None,
    camera_fps: CameraFpsOption = None,
    camera_format: CameraFormatOption = None,
    loop: LoopOption = False,
    image_fps: ImageFpsOption = None,
    raw: RawOption = None,
) -> None:
    """Record a source, bit for bit: all its pictures, their times, and what befalls it.

    Players show the file as a video. edgecls run --replay gives what a live run
    would have given. Ctrl-C ends it cleanly.

    Example: edgecls record --source camera0 -o out.mkv
    """
    from models.sizes import bytes_from_text

    if duration is not None and not (math.isfinite(duration) and 0 < duration <= _LONGEST_S):
        raise UsageError(
            f"--duration must be above 0 and at most {_LONGEST_S:g} seconds, got {duration:g}."
        )
    asked = RecordingRequest(
        path=output, limit_bytes=None if size is None else bytes_from_text(size, option="--size")
    )
    options = SourceRequest.given(
        drop=drop,
        retries=retries,
        open_timeout_s=open_timeout,
        read_timeout_s=read_timeout,
        rtsp_transport=rtsp_transport,
        frozen_after_s=frozen_after,
        camera=CameraRequest(size=camera_size, fps=camera_fps, pixel_format=camera_format),
        loop=loop,
        image_fps=image_fps,
        raw=raw,
    ).options([source])
    recorder = _record(source, options, asked, duration)
    for note in recorder.notes():
        say(note)
    if recorder.cut and not recorder.full:
        raise OutputError(
            f"The recording {output} ended early: {recorder.cut}.",
            hint=f"df -h {output.parent}",
        )


def _record(
    name: str, options: SourceOptions, asked: RecordingRequest, duration_s: float | None
) -> Recorder:
    """Record until the source, the user, or a limit ends it."""
    from edge_cli.stop import StopRequest
    from runtime.recording.recorded import RecordedSource
    from runtime.records import SourceEvent
    from runtime.sources import open_source

    with StopRequest() as stop, ExitStack() as stack:
        source = stack.enter_context(
            open_source(name, replace(options, stopping=lambda: stop.received))
        )
        recorder = opened_recorder(source, name, asked)
        recorded = stack.enter_context(RecordedSource(source, recorder))
        stop.then = recorded.interrupt
        say(f"recording {source.description} as {asked.path}; Ctrl-C ends it")
        over = _over(source, duration_s, stack, interrupt=recorded.interrupt)
        for item in recorded.frames():
            if isinstance(item, SourceEvent):
                say(f"{source.description}: {item.text}")
            if recorder.cut or over(item.time_s):
                break
    return recorder


def _over(
    source: FrameSource,
    duration_s: float | None,
    stack: ExitStack,
    *,
    interrupt: Callable[[], None],
) -> Callable[[float], bool]:
    """Whether the time is over at a time of the source; a live one that is silent is interrupted.

    Args:
        source: Open.
        duration_s: None for no limit.
        stack: Ends what was begun here.
        interrupt: Ends the source.
    """
    if duration_s is None:
        return lambda time_s: False
    if source.live:
        timer = threading.Timer(duration_s, interrupt)
        timer.daemon = True
        stack.callback(timer.cancel)
        timer.start()
        return lambda time_s: False
    return lambda time_s: time_s >= duration_s
