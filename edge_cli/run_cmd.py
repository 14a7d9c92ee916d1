"""`edgecls run`: classify a video or a camera, window by window."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_cli.camera_options import (
    CameraFormatOption,
    CameraFpsOption,
    CameraSizeOption,
    FrozenAfterOption,
)
from edge_cli.degrade_options import FallbackOption, MaxLatencyOption, degrade_asked
from edge_cli.engine_options import (
    BackendOption,
    BackendOptionsOption,
    DeviceOption,
    MaxCpuShareOption,
    NoRaceOption,
    PrecisionOption,
    StrictOption,
    engine_asked,
)
from edge_cli.event_options import (
    CooldownOption,
    FsyncOption,
    MinDurationOption,
    MqttOption,
    OffOption,
    OnOption,
    OutputOption,
    PostRollOption,
    PreRollOption,
    QueueDirOption,
    RecordEventsOption,
    RecordLimitOption,
    ShowOption,
    SmoothOption,
    SmoothSpanOption,
    UntilOption,
    WebhookOption,
)
from edge_cli.event_request import film_bytes, output_files
from edge_cli.options import AUTO, BundleArgument, ThreadsOption, open_bundle_argument
from edge_cli.progress import waiting
from edge_cli.recording_options import (
    RecordOption,
    RecordSizeOption,
    ReplayOption,
    recording_asked,
    replayed,
)
from edge_cli.run_output import say
from edge_cli.run_request import Format, Precision, Reuse, RunRequest, Sampling, Views
from edge_cli.serve_options import ServeOption, ServeTokenOption, serve_asked
from edge_cli.source_options import (
    DropOption,
    ImageFpsOption,
    LoopOption,
    OpenTimeoutOption,
    RawOption,
    ReadTimeoutOption,
    RetriesOption,
    RtspTransportOption,
)
from edge_cli.stream_request import Gap, StreamRequest
from models.errors import UsageError

if TYPE_CHECKING:
    from edge_cli.stream_settings import StreamSettings
    from models.bundle import Bundle


def run(
    bundle: BundleArgument = None,
    source: Annotated[
        list[str] | None,
        typer.Option(
            "--source",
            "-s",
            metavar="SOURCE",
            show_default=False,
            help="camera0, rtsp://..., a video file, a folder, - (stdin), demo (the built-in clip),"
            " or another of edgecls sources; again for several at once.",
        ),
    ] = None,
    streams: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            show_default=False,
            help="Instead of --source: a YAML or TOML file of streams, each with its own window,"
            " thresholds and outputs.",
        ),
    ] = None,
    backend: BackendOption = AUTO,
    device: DeviceOption = None,
    backend_option: BackendOptionsOption = None,
    no_race: NoRaceOption = False,
    strict: StrictOption = False,
    max_cpu_share: MaxCpuShareOption = None,
    precision: PrecisionOption = Precision.AUTO,
    window: Annotated[
        float | None,
        typer.Option(
            metavar="S",
            show_default="the clip length the model was trained on",
            help="Seconds of video that one result is about.",
        ),
    ] = None,
    stride: Annotated[
        float | None,
        typer.Option(
            metavar="S",
            show_default="the interval of its frames; windowed: a tenth of it",
            help="Seconds from one window to the next; sliding rounds it to its grid.",
        ),
    ] = None,
    sampling: Annotated[
        Sampling,
        typer.Option(
            help="Windows on a fixed grid, which share their frames; windows sampled each on its"
            " own; or the whole file as Paddle tests it, as one clip, or as ten dense ones in"
            " three crops each."
        ),
    ] = Sampling.SLIDING,
    gap: Annotated[
        Gap | None,
        typer.Option(
            show_default="reset",
            help="Where frames are missing: start the grid anew, or hold the last frame.",
        ),
    ] = None,
    gap_after: Annotated[
        float | None,
        typer.Option(
            metavar="S",
            show_default="two intervals of the grid, at least 1",
            help="Seconds without a frame that count as a gap.",
        ),
    ] = None,
    reuse: Annotated[
        Reuse,
        typer.Option(
            help="Keep what overlapping windows share: exact gives the same results, approx almost"
            " the same for less; auto is exact where it pays.",
        ),
    ] = Reuse.AUTO,
    views: Annotated[
        Views | None,
        typer.Option(
            show_default="uniform: as the model was tested, else 1",
            help="Crops per frame: the centre, or centre and corners, each also mirrored;"
            " costs as many times the inference.",
        ),
    ] = None,
    top: Annotated[
        int | None,
        typer.Option(
            metavar="K",
            min=1,
            show_default="2 as text, else 5",
            help="Classes per result.",
        ),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            metavar="P",
            show_default="0",
            help="Leave out classes less probable than this, 0 to 1.",
        ),
    ] = None,
    fmt: Annotated[
        Format, typer.Option("--format", help="Lines for people, JSON lines, or CSV.")
    ] = Format.TEXT,
    changes: Annotated[
        bool, typer.Option("--changes", help="Write only results whose best class is a new one.")
    ] = False,
    max_windows: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, show_default="no limit", help="Stop after N windows."),
    ] = None,
    save: Annotated[
        Path | None,
        typer.Option(
            metavar="OUT.mp4",
            show_default=False,
            help="Also write the video with the results drawn onto it (.mp4, .mkv, .avi).",
        ),
    ] = None,
    threads: ThreadsOption = None,
    smooth: SmoothOption = None,
    smooth_span: SmoothSpanOption = None,
    on: OnOption = None,
    off: OffOption = None,
    min_duration: MinDurationOption = None,
    cooldown: CooldownOption = None,
    until: UntilOption = None,
    output: OutputOption = None,
    fsync: FsyncOption = None,
    record_events: RecordEventsOption = None,
    pre_roll: PreRollOption = None,
    post_roll: PostRollOption = None,
    record_limit: RecordLimitOption = None,
    webhook: WebhookOption = None,
    mqtt: MqttOption = None,
    queue_dir: QueueDirOption = None,
    serve: ServeOption = None,
    serve_token: ServeTokenOption = None,
    max_latency: MaxLatencyOption = None,
    fallback: FallbackOption = None,
    show: ShowOption = False,
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
    record: RecordOption = None,
    record_size: RecordSizeOption = None,
    replay: ReplayOption = False,
) -> None:
    """Classify a camera or a video, window by window.

    Results go to stdout, everything else to stderr.
    Ctrl-C ends a run cleanly, with a summary and exit code 0.

    Example: edgecls run --source camera0
    """
    from edge_cli.stream_settings import StreamSettings

    settings = StreamSettings.given(
        window=window,
        stride=stride,
        gap=gap,
        gap_after=gap_after,
        top=top,
        threshold=threshold,
        smooth=smooth,
        smooth_span=smooth_span,
        on=on,
        off=off,
        min_duration=min_duration,
        cooldown=cooldown,
        until=until,
        output=output_files(output or ()) or None,
        record_events=record_events,
        pre_roll=pre_roll,
        post_roll=post_roll,
        record_limit=None if record_limit is None else film_bytes(record_limit),
        webhook=webhook,
        mqtt=mqtt,
        drop=drop,
        retries=retries,
        open_timeout=open_timeout,
        read_timeout=read_timeout,
        rtsp_transport=rtsp_transport,
        frozen_after=frozen_after,
        camera_size=camera_size,
        camera_fps=camera_fps,
        camera_format=camera_format,
        loop=loop or None,
        image_fps=image_fps,
        raw=raw,
    )
    asked = replayed(_streams(source or [], streams, settings), replay=replay)
    request = RunRequest(
        streams=asked,
        engine=engine_asked(
            backend=backend,
            precision=precision.value,
            device=device,
            backend_options=backend_option,
            no_race=no_race,
            strict=strict,
            max_cpu_share=max_cpu_share,
            threads=threads,
        ),
        sampling=sampling,
        reuse=reuse,
        views=views,
        fmt=fmt,
        changes=changes,
        max_windows=max_windows,
        save=save,
        fsync=fsync,
        queue_dir=queue_dir,
        serve=serve_asked(serve, serve_token),
        degrade=degrade_asked(max_latency, fallback),
        show=show,
        recording=recording_asked(record, record_size, asked, whole=sampling.whole),
    )
    _execute(open_bundle_argument(bundle), request)


def _streams(
    sources: list[str], file: Path | None, settings: StreamSettings
) -> tuple[StreamRequest, ...]:
    """The streams of a file, or one for every source."""
    from edge_cli.streams_file import streams_asked

    if file is not None and sources:
        raise UsageError(
            f"--streams {file} says which sources there are, and so does --source.",
            hint="Leave out one of the two.",
        )
    if file is not None:
        return streams_asked(file, settings)
    if not sources:
        raise UsageError(
            "run needs a source to read.",
            hint="edgecls run --source demo   (or camera0, or the path of a video)",
        )
    return tuple(settings.request(source, among=sources) for source in sources)


def _execute(bundle: Bundle, request: RunRequest) -> None:
    """Open everything, run, and sum up, also when stopped."""
    from edge_cli.run_whole import run_whole
    from edge_cli.run_windows import run_windows, windows_asked
    from edge_cli.stop import StopRequest
    from edgecls.clip_session import open_session
    from edgecls.stream_session import open_cut
    from runtime.sources import check_source

    card = bundle.card
    for stream in request.streams:
        stream.check_classes(card.labels)
        check_source(stream.source)
    if request.sampling.whole:
        with waiting(f"loading {card.name}"):
            clips = open_session(bundle, request.engine)
        with clips:
            say(clips.line())
            run_whole(request, clips)
        return
    cuts = windows_asked(card.clip, request)
    with waiting(f"loading {card.name}"):
        windows = open_cut(
            bundle,
            request.engine,
            cuts,
            reuse=request.reuse.value,
            views=request.views_of(card.clip),
        )
    with windows:
        say(windows.line())
        with StopRequest() as stop:
            run_windows(request, windows, stop=stop)
