"""The course of `edgecls eval`: open, classify clip by clip, report; stop and go on."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import typer

from calibration.clip_list import ClipList, ListOptions, checked, evenly_chosen, read_clips
from calibration.eval_log import EvalLog, read_header, refuse_old, resumed, started
from calibration.eval_report import CONFUSION_NAME, REPORT_NAME, EvalReport
from calibration.eval_results import ClipResult
from calibration.eval_scores import scores_of
from calibration.evaluate import Candidate, evaluate
from edge_cli.eval_request import EvalRequest, Format
from edge_cli.options import named_bundle
from edge_cli.progress import counting
from edge_cli.stop import StopRequest
from edgecls.clip_session import ClipSession, open_session
from edgecls.loading import load_bundle
from models.bundle import Bundle
from models.card import CARD_NAME
from models.errors import SourceError, UsageError
from models.version import edgecls_version

EXIT_INTERRUPTED = 130

_MAKING = {
    "fp16": "Convert the model again with --fp16: edgecls convert SRC -o BUNDLE --fp16 --force",
    "int8": "Make one: edgecls calibrate BUNDLE --clips FOLDER",
}
"""How a bundle comes to have a graph of a precision."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A graph of a bundle.

    Attributes:
        bundle: The bundle.
        precision: Which of its graphs.
    """

    bundle: Bundle
    precision: str

    def facts(self, session: ClipSession) -> dict[str, str]:
        """What the log and the report say of it; the digest is that of the graph that runs."""
        card = self.bundle.card
        return {
            "model": card.name,
            "family": card.family,
            "precision": session.variant.precision,
            "model_sha256": session.variant.sha256,
        }


def execute(bundle: Bundle, request: EvalRequest) -> None:
    """Evaluate a bundle.

    Raises:
        UsageError: Options do not fit the bundle, the list or the results that are there.
        DatasetError: The list has mistakes.
        SourceError: Not one clip can be read.
        BackendError: No engine runs the model.
        OutputError: Results cannot be written.
        typer.Exit: It was interrupted; the code is 130.
    """
    if request.resume is None and request.log is not None:
        refuse_old(request.log)
    model = _with_precision(bundle, request.engine.precision)
    reference = None if request.reference is None else _reference(bundle, request.reference)
    options = ListOptions(labels=request.labels, model_names=bundle.card.labels, root=request.root)
    clips = evenly_chosen(checked(read_clips(request.clips, options)), request.limit)
    for note in clips.notes:
        _say(f"note: {note}")
    with ExitStack() as stack:
        session = _opened(model, request, backend=_asked_backend(request), stack=stack)
        header = _header(model, request, session, clips)
        compared = None
        if reference is not None:
            beside = _opened(reference, request, backend=session.backend, stack=stack)
            compared = _candidate(reference, request, beside)
            header["reference"] = reference.facts(beside)
        log, done = _log(request, header, stack)
        run = _Run(
            clips=clips,
            candidate=_candidate(model, request, session),
            reference=compared,
            log=log,
            done=done,
        )
        _classify(run, request)
    results = tuple(done[index] for index in sorted(done))
    scores = scores_of(results, bundle.card.labels)
    _conclude(EvalReport(header=header, clips=clips, results=results, scores=scores), request)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """What is classified by what; `done` grows."""

    clips: ClipList
    candidate: Candidate
    reference: Candidate | None
    log: EvalLog | None
    done: dict[int, ClipResult]


def _with_precision(bundle: Bundle, precision: str) -> Model:
    have = list(dict.fromkeys(variant.precision for variant in bundle.card.variants))
    if precision not in have:
        raise UsageError(
            f"{bundle.card.name} has no {precision} graph, only {', '.join(have)}.",
            hint=_MAKING.get(precision, f"--precision {have[-1]}"),
        )
    return Model(bundle=bundle, precision=precision)


def _reference(bundle: Bundle, named: str) -> Model:
    """Another bundle, or another graph of the same one."""
    precisions = {variant.precision for variant in bundle.card.variants}
    is_bundle = (Path(named) / CARD_NAME).is_file()
    if named in precisions and not is_bundle:
        return Model(bundle=bundle, precision=named)
    if named in _MAKING and not is_bundle:
        return _with_precision(bundle, named)
    other = load_bundle(named_bundle(Path(named)))
    mine, theirs = bundle.card, other.card
    if mine.classes != theirs.classes:
        raise UsageError(
            f"{mine.name} has {mine.classes} classes and the reference {theirs.name}"
            f" {theirs.classes}: their answers cannot be compared."
        )
    if mine.labels != theirs.labels:
        _say("note: the reference names its classes differently; they are compared by number")
    return Model(bundle=other, precision="fp32")


def _asked_backend(request: EvalRequest) -> str | None:
    """The backend asked for; when going on, that of then."""
    asked = request.engine.backend
    if asked is None and request.resume is not None and request.log is not None:
        backend = read_header(request.log).get("backend")
        return backend if isinstance(backend, str) else None
    return asked


def _opened(
    model: Model, request: EvalRequest, *, backend: str | None, stack: ExitStack
) -> ClipSession:
    asked = replace(request.engine, backend=backend, precision=model.precision)
    session = stack.enter_context(open_session(model.bundle, asked))
    _say(session.line())
    return session


def _candidate(model: Model, request: EvalRequest, session: ClipSession) -> Candidate:
    card = model.bundle.card
    return Candidate(
        session=session.session,
        card=card,
        sampling=request.sampling.value,
        views=request.views_of(card.clip),
    )


def _header(
    model: Model, request: EvalRequest, session: ClipSession, clips: ClipList
) -> dict[str, Any]:
    card = model.bundle.card
    return {
        "type": "header",
        "edgecls": edgecls_version(),
        **model.facts(session),
        "preprocessing": card.clip.model_dump(mode="json"),
        "backend": session.backend,
        "engine": session.session.engine,
        "placement": session.placement.facts(),
        "backend_options": dict(request.engine.settings) or None,
        "sampling": request.sampling.value,
        "views": request.inferences_per_clip(card.clip),
        "list": clips.place,
        "clips_sha256": clips.sha256,
        "reference": None,
    }


def _log(
    request: EvalRequest, header: Mapping[str, Any], stack: ExitStack
) -> tuple[EvalLog | None, dict[int, ClipResult]]:
    if request.log is None:
        return None, {}
    if request.resume is None:
        return stack.enter_context(started(request.log, header)), {}
    log, done = resumed(request.log, header)
    _say(f"{len(done)} clips were done before")
    return stack.enter_context(log), done


def _classify(run: _Run, request: EvalRequest) -> None:
    """Fill `run.done`, until all is done or a signal comes; a second signal ends at once."""
    results = evaluate(run.clips, run.candidate, reference=run.reference, done=frozenset(run.done))
    total = len(run.clips.clips)
    tally = _Tally(run.done)
    with counting("classifying", total, begun=len(run.done)) as count, StopRequest() as stop:
        try:
            for result in results:
                run.done[result.index] = result
                if run.log is not None:
                    run.log.append(result)
                count(tally.add(result))
                if stop.received:
                    return
        except KeyboardInterrupt:
            _say(_how_to_go_on(len(run.done), total, request))
            raise


class _Tally:
    """Counts what is right, for the bar."""

    def __init__(self, done: Mapping[int, ClipResult]) -> None:
        self._right = self._labelled = 0
        for result in done.values():
            self.add(result)

    def add(self, result: ClipResult) -> str:
        """Count a result; returns e.g. "top-1 97.7 %"."""
        if result.answer is not None and result.label is not None:
            self._labelled += 1
            self._right += result.answer.best == result.label
        return f"top-1 {self._right / self._labelled:.1%}" if self._labelled else ""


def _conclude(report: EvalReport, request: EvalRequest) -> None:
    if report.results:
        _show(report, request)
    if not report.complete:
        _say(_how_to_go_on(len(report.results), len(report.clips.clips), request))
        raise typer.Exit(EXIT_INTERRUPTED)
    if request.log is not None:
        _write(report, request.log.parent)
    if not report.scores.classified:
        first = report.unreadable[0]
        count = len(report.results)
        raise SourceError(
            f"None of the {count} clips could be read. {first.error}" if count > 1 else first.error,
            hint=f"edgecls data check {request.clips}",
        )


def _show(report: EvalReport, request: EvalRequest) -> None:
    if request.fmt is Format.JSON:
        sys.stdout.write(report.to_json())
        return
    from rich.console import Console

    from edge_cli.eval_view import show_evaluation

    show_evaluation(report, Console(highlight=False))


def _write(report: EvalReport, folder: Path) -> None:
    from calibration.confusion_picture import draw_confusion
    from calibration.whole_file import json_bytes, write_whole

    write_whole(folder / REPORT_NAME, json_bytes(report.to_json()))
    written = [REPORT_NAME]
    top1 = report.scores.top1
    if top1 is not None:
        title = (
            f"{report.header['model']}, {report.header['precision']}: top-1 {top1.value:.1%}"
            f" of {top1.of} clips"
        )
        draw_confusion(folder / CONFUSION_NAME, report.scores, title=title)
        written.append(CONFUSION_NAME)
    _say(f"written to {folder}: results.jsonl, {', '.join(written)}")


def _how_to_go_on(count: int, total: int, request: EvalRequest) -> str:
    stopped = f"stopped after {count} of {total} clips"
    if request.log is None:
        return f"{stopped}; nothing is kept (--output DIR keeps results to go on with)"
    return f"{stopped}; go on: {request.resume_command()}"


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
