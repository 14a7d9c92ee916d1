"""`--record`, `--record-size` and `--replay` of `edgecls run`."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_cli.run_output import say
from models.errors import UsageError

if TYPE_CHECKING:
    from edge_cli.stream_request import StreamRequest
    from runtime.recording.recorder import Recorder
    from runtime.sources import FrameSource

_PANEL = "Recordings"

RecordOption = Annotated[
    Path | None,
    typer.Option(
        "--record",
        metavar="FILE.mkv",
        show_default=False,
        rich_help_panel=_PANEL,
        help="Keep what this run sees of its source, to the bit, for --replay.",
    ),
]

RecordSizeOption = Annotated[
    str | None,
    typer.Option(
        "--record-size",
        metavar="SIZE",
        show_default="until the disk is full",
        rich_help_panel=_PANEL,
        help="Where the file of --record ends, e.g. 10GB; the run goes on.",
    ),
]

ReplayOption = Annotated[
    bool,
    typer.Option(
        "--replay",
        rich_help_panel=_PANEL,
        help="The sources are recordings: the same windows and results again, as fast as possible.",
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingRequest:
    """What is recorded of a source.

    Attributes:
        path: Made anew.
        limit_bytes: Size at which it ends; None for none.
    """

    path: Path
    limit_bytes: int | None


def recording_asked(
    record: Path | None, size: str | None, streams: Sequence[StreamRequest], *, whole: bool
) -> RecordingRequest | None:
    """What `--record` and `--record-size` ask for; None for no recording.

    Args:
        record: The file.
        size: As typed.
        streams: What would be recorded.
        whole: The sampling takes whole files.

    Raises:
        UsageError: The options do not go together, or the size is none.
    """
    from models.sizes import bytes_from_text
    from runtime.sources.replay import PREFIX

    if record is None:
        if size is not None:
            raise UsageError(
                "--record-size is for the file of --record, which was not asked for.",
                hint=f"--record out.mkv --record-size {size}",
            )
        return None
    if len(streams) != 1:
        raise UsageError(
            f"--record records one source, got {len(streams)}.",
            hint="Leave out --record, or give one --source.",
        )
    if whole:
        raise UsageError(
            "--record has no meaning with a sampling that takes whole files: they are there.",
            hint="Leave out --record, or --sampling sliding.",
        )
    source = streams[0].source
    if source.startswith(PREFIX):
        raise UsageError(
            "--record of a recording would only copy it.",
            hint=f"cp {source.removeprefix(PREFIX)} {record}",
        )
    limit_bytes = None if size is None else bytes_from_text(size, option="--record-size")
    return RecordingRequest(path=record, limit_bytes=limit_bytes)


def replayed(streams: Sequence[StreamRequest], *, replay: bool) -> tuple[StreamRequest, ...]:
    """The streams; with `--replay` their sources are recordings."""
    from runtime.sources.replay import PREFIX

    if not replay:
        return tuple(streams)
    return tuple(
        stream
        if stream.source.startswith(PREFIX)
        else replace(stream, source=f"{PREFIX}{stream.source}")
        for stream in streams
    )


def opened_recorder(source: FrameSource, name: str, asked: RecordingRequest) -> Recorder:
    """Begin a recording.

    Args:
        source: What is recorded, open.
        name: As the user wrote it; may hold secrets.
        asked: Where.

    Raises:
        OutputError: It cannot be made.
    """
    from runtime.recording.recorded import opening_of
    from runtime.recording.recorder import Recorder
    from runtime.sources.address import masked

    return Recorder(asked.path, opening_of(source, masked(name)), limit_bytes=asked.limit_bytes)


def recorded(
    source: FrameSource, name: str, asked: RecordingRequest | None, stack: ExitStack
) -> FrameSource:
    """The source, recorded if that was asked for; what became of it is said at the end.

    Args:
        source: Open, and closed by the stack.
        name: As the user wrote it.
        asked: None for no recording.
        stack: Of the run.

    Raises:
        OutputError: The recording cannot be made.
    """
    from runtime.recording.recorded import RecordedSource

    if asked is None:
        return source
    recorder = opened_recorder(source, name, asked)
    stack.callback(lambda: _say_all(recorder))
    return stack.enter_context(RecordedSource(source, recorder))


def _say_all(recorder: Recorder) -> None:
    for note in recorder.notes():
        say(note)
