"""`edgecls run` on a whole file: one result."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from edge_cli.progress import waiting
from edge_cli.run_output import say, video_of
from edge_cli.run_request import Sampling

if TYPE_CHECKING:
    from edge_cli.run_request import RunRequest
    from edgecls.clip_session import ClipSession


def run_whole(request: RunRequest, session: ClipSession) -> None:
    """Classify the file; `--save` reads it once more, since the result comes last.

    Args:
        request: As asked for.
        session: The model, open.
    """
    from edge_cli.run_header import header_of
    from edge_cli.run_outputs import RunStream
    from edge_cli.run_sinks import open_sinks
    from edge_cli.summary import RunSummary
    from runtime.sources import open_source

    (stream,) = request.streams
    uri, dense = stream.source, request.sampling is Sampling.DENSE
    summary = RunSummary()
    with waiting(f"reading {uri}"):
        prediction = session.classify_file(
            uri,
            top_k=request.most_classes(),
            threshold=stream.threshold,
            views=None if dense else request.views_of(session.bundle.card.clip),
            sampling="dense" if dense else "uniform",
        )
    summary.add(prediction)
    with ExitStack() as stack:
        source = stack.enter_context(open_source(uri))
        header = header_of(request, session, sources=[source])
        (name,) = header.sources
        told = RunStream(name=name, live=source.live)
        with open_sinks(request, header, [told]) as sinks:
            sinks.take(prediction)
        video = video_of(request, source, stack)
        if video is not None:
            for frame in source:
                video.write(frame, prediction.top)
    say(summary.line(dropped=None))
