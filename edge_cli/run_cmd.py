"""`edgecls run`: classify a video or a camera, window by window."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_cli.options import AUTO, BundleArgument, ThreadsOption, open_bundle_argument
from edge_cli.progress import waiting
from edge_cli.run_request import Format, Precision, RunRequest, Sampling, Views
from models.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edge_cli.render import Renderer
    from edge_cli.stop import StopRequest
    from models.bundle import Bundle
    from runtime.annotate import AnnotatedVideo
    from runtime.choose import Choice
    from runtime.records import Frame, Prediction, ScoredLabel
    from runtime.sampling import WindowSpec
    from runtime.session import Session
    from runtime.sources import FrameSource

FALLBACK_FPS = 25.0
"""Frame rate of `--save` when the source does not tell its own."""


def run(
    bundle: BundleArgument = None,
    source: Annotated[
        str | None,
        typer.Option(
            "--source",
            "-s",
            metavar="SOURCE",
            show_default=False,
            help="camera0, 0, /dev/video0, a video file, or demo (the built-in clip).",
        ),
    ] = None,
    backend: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="auto, or an engine of edgecls bench; a named one runs or the command fails.",
        ),
    ] = AUTO,
    precision: Annotated[
        Precision,
        typer.Option(
            help="auto takes INT8 where it is calibrated and clearly faster on this machine, else"
            " fp32; a named one runs or the command fails.",
        ),
    ] = Precision.AUTO,
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
            show_default="a tenth of the window",
            help="Seconds from one window to the next.",
        ),
    ] = None,
    sampling: Annotated[
        Sampling,
        typer.Option(
            help="Overlapping windows; or the whole file as Paddle tests it, as one clip, or as"
            " ten dense ones in three crops each."
        ),
    ] = Sampling.SLIDING,
    views: Annotated[
        Views | None,
        typer.Option(
            show_default="uniform: as the model was tested, sliding: 1",
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
        float,
        typer.Option(metavar="P", help="Leave out classes less probable than this, 0 to 1."),
    ] = 0.0,
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
) -> None:
    """Classify a camera or a video, window by window.

    Results go to stdout, everything else to stderr.
    Ctrl-C ends a run cleanly, with a summary and exit code 0.

    Example: edgecls run --source camera0
    """
    if source is None:
        raise UsageError(
            "run needs a source to read.",
            hint="edgecls run --source demo   (or camera0, or the path of a video)",
        )
    request = RunRequest(
        source=source,
        backend=None if backend == AUTO else backend,
        precision=precision,
        window_s=window,
        stride_s=stride,
        sampling=sampling,
        views=views,
        top_k=top or (2 if fmt is Format.TEXT else 5),
        threshold=threshold,
        fmt=fmt,
        changes=changes,
        max_windows=max_windows,
        save=save,
        threads=threads,
    )
    _execute(open_bundle_argument(bundle), request)


def _execute(bundle: Bundle, request: RunRequest) -> None:
    """Open everything, run, and sum up, also when stopped."""
    from edge_cli.stop import StopRequest
    from runtime.choose import choose_session
    from runtime.session import SessionOptions

    window = _window(bundle, request)
    with waiting(f"loading {bundle.card.name}"):
        choice = choose_session(
            bundle,
            backend=request.backend,
            options=SessionOptions(threads=request.threads),
            precision=request.precision.value,
        )
    _say(choice.line())
    with choice.session:
        _warm_up(choice.session, bundle)
        if request.sampling is not Sampling.SLIDING:
            _run_whole(bundle, request, choice)
            return
        with StopRequest() as stop:
            _run_windows(bundle, request, choice, window=window, stop=stop)


def _warm_up(session: Session, bundle: Bundle) -> None:
    """Run once on nothing: the first run of an engine is slow, and is no latency of a window."""
    import numpy as np

    session.run(np.zeros(bundle.card.clip.input_shape(), np.float32))


def _window(bundle: Bundle, request: RunRequest) -> WindowSpec:
    """Length and stride of the windows; warns when the model is not made for that length."""
    from runtime.sampling import WindowSpec

    trained_s = bundle.card.clip.clip_length_s
    length_s = request.window_s or trained_s
    if not trained_s * 0.5 <= length_s <= trained_s * 2:
        _say(
            f"warning: windows of {length_s:g} s are far from the {trained_s:g} s clips that"
            f" {bundle.card.name} was trained on; expect worse results"
        )
    return WindowSpec(length_s, request.stride_s or length_s / 10)


def _run_windows(
    bundle: Bundle, request: RunRequest, choice: Choice, *, window: WindowSpec, stop: StopRequest
) -> None:
    from edge_cli.run_header import renderer
    from edge_cli.summary import RunSummary
    from runtime.pipeline import classify_windows
    from runtime.sources import open_source

    with ExitStack() as stack:
        source = stack.enter_context(open_source(request.source))
        if source.live:
            _say(f"{source.description}: the first result comes after {window.length_s:g} s")
        video = _video(request, source, stack)
        output = _Output(renderer(bundle, request, choice, source=source, window=window), request)
        summary = RunSummary()
        newest: Sequence[ScoredLabel] = ()

        def on_frame(frame: Frame) -> None:
            if stop.received:
                raise _Stopped
            if video is not None:
                video.write(frame, newest)

        predictions = classify_windows(
            source,
            choice.session,
            bundle.card,
            window=window,
            top_k=request.top_k,
            threshold=request.threshold,
            views=request.views_of(bundle.card.clip),
            on_frame=on_frame,
        )
        try:
            for prediction in _until_stopped(predictions, request.max_windows, stop):
                newest = prediction.top
                summary.add(prediction)
                output.write(prediction)
        finally:
            _say(summary.line(dropped=source.dropped if source.live else None))


def _run_whole(bundle: Bundle, request: RunRequest, choice: Choice) -> None:
    """The whole file, one result; `--save` reads it once more, since the result comes last."""
    from edge_cli.run_header import renderer
    from edge_cli.summary import RunSummary
    from runtime.sources import open_source
    from runtime.whole_file import classify_whole

    summary = RunSummary()
    with waiting(f"reading {request.source}"):
        prediction = classify_whole(
            request.source,
            choice.session,
            bundle.card,
            top_k=request.top_k,
            threshold=request.threshold,
            views=request.views_of(bundle.card.clip),
            sampling="dense" if request.sampling is Sampling.DENSE else "uniform",
        )
    summary.add(prediction)
    with ExitStack() as stack:
        source = stack.enter_context(open_source(request.source))
        _Output(renderer(bundle, request, choice, source=source, window=None), request).write(
            prediction
        )
        video = _video(request, source, stack)
        if video is not None:
            for frame in source:
                video.write(frame, prediction.top)
    _say(summary.line(dropped=None))


class _Stopped(Exception):
    """The user asked to stop, and the current frame is done with."""


def _until_stopped(
    predictions: Iterator[Prediction], limit: int | None, stop: StopRequest
) -> Iterator[Prediction]:
    """Predictions until the source, the limit or the user ends them."""
    count = 0
    try:
        for prediction in predictions:
            yield prediction
            count += 1
            if count == limit or stop.received:
                return
    except _Stopped:
        return


class _Output:
    """Writes results to stdout, each at once."""

    def __init__(self, renderer: Renderer, request: RunRequest) -> None:
        self._renderer = renderer
        self._changes = request.changes
        self._last: str | None = None
        self._any = False
        self._write(renderer.opening())

    def write(self, prediction: Prediction) -> None:
        """Write a result, unless only changes are wanted and this is none."""
        label = prediction.top[0].label if prediction.top else None
        if self._changes and self._any and label == self._last:
            return
        self._any, self._last = True, label
        self._write(self._renderer.window(prediction))

    def _write(self, text: str) -> None:
        if text:
            sys.stdout.write(text)
            sys.stdout.flush()


def _video(request: RunRequest, source: FrameSource, stack: ExitStack) -> AnnotatedVideo | None:
    from runtime.annotate import AnnotatedVideo

    if request.save is None:
        return None
    same = Path(request.source)
    if request.save.exists() and same.exists() and request.save.samefile(same):
        raise UsageError(
            f"--save {request.save} would overwrite the video that is read.",
            hint=f"--save {request.save.stem}-labelled{request.save.suffix}",
        )
    return stack.enter_context(AnnotatedVideo(request.save, source.fps or FALLBACK_FPS))


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
