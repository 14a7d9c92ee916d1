"""From a bundle and clips to a bundle with INT8 graphs: the whole of `edgecls calibrate`."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from calibration.agreement import answers
from calibration.bundle_change import NewGraph, add_graphs, locked_bundle, read_report
from calibration.card_entry import CardEntries, weights_of
from calibration.clip_choice import Wanted
from calibration.clip_list import ListOptions, checked, merged, read_clips
from calibration.clip_set import (
    RANDOM,
    ClipSet,
    ClipStore,
    OnStep,
    clips_from_videos,
    random_clips,
)
from calibration.gate import Gate, Passed, ranked
from calibration.histogram import Histogram
from calibration.judge import Judge
from calibration.nncf_target import NncfWriter, require_nncf
from calibration.openvino_target import BACKEND as OPENVINO
from calibration.openvino_target import (
    Entrant,
    fastest_on_openvino,
    first_sentence,
    shared_on_openvino,
)
from calibration.processor import processor
from calibration.qdq import Fp32Graph, only_layer, range_entries, read_fp32, write_qdq
from calibration.race import advice, as_race, race
from calibration.ranges import histograms
from calibration.report import (
    Candidate,
    Processor,
    Race,
    Recipe,
    Report,
    Sensitivity,
    Settings,
    Target,
    TargetReport,
)
from calibration.request import CalibrateRequest
from calibration.search import chosen, searched
from calibration.stages import Staged, staged, with_stages
from calibration.text_file import printable
from calibration.versions import library_versions
from models.bundle import Bundle
from models.card import ModelCard, sha256_of
from models.errors import BackendError, CalibrationError, EdgeclsError
from models.version import edgecls_version
from runtime.backends import backend_named
from runtime.bench_worker import peak_memory_bytes

CPU = "cpu"
"""Backend on which graphs for every engine are checked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibrated:
    """What came of it.

    Attributes:
        bundle: With the INT8 graphs.
        report: As it lies in the bundle.
    """

    bundle: Bundle
    report: Report


def calibrate(request: CalibrateRequest, on_step: OnStep) -> Calibrated:
    """Add INT8 graphs to a bundle; it is changed at the very end, in one step.

    Args:
        request: What to do.
        on_step: Told of the progress.

    Raises:
        BundleError: It is no bundle, or busy.
        SourceError: The clips cannot be used.
        DatasetError: A list of clips has mistakes.
        CalibrationError: The budget does not hold; the bundle is as it was.
        MissingExtra: The extra `int8` is not installed.
        OutputError: The bundle cannot be written.
    """
    started_s = time.monotonic()
    with (
        locked_bundle(request.bundle) as bundle,
        ClipStore(bundle.card.clip) as store,
        tempfile.TemporaryDirectory(prefix="edgecls-int8-") as scratch,
    ):
        work = _prepared(request, bundle, store, Path(scratch), on_step)
        graphs, targets, notes = work.made()
        report = Report(
            edgecls=edgecls_version(),
            versions=library_versions(),
            model=bundle.card.name,
            family=bundle.card.family,
            fp32_sha256=bundle.card.variants[0].sha256,
            settings=Settings(
                sources=tuple(map(printable, request.clips)),
                labels=None if request.labels is None else printable(str(request.labels)),
                random_data=work.random_data,
                method=request.method,
                samples=request.samples,
                held_out=request.held_out,
                seed=request.seed,
                budget_points=request.budget_points,
                targets=request.targets,
            ),
            processor=work.processor,
            clips=tuple(one.used for one in (*work.clips.calibration, *work.clips.held_out)),
            targets=targets,
            notes=(*work.clips.notes, *notes),
            duration_s=time.monotonic() - started_s,
            peak_memory_mib=peak_memory_bytes() / 2**20,
        )
        changed = add_graphs(bundle, graphs, report)
        return Calibrated(bundle=changed, report=read_report(changed) or report)


def clip_set(
    request: CalibrateRequest, card: ModelCard, store: ClipStore, on_step: OnStep
) -> ClipSet:
    """The clips that a request names.

    Raises:
        SourceError: They cannot be used.
        DatasetError: A list has mistakes.
    """
    wanted = Wanted(calibration=request.samples, held_out=request.held_out, seed=request.seed)
    if request.clips == (RANDOM,):
        return random_clips(card, wanted=wanted, store=store)
    options = ListOptions(labels=request.labels, model_names=card.labels)
    listed = merged([checked(read_clips(given, options)) for given in request.clips])
    return clips_from_videos(listed.clips, card, wanted=wanted, store=store, on_step=on_step)


