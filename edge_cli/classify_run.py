"""The course of `edgecls classify`: find files, go on where it was, write at the end."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import typer

import edgecls
from edge_cli.archive_progress import Tally, progress_of
from edge_cli.classify_request import ArchiveEngine, ClassifyRequest
from edge_cli.progress import waiting
from edge_cli.run_output import say
from edge_cli.stop import StopRequest
from edgecls.clip_session import ClipSession
from models.bundle import Bundle
from models.errors import SourceError, UsageError
from runtime.archive.engine import Engine
from runtime.archive.files import archive_files
from runtime.archive.journal import Journal, begun, check_same, discard, journal_of
from runtime.archive.lane import ArchivePlan
from runtime.archive.local import LocalEngine
from runtime.archive.output import (
    check_writable,
    format_of,
    read_header,
    read_output,
    write_output,
)
from runtime.archive.ray_engine import RayEngine
from runtime.cpu import usable_cpus
from runtime.engine_request import EngineRequest

EXIT_INTERRUPTED = 130

_SHOWN = 5
"""Failed files that are told of at the end."""


def execute(bundle: Bundle, request: ClassifyRequest) -> None:
    """Classify an archive.

    Raises:
        UsageError: There is an output already, or one that is to be updated or a journal is of
            another model or other options.
        SourceError: There are no files, or none of them can be classified.
        BackendError: No engine runs the model.
        OutputError: Results cannot be written, or what is to be updated was not made by this.
        typer.Exit: It was interrupted; the code is 130.
    """
    format_of(request.output)
    check_writable(request.output)
    journal_path = journal_of(request.output)
    if request.force:
        discard(journal_path)
    before = begun(journal_path)
    older = read_header(request.output) if request.update and request.output.exists() else None
    known = before or older
    if known is None and request.output.exists() and not request.force:
        raise UsageError(
            f"{request.output} is there already.",
            hint="Do what is new, changed or failed: --update. Start anew: --force.",
        )
    with waiting("looking for files"):
        files = archive_files(request.places, request.lists)
    with ExitStack() as stack:
        session = stack.enter_context(edgecls.open_session(bundle, _asked(request, known)))
        say(session.line())
        facts = _facts(session, request)
        if older is not None:
            check_same(request.output, older, facts)
        journal = stack.enter_context(Journal(journal_path, facts))
        if older is not None:
            journal.take_over(read_output(request.output))
        undone = journal.undone(files, retry=request.update)
        if known is not None:
            say(f"{len(files) - len(undone)} of {len(files)} files were done before")
        engine = _engine(session, request)
        if undone and not _classify(engine, journal, undone, total=len(files)):
            done = len(files) - len(journal.undone(files))
            say(f"stopped after {done} of {len(files)} files; go on: {request.command}")
            raise typer.Exit(EXIT_INTERRUPTED)
        _conclude(journal, files, request, facts)


def _asked(request: ClassifyRequest, before: Mapping[str, Any] | None) -> EngineRequest:
    """What is asked of the engine: what is left open is as it was before."""
    asked = replace(request.asked, parallel=_parallel(request))
    if before is None:
        return asked
    return replace(
        asked,
        backend=asked.backend or str(before.get("backend")),
        precision=str(before.get("precision")) if asked.precision == "auto" else asked.precision,
    )


def _workers(request: ClassifyRequest) -> int:
    return request.workers or usable_cpus()


def _parallel(request: ClassifyRequest) -> int:
    """Threads that run the model of this process at a time."""
    if request.engine is ArchiveEngine.RAY:
        return 1
    return min(request.parallel or _workers(request), _workers(request))


def _facts(session: ClipSession, request: ClassifyRequest) -> dict[str, Any]:
    """What is done to all files: of the journal and of the output."""
    card = session.bundle.card
    labels = hashlib.sha256("\n".join(card.labels).encode()).hexdigest()
    return {
        "edgecls": edgecls.edgecls_version(),
        "model": card.name,
        "family": card.family,
        "model_sha256": session.variant.sha256,
        "labels": labels,
        "preprocessing": card.clip.model_dump(mode="json"),
        "backend": session.session.backend,
        "engine": session.session.engine,
        "device": session.choice.device,
        "placement": session.choice.placement.facts(),
        "backend_options": dict(request.asked.settings) or None,
        "precision": session.variant.precision,
        "sampling": "uniform",
        "views": request.views_of(card.clip),
        "top_k": request.top_k,
        "threshold": request.threshold,
    }


def _engine(session: ClipSession, request: ClassifyRequest) -> Engine:
    plan = ArchivePlan(
        bundle=session.bundle.path,
        asked=replace(
            request.asked,
            backend=session.session.backend,
            precision=session.variant.precision,
        ),
        views=request.views_of(session.bundle.card.clip),
        top_k=request.top_k,
        threshold=request.threshold,
    )
    if request.engine is ArchiveEngine.RAY:
        session.close()
        return RayEngine(plan, workers=_workers(request), address=request.address)
    return LocalEngine(
        session.bundle,
        session.session,
        plan,
        lanes=_workers(request),
        parallel=_parallel(request),
    )


def _classify(engine: Engine, journal: Journal, undone: list[str], *, total: int) -> bool:
    """Fill the journal until all is done or a signal comes; a second signal ends at once.

    Returns:
        Whether all was done.
    """
    tally = Tally(total=total, before=total - len(undone))
    with progress_of(tally) as told, StopRequest() as stop:
        for result in engine.results(undone, lambda: stop.received):
            journal.append(result)
            told(result)
    complete = tally.done == total
    if complete:
        say(tally.line())
    return complete


def _conclude(
    journal: Journal, files: tuple[str, ...], request: ClassifyRequest, facts: Mapping[str, Any]
) -> None:
    """Write the output and let go of the journal."""
    failed = 0
    for result in journal.results(files):
        if result.error is not None:
            failed += 1
            if failed <= _SHOWN:
                say(f"failed: {result.error}")
    if failed > _SHOWN:
        say(f"failed: {failed - _SHOWN} more, see {request.output}")
    header = {**facts, "files": len(files), "failed": failed}
    write_output(request.output, header, journal.results(files))
    journal.discard()
    counted = "1 file" if len(files) == 1 else f"{len(files)} files"
    say(f"written: {request.output}, {counted}, {failed} of them failed")
    if failed == len(files):
        raise SourceError(f"None of the files could be classified: {counted}.")
