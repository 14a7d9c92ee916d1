"""Open stage graphs, from a bundle or before they are in one."""

from __future__ import annotations

from contextlib import ExitStack

from models.bundle import Bundle
from models.card import Variant
from models.errors import BackendError, UsageError
from runtime.incremental.clips import Reuse, Sharing, StagedModel
from runtime.incremental.session import IncrementalSession
from runtime.session import Backend, SessionOptions
from runtime.settings import over_card
from runtime.stage_session import StageSession


def open_incremental(
    bundle: Bundle,
    variant: Variant,
    backend: Backend,
    options: SessionOptions,
    *,
    reuse: Reuse = "exact",
    streams: int = 1,
    phases: int = 1,
) -> IncrementalSession:
    """Open the stage graphs of a variant of a bundle.

    Args:
        bundle: Opened.
        variant: One of its graphs.
        backend: What runs it.
        options: Passed on to the engine.
        reuse: See `Sharing`, as the two that follow.
        streams: Streams at a time.
        phases: Clips of one stream between which no frames are shared.

    Raises:
        UsageError: The variant has no stage graphs, or there would be nothing to share.
        BundleError: A file does not match the card.
        BackendError: The engine cannot run them.
        MissingExtra: The engine is absent.
    """
    if not variant.stages:
        temporal = bundle.card.temporal
        why = f": {temporal.reason}" if temporal is not None else ""
        raise UsageError(
            f"The {variant.title} graph of {bundle.card.name} has no stages, so that clips which"
            f" overlap cannot share work{why}.",
            hint="--reuse off"
            + ("" if temporal is not None else ", or convert the model again: edgecls convert"),
        )
    model = StagedModel(
        clip=bundle.card.clip,
        classes=bundle.card.classes,
        stages=variant.stages,
        paths=bundle.stage_paths(variant),
    )
    sharing = Sharing(reuse=reuse, streams=streams, phases=phases)
    asked = over_card(options, bundle.card, backend.name)  # a stage has no card
    return open_staged(model, backend, asked, sharing=sharing)


def open_staged(
    model: StagedModel,
    backend: Backend,
    options: SessionOptions,
    *,
    sharing: Sharing | None = None,
) -> IncrementalSession:
    """Open stage graphs that need not be in a bundle yet; see `open_incremental`.

    Args:
        model: The stages.
        backend: What runs them.
        options: Passed on to the engine.
        sharing: What is shared; None for exact reuse in one stream.

    Raises:
        BackendError: The engine cannot run them.
        MissingExtra: The engine is absent.
    """
    if backend.open_stage is None:
        raise BackendError(
            f"Backend {backend.name} does not run models in stages.", hint="--reuse off"
        )
    with ExitStack() as opened:
        sessions: list[StageSession] = []
        for path, stage in zip(model.paths, model.stages, strict=True):
            sessions.append(opened.enter_context(backend.open_stage(path, stage, options)))
        session = IncrementalSession(
            sessions, model, backend=backend.name, sharing=sharing or Sharing()
        )
        opened.pop_all()
    return session