def _prepared(
    request: CalibrateRequest, bundle: Bundle, store: ClipStore, scratch: Path, on_step: OnStep
) -> _Work:
    graph = read_fp32(bundle.model_path("fp32"))
    bundle.probe()  # an altered one is refused here, not at the end
    if OPENVINO in request.targets:
        require_nncf()
    clips = clip_set(request, bundle.card, store, on_step)
    count = len(clips.calibration)
    title = "reading ranges"
    on_step(title, 0, count)
    found = histograms(
        graph.model,
        graph.layers.measured,
        clips.tensors(clips.calibration),
        scratch=scratch,
        on_clip=lambda done: on_step(title, done, count),
    )
    here = processor(request.activations)
    if request.reduce_range is not None:
        state = "7 of 8 bits" if request.reduce_range else "all 8 bits"
        here = here.model_copy(
            update={
                "reduce_range": request.reduce_range,
                "why": f"Weights use {state}, as was asked for.",
            }
        )
    return _Work(
        request=request,
        graph=graph,
        histograms=found,
        judge=Judge(bundle=bundle, clips=clips, on_step=on_step),
        clips=clips,
        processor=here,
        scratch=scratch,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Work:
    """Everything that the graphs are made of."""

    request: CalibrateRequest
    graph: Fp32Graph
    histograms: dict[str, Histogram]
    judge: Judge
    clips: ClipSet
    processor: Processor
    scratch: Path

    @property
    def random_data(self) -> bool:
        return self.request.clips == (RANDOM,)

    @property
    def writer(self) -> str:
        return f"onnxruntime {version('onnxruntime')}"

    def made(self) -> tuple[list[NewGraph], tuple[TargetReport, ...], tuple[str, ...]]:
        """Graphs, their reports, and notes."""
        candidates = searched(
            self.graph,
            self.histograms,
            self.judge,
            method=self.request.method,
            activations=self.request.activations,
            reduce_range=self.processor.reduce_range,
            scratch=self.scratch,
            backend=CPU,
        )
        recipe = chosen(candidates)
        notes: list[str] = []
        kept: list[tuple[Target, Entrant, str, list[Race]]] = []
        shared: Passed | None = None
        if "onnx" in self.request.targets:
            shared = self._gate(CPU).passed(
                recipe,
                lambda one: self._write(one, self.scratch / "any.onnx"),
                title="checking ONNX",
            )
            entrant = Entrant(writer=self.writer, passed=shared, shared=True)
            kept.append(("onnx", entrant, CPU, self._raced(CPU, shared.path, notes)))
        there = None if shared is None else self._on_openvino(shared)
        failed_on = (OPENVINO,) if isinstance(there, CalibrationError) else ()
        if "openvino" in self.request.targets:
            self._add_openvino(recipe if shared is None else shared.recipe, there, kept, notes)
        elif isinstance(there, CalibrationError):
            notes.append(
                "On OpenVINO the ONNX graph misses the budget, so it is only used there when it is"
                f" asked for by name: {first_sentence(there, self.scratch)}"
            )
        elif shared is not None:
            kept[0][3].extend(self._raced(OPENVINO, shared.path, notes))
        stages = None if shared is None else self._staged(shared.path, notes)
        reports = tuple(
            with_stages(self._report(*one, candidates=candidates), stages) for one in kept
        )
        entries = CardEntries(
            bundle=self.judge.bundle,
            clips=self.clips,
            layers=self.graph.layers,
            random_data=self.random_data,
        )
        graphs = [
            entries.of(
                entrant,
                report,
                failed_on=failed_on if target == "onnx" else (),
                staged=stages if target == "onnx" else None,
            )
            for (target, entrant, _, _), report in zip(kept, reports, strict=True)
        ]
        return graphs, reports, tuple(notes)

    def _on_openvino(self, shared: Passed) -> Passed | EdgeclsError | None:
        """What the graph for every engine does there; None where OpenVINO is not installed."""
        if "openvino" not in self.request.targets and not backend_named(OPENVINO).probe().ok:
            return None
        return shared_on_openvino(self._gate(OPENVINO), shared)

    def _add_openvino(
        self,
        recipe: Recipe,
        shared: Passed | EdgeclsError | None,
        kept: list[tuple[Target, Entrant, str, list[Race]]],
        notes: list[str],
    ) -> None:
        try:
            result = fastest_on_openvino(
                self._gate(OPENVINO),
                recipe,
                shared=shared,
                write_qdq=self._write,
                qdq_writer=self.writer,
                nncf=NncfWriter(
                    self.judge.bundle.model_path("fp32"), self.clips, self.clips.calibration
                ),
                scratch=self.scratch,
            )
        except (CalibrationError, BackendError) as error:
            if shared is None:
                raise
            notes.append(
                f"There is no INT8 graph for OpenVINO: {first_sentence(error, self.scratch)}"
            )
            return
        notes.extend(result.notes)
        winner = result.winner
        races = [as_race(OPENVINO, result.times, winner.passed.path)]
        if winner.shared:
            figures = winner.passed.gate
            notes.append(
                "On OpenVINO the graph for every engine is the fastest, so there is none of its"
                f" own; top-1 is the same as fp32's there for {figures.top1_agreement:.1%} of"
                f" {figures.clips} held-out clips, {figures.lost_points:.2f} points are lost."
            )
            kept[0][3].extend(races)
        else:
            kept.append(("openvino", winner, OPENVINO, races))

    def _staged(self, whole: Path, notes: list[str]) -> Staged | None:
        """Stages of the graph for every engine; where there are none a note says why."""
        if not self.request.stages:
            return None
        made = staged(
            whole,
            self.judge.card,
            backends=(CPU, OPENVINO),
            scratch=self.scratch,
            on_step=self.judge.on_step,
        )
        if isinstance(made, Staged):
            return made
        notes.append(made)
        return None

    def _gate(self, backend: str) -> Gate:
        return Gate(
            judge=self.judge,
            backend=backend,
            budget_points=self.request.budget_points,
            layers=self.graph.layers,
            rank=self._rank,
        )

    def _rank(self, recipe: Recipe) -> tuple[Sensitivity, ...]:
        return ranked(self.judge, self.graph.layers, recipe, self._write_only, backend=CPU)

    def _write(self, recipe: Recipe, path: Path) -> Path:
        write_qdq(self.graph, self.histograms, recipe, path)
        return path

    def _write_only(self, recipe: Recipe, layer: str) -> Path:
        path = self.scratch / "one-layer.onnx"
        write_qdq(self.graph, self.histograms, recipe, path, only=only_layer(self.graph, layer))
        return path

    def _raced(self, backend: str, path: Path, notes: list[str]) -> list[Race]:
        """fp32 against a graph; a note instead when the engine does not run it."""
        title = f"racing on {backend}"
        self.judge.on_step(title, 0, 1)
        graphs = {"fp32": self.judge.bundle.model_path("fp32"), path.name: path}
        try:
            times = race(graphs, self.judge.card, backend=backend)
        except BackendError as error:
            notes.append(
                f"The INT8 graph does not run on {backend}: {first_sentence(error, self.scratch)}"
            )
            return []
        self.judge.on_step(title, 1, 1)
        return [as_race(backend, times, path)]

    def _report(
        self,
        target: Target,
        entrant: Entrant,
        backend: str,
        races: list[Race],
        *,
        candidates: tuple[Candidate, ...],
    ) -> TargetReport:
        passed, bundle = entrant.passed, self.judge.bundle
        clips = self.clips.held_out
        fp32 = self.judge.fp32(backend, clips)
        first = len(self.clips.calibration)
        weights = weights_of(passed.path)
        own_format = weights is not None
        return TargetReport(
            target=target,
            writer=entrant.writer,
            engine=races[0].engine if races else backend,
            file=passed.path.name,
            sha256=sha256_of(passed.path),
            size_bytes=sum(one.stat().st_size for one in (passed.path, weights) if one),
            fp32_size_bytes=bundle.card.variants[0].size_bytes,
            recipe=passed.recipe,
            candidates=candidates,
            repairs=passed.repairs,
            sensitivity=passed.sensitivity,
            gate=passed.gate,
            answers=answers(
                fp32,
                passed.logits,
                clips=range(first, first + len(clips)),
                names=bundle.card.labels,
                output=bundle.card.output,
            ),
            ranges=()
            if own_format
            else range_entries(self.graph.layers, self.histograms, passed.recipe.method),
            races=tuple(races),
            advice=advice(races),
        )
