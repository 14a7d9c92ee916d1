"""The header of the results of `edgecls run`: what is run, on what, and why so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_cli.render import RunHeader
from models.version import edgecls_version

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_cli.run_request import RunRequest
    from edge_cli.stream_request import StreamRequest
    from edgecls.clip_session import ClipSession
    from edgecls.stream_session import StreamSession
    from edgecls.windows import WindowCut
    from runtime.sources import FrameSource


def header_of(
    request: RunRequest,
    session: ClipSession | StreamSession,
    *,
    sources: Sequence[FrameSource],
    windows: Sequence[WindowCut] = (),
    reuse: dict[str, object] | None = None,
    degrade: dict[str, object] | None = None,
) -> RunHeader:
    """What does not change during a run: what is run on what, and why so.

    Args:
        request: As asked for.
        session: The model, open.
        sources: Open, in the order of the request.
        windows: How each is cut; none where the whole file is one result.
        reuse: What overlapping windows share; None where there is one result.
        degrade: What is done when results are late; None for nothing.
    """
    card, engine = session.bundle.card, session.choice.session
    cuts = windows or (None,)
    streams = [
        _stream_facts(stream, source, cut, request.fmt.value)
        for stream, source, cut in zip(request.streams, sources, cuts, strict=True)
    ]
    first = streams[0]
    facts = {
        "edgecls": edgecls_version(),
        "model": card.name,
        "family": card.family,
        "classes": card.classes,
        "frames": card.clip.frames,
        "backend": engine.backend,
        "engine": engine.engine,
        "device": session.choice.device,
        "placement": session.choice.placement.facts(),
        "precision": session.variant.precision,
        "graph": _graph(session),
        "reuse": reuse,
        "sampling": request.sampling.value,
        "views": request.inferences_per_result(card.clip),
        **{name: first[name] for name in ("window_s", "stride_s", "grid", "smooth")},
        "degrade": degrade,
        "source": first["source"],
        "live": first["live"],
        "sources": streams,
    }
    return RunHeader(
        facts=facts,
        labels=card.labels,
        top_k=max(request.top_k_of(request.fmt.value)),
        sources=tuple(stream.shown_name for stream in request.streams),
    )


def _stream_facts(
    stream: StreamRequest, source: FrameSource, windows: WindowCut | None, fmt: str
) -> dict[str, object]:
    """What is read, how it is cut, and what of it is told.

    Args:
        stream: As asked for.
        source: Open.
        windows: None where the whole file is one result.
        fmt: Of stdout.
    """
    from runtime.sources.address import masked

    return {
        "name": stream.shown_name,
        "source": masked(stream.source),
        "description": source.description,
        "live": source.live,
        "window_s": windows and windows.window.length_s,
        "stride_s": windows and windows.window.stride_s,
        "grid": windows and _grid(windows),
        "smooth": windows and _smoothing(stream, windows),
        "top": stream.top_k_of(fmt),
        "threshold": stream.threshold,
        "events": _events(stream),
    }


def _smoothing(stream: StreamRequest, windows: WindowCut) -> dict[str, object] | None:
    """How results are smoothed; None where they are not."""
    smoothing = stream.events.smoothing(windows.window.stride_s)
    return {"kind": smoothing.kind, "span_s": smoothing.span_s} if smoothing else None


def _events(stream: StreamRequest) -> dict[str, object] | None:
    """When events begin and end, as asked for; None where none are asked for."""
    asked = stream.events
    if not stream.with_events:
        return None
    return {
        "on": asked.on,
        "off": asked.off,
        "min_duration": asked.least,
        "cooldown": asked.cooldown,
        "until": asked.until,
    }


def _grid(windows: WindowCut) -> dict[str, object] | None:
    """The grid of sliding windows; None for others."""
    grid = windows.grid
    if grid is None:
        return None
    return {
        "interval_s": grid.interval_s,
        "phases": grid.phases,
        "stride_asked_s": windows.stride_asked_s,
        "gap": grid.gap,
        "gap_after_s": grid.gap_after_s,
    }


def reuse_facts(session: StreamSession) -> dict[str, object]:
    """What overlapping windows share."""
    reusing, staged = session.reusing, session.staged
    return {
        "asked": reusing.asked,
        "mode": reusing.mode,
        "why": reusing.why,
        "stages": [stage.file for stage in staged.stages] if staged else [],
        "memory_bytes": staged and staged.memory_bytes,
        "memory_bytes_per_stream": staged and staged.memory_bytes_per_stream,
    }


def _graph(session: ClipSession | StreamSession) -> dict[str, object]:
    """Which graph runs, and why; see docs/cli.md for the fields."""
    choice, record = session.choice, session.variant.int8
    return {
        "file": session.variant.file,
        "asked": choice.asked,
        "why": choice.why_precision,
        "int8_speedup": choice.speedup,
        "measured": None if choice.speedup is None else not choice.remembered,
        "top1_agreement": record and record.top1_agreement,
        "held_out": record and record.held_out,
        "samples": record and record.samples,
    }
