"""Prove on this device that a bundle is whole and computes what the reference computed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from models.bundle import Bundle
from models.card import METADATA_PREFIX, ModelCard
from models.errors import BackendError, BundleError, EdgeclsError
from models.spec import ClipSpec
from runtime.backends import BACKENDS
from runtime.comparison import TOLERANCE, Comparison, compare
from runtime.graphs import runnable, short_title
from runtime.incremental.check import compare_stages, staged_title
from runtime.onnx_metadata import onnx_metadata
from runtime.session import Backend, SessionOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class FileCheck:
    """A file whose size and digest agree with the card."""

    file: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NotRun:
    """What could not be compared; it neither passes nor fails.

    Attributes:
        backend: Name of the backend.
        graph: The graph that it does not run, e.g. "int8"; empty when it runs none.
        reason: Why not, without a full stop.
        expected: It could run where it is for; see `Probe.expected`.
    """

    backend: str
    graph: str
    reason: str
    expected: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyReport:
    """What was checked, and only that.

    Attributes:
        files: Files that agree with the card (any that does not is an error, not an entry).
        metadata: Whether the copy of the card inside the graph agrees; `absent` when the graph
            carries none, in which case nothing was compared.
        comparisons: One per backend and graph that ran.
        not_run: Those that did not.
        tolerance: Largest `max_rel_diff` of an fp32 graph that passes.
    """

    files: tuple[FileCheck, ...]
    metadata: Literal["agrees", "absent"]
    comparisons: tuple[Comparison, ...]
    not_run: tuple[NotRun, ...]
    tolerance: float = TOLERANCE

    @property
    def passed(self) -> bool:
        """Something ran, and all that ran agree with the reference as they should."""
        return bool(self.comparisons) and all(one.passed for one in self.comparisons)


def verify_bundle(
    bundle: Bundle,
    *,
    backends: tuple[Backend, ...] = BACKENDS,
    options: SessionOptions | None = None,
) -> VerifyReport:
    """Check a bundle's files, then its numbers: every graph on every backend that runs it here.

    Where a graph comes in stages as well, these are compared with the whole graph.

    Args:
        bundle: Opened, which means that its card is valid.
        backends: Those to try.
        options: Passed on to the engines.

    Raises:
        BundleError: A file is missing or altered, or the graph contradicts the card.
        BackendError: No backend could run the fp32 graph.
    """
    files = tuple(_check_files(bundle))
    metadata = _compare_metadata(bundle)
    clips, reference = bundle.probe()
    comparisons: list[Comparison] = []
    not_run: list[NotRun] = []
    for backend in backends:
        probe = backend.probe()
        if not probe.ok:
            no = NotRun(
                backend=backend.name, graph="", reason=probe.reason, expected=probe.expected
            )
            not_run.append(no)
            continue
        for variant in runnable(bundle.card, backend.name):
            path = bundle.graph_path(variant)
            title = short_title(variant)
            asked = options or SessionOptions()
            try:
                with backend.open(path, bundle.card, asked) as session:
                    comparisons.append(compare(session, clips, reference, variant=variant))
                    if variant.stages:
                        title = staged_title(variant)
                        staged = compare_stages(bundle, variant, backend, asked, session)
                        comparisons.append(staged)
            except EdgeclsError as error:
                reason = error.message.rstrip(".")
                not_run.append(NotRun(backend=backend.name, graph=title, reason=reason))
    if not any(one.precision == "fp32" for one in comparisons):
        reasons = "; ".join(
            f"{no.backend}: {no.reason}" for no in not_run if no.graph in ("", "fp32")
        )
        raise BackendError(
            f"The files of {bundle.path} are intact, but no backend could run the model"
            f" ({reasons}).",
            hint="edgecls doctor tells which backends work here.",
        )
    return VerifyReport(
        files=files, metadata=metadata, comparisons=tuple(comparisons), not_run=tuple(not_run)
    )


def _check_files(bundle: Bundle) -> Iterator[FileCheck]:
    graphs = (entry for variant in bundle.card.variants for entry in variant.files)
    for entry in (*graphs, bundle.card.probe):
        bundle.checked(entry)
        yield FileCheck(file=entry.file, size_bytes=entry.size_bytes, sha256=entry.sha256)


def _compare_metadata(bundle: Bundle) -> Literal["agrees", "absent"]:
    """Compare the preprocessing and labels inside each graph with the card.

    Raises:
        BundleError: They differ, or are not what edgecls writes.
    """
    graphs = [one.file for one in bundle.card.variants if one.weights is None]
    found = [_graph_agrees(bundle, file) for file in graphs]
    return "agrees" if all(found) else "absent"


def _graph_agrees(bundle: Bundle, file: str) -> bool:
    """False when the graph carries no copy of the card."""
    metadata = onnx_metadata(bundle.path / file)
    clip = metadata.get(f"{METADATA_PREFIX}clip")
    labels = metadata.get(f"{METADATA_PREFIX}labels")
    if clip is None or labels is None:
        return False
    try:
        inside = (ClipSpec.model_validate(json.loads(clip)), tuple(json.loads(labels)))
    except (ValueError, TypeError, RecursionError) as error:
        raise BundleError(f"The metadata inside {file} cannot be read: {error}.") from error
    for what, in_graph, in_card in zip(
        ("preprocessing", "labels"), inside, _in_card(bundle.card), strict=True
    ):
        if in_graph != in_card:
            raise BundleError(
                f"card.json and the metadata inside {file} disagree about the {what}.",
                hint="Convert the model again: edgecls convert",
            )
    return True


def _in_card(card: ModelCard) -> tuple[ClipSpec, tuple[str, ...]]:
    return card.clip, card.labels
