"""`edgecls run` on a whole file: one result."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from edge_cli.progress import waiting
from edge_cli.run_output import say, video_of
from edge_cli.run_request import Sampling

if TYPE_CHECKING:
    from edge_cli.run_model import Running
    from edge_cli.run_request import RunRequest
    from models.bundle import Bundle


def run_whole(bundle: Bundle, request: RunRequest, running: Running) -> None:
    """Classify the file; `--save` reads it once more, since the result comes last.

    Args:
        bundle: The model.
        request: As asked for.
        running: The model, open.
    """
    from edge_cli.run_header import header_of
    from edge_cli.run_outputs import RunStream
    from edge_cli.run_sinks import open_sinks
    from edge_cli.summary import RunSummary
    from runtime.sources import open_source
    from runtime.whole_file import classify_whole

    (stream,) = request.streams
    uri = stream.source
    summary = RunSummary()
    with waiting(f"reading {uri}"):
        prediction = classify_whole(
            uri,
            running.session,
            bundle.card,
            top_k=request.most_classes(),
            threshold=stream.threshold,
            views=request.views_of(bundle.card.clip),
            sampling="dense" if request.sampling is Sampling.DENSE else "uniform",
        )
    summary.add(prediction)
    with ExitStack() as stack:
        source = stack.enter_context(open_source(uri))
        header = header_of(bundle, request, running, sources=[source], windows=())
        (name,) = header.sources
        told = RunStream(name=name, live=source.live)
        with open_sinks(request, header, [told]) as sinks:
            sinks.take(prediction)
        video = video_of(request, source, stack)
        if video is not None:
            for frame in source:
                video.write(frame, prediction.top)
    say(summary.line(dropped=None))
