"""The header of the results of `edgecls run`: what is run, on what, and why so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_cli.render import FORMATS, RunHeader
from models.version import edgecls_version

if TYPE_CHECKING:
    from edge_cli.render import Renderer
    from edge_cli.run_request import RunRequest
    from models.bundle import Bundle
    from runtime.choose import Choice
    from runtime.sampling import WindowSpec
    from runtime.sources import FrameSource


def renderer(
    bundle: Bundle,
    request: RunRequest,
    choice: Choice,
    *,
    source: FrameSource,
    window: WindowSpec | None,
) -> Renderer:
    """What writes the results, with a header that says what is run on what.

    Args:
        bundle: The model.
        request: As asked for.
        choice: Engine and graph.
        source: Open.
        window: None where the whole file is one result.
    """
    card = bundle.card
    facts = {
        "edgecls": edgecls_version(),
        "model": card.name,
        "family": card.family,
        "classes": card.classes,
        "frames": card.clip.frames,
        "backend": choice.session.backend,
        "engine": choice.session.engine,
        "precision": choice.precision,
        "graph": _graph(choice),
        "sampling": request.sampling.value,
        "views": request.inferences_per_result(card.clip),
        "window_s": window and window.length_s,
        "stride_s": window and window.stride_s,
        "source": request.source,
        "live": source.live,
    }
    make = FORMATS[request.fmt.value]
    return make(RunHeader(facts=facts, labels=card.labels, top_k=request.top_k))


def _graph(choice: Choice) -> dict[str, object]:
    """Which graph runs, and why; see docs/cli.md for the fields."""
    record = choice.variant.int8
    return {
        "file": choice.variant.file,
        "asked": choice.asked,
        "why": choice.why_precision,
        "int8_speedup": choice.speedup,
        "measured": None if choice.speedup is None else not choice.remembered,
        "top1_agreement": record and record.top1_agreement,
        "held_out": record and record.held_out,
        "samples": record and record.samples,
    }
