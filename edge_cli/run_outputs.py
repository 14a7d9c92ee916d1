"""The outputs that the streams of a run ask for, each opened once however many ask for it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from edge_cli.outputs.lines import StdoutLines
from edge_cli.outputs.of_streams import OfStreams
from edge_cli.render import FILE_FORMATS, FORMATS

if TYPE_CHECKING:
    from edge_cli.event_request import OutputRequest
    from edge_cli.render import RunHeader
    from edge_cli.run_request import RunRequest
    from edge_cli.stream_request import StreamRequest
    from runtime.outputs import Output
    from runtime.outputs.clip_recorder import ClipSettings
    from runtime.outputs.clips import EventClips
    from runtime.sampling import WindowSpec

Asked = TypeVar("Asked")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStream:
    """What the outputs must know of a stream.

    Attributes:
        name: Without secrets.
        live: Whether it goes on while nobody reads it.
        window: None where the whole file is one result.
    """

    name: str
    live: bool
    window: WindowSpec | None = None


def open_outputs(
    request: RunRequest, header: RunHeader, streams: Sequence[RunStream]
) -> tuple[list[Output], dict[int, EventClips]]:
    """Open all that was asked for, stdout last.

    Args:
        request: As asked for.
        header: Of the results.
        streams: The sources.

    Returns:
        What is told of results and events, and by stream where its films go.

    Raises:
        UsageError: An address is none.
        OutputError: An output cannot be written.
        MissingExtra: MQTT is asked for and not installed.
    """
    with ExitStack() as opened:
        outputs: list[Output] = []
        # What is to be delivered is queued before anybody else hears of it, and stdout says
        # nothing before everything else is known to work.
        for output in (*_deliveries(request, header), *_files(request, header, streams)):
            outputs.append(output)
            opened.callback(output.close, grace_s=0.0)
        films = _films(request, header, streams)
        top_k = request.top_k_of(request.fmt.value)
        renderer = FORMATS[request.fmt.value](header)
        outputs.append(StdoutLines(renderer, top_k=top_k, changes=request.changes))
        opened.pop_all()
    return outputs, films


def _by_asked(
    request: RunRequest, asked: Callable[[OutputRequest], Iterable[Asked]]
) -> dict[Asked, list[int]]:
    """What is asked for, in the order in which it is, with the streams that do."""
    found: dict[Asked, list[int]] = {}
    for number, stream in enumerate(request.streams):
        for one in asked(stream.outputs):
            found.setdefault(one, []).append(number)
    return found


def _of_streams(output: Output, numbers: Sequence[int], request: RunRequest) -> Output:
    return output if len(numbers) == len(request.streams) else OfStreams(output, numbers)


def _deliveries(request: RunRequest, header: RunHeader) -> Iterator[Output]:
    from edge_cli.outputs.deliveries import delivered_events

    webhooks = _by_asked(request, lambda one: one.webhooks)
    mqtt = _by_asked(request, lambda one: one.mqtt)
    if not (webhooks or mqtt):
        return
    outputs = delivered_events(
        list(webhooks),
        list(mqtt),
        queue_dir=request.queue_dir,
        model=str(header.facts["model"]),
        run=uuid.uuid4().hex[:12],
        sources=header.sources,
    )
    for output, numbers in zip(outputs, [*webhooks.values(), *mqtt.values()], strict=True):
        yield _of_streams(output, numbers, request)


def _files(
    request: RunRequest, header: RunHeader, streams: Sequence[RunStream]
) -> Iterator[Output]:
    from edge_cli.outputs.lines import FileLines
    from runtime.outputs.line_file import Sync, WhenFull

    asked = _by_asked(
        request, lambda one: [(file.kind, file.path.absolute()) for file in one.files]
    )
    sync = Sync.EVENTS if request.fsync is None else Sync(request.fsync.value)
    for (kind, path), numbers in asked.items():
        top_k = request.top_k_of(kind)
        most = max(top_k[number] for number in numbers)
        live = any(streams[number].live for number in numbers)
        output = FileLines(
            path,
            kind,
            FILE_FORMATS[kind](replace(header, top_k=most)),
            top_k=top_k,
            sync=sync,
            when_full=WhenFull.DROP if live else WhenFull.FAIL,
        )
        yield _of_streams(output, numbers, request)


def _films(
    request: RunRequest, header: RunHeader, streams: Sequence[RunStream]
) -> dict[int, EventClips]:
    from runtime.outputs.clips import EventClips

    folders = _by_asked(request, lambda one: [one.clips.absolute()] if one.clips else [])
    live = [stream.live for stream in streams]
    films: dict[int, EventClips] = {}
    for folder, numbers in folders.items():
        settings = {
            number: _film_settings(folder, request.streams[number], header, streams[number])
            for number in numbers
        }
        clips = EventClips(settings, live=live)
        films |= dict.fromkeys(numbers, clips)
    return films


def _film_settings(
    folder: Path, asked: StreamRequest, header: RunHeader, stream: RunStream
) -> ClipSettings:
    from runtime.outputs.clip_recorder import ClipSettings

    wanted, usual = asked.outputs, ClipSettings(folder=folder)
    window_s = usual.pre_roll_s if stream.window is None else stream.window.length_s
    rules = asked.events.rules(header.labels)
    least_s = max((rule.least_s for rule in rules if rule is not None), default=0.0)
    return replace(
        usual,
        pre_roll_s=window_s if wanted.pre_roll_s is None else wanted.pre_roll_s,
        post_roll_s=usual.post_roll_s if wanted.post_roll_s is None else wanted.post_roll_s,
        held_back_s=usual.held_back_s + least_s,
        limit_bytes=wanted.clips_limit_bytes,
    )
