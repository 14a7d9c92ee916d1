"""Prove on this device that a bundle is whole and computes what the reference computed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from models.bundle import Bundle
from models.card import METADATA_PREFIX, ModelCard
from models.errors import BackendError, BundleError, EdgeclsError
from models.spec import ClipSpec
from runtime.backends import BACKENDS
from runtime.onnx_metadata import onnx_metadata
from runtime.session import Backend, Session, SessionOptions, Tensor

TOLERANCE = 1e-3
"""Largest difference of any logit that passes, as a share of the range of the reference."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileCheck:
    """A file whose size and digest agree with the card."""

    file: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The probe on one backend, compared with the stored reference.

    Attributes:
        backend: Its name.
        engine: What ran.
        clips: Number of clips compared, in each of the two ways.
        max_abs_diff: Largest difference of any logit, one clip at a time and as one batch.
        max_rel_diff: The same over the range of the reference logits.
        top1_agreement: Share of clips whose best class is the same.
        passed: `max_rel_diff` is at most `TOLERANCE`.
    """

    backend: str
    engine: str
    clips: int
    max_abs_diff: float
    max_rel_diff: float
    top1_agreement: float
    passed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class NotRun:
    """A backend that could not be compared; it neither passes nor fails."""

    backend: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyReport:
    """What was checked, and only that.

    Attributes:
        files: Files that agree with the card (any that does not is an error, not an entry).
        metadata: Whether the copy of the card inside the graph agrees; `absent` when the graph
            carries none, in which case nothing was compared.
        comparisons: One per backend that ran.
        not_run: Backends that did not.
        tolerance: Largest `max_rel_diff` that passes.
    """

    files: tuple[FileCheck, ...]
    metadata: Literal["agrees", "absent"]
    comparisons: tuple[Comparison, ...]
    not_run: tuple[NotRun, ...]
    tolerance: float = TOLERANCE

    @property
    def passed(self) -> bool:
        """At least one backend ran, and all that ran agree with the reference."""
        return bool(self.comparisons) and all(one.passed for one in self.comparisons)


def verify_bundle(
    bundle: Bundle,
    *,
    backends: tuple[Backend, ...] = BACKENDS,
    options: SessionOptions | None = None,
) -> VerifyReport:
    """Check a bundle's files, then its numbers on every backend that works here.

    Only the fp32 graph is held to the tolerance; of other variants the file is checked.

    Args:
        bundle: Opened, which means that its card is valid.
        backends: Those to try.
        options: Passed on to the engines.

    Raises:
        BundleError: A file is missing or altered, or the graph contradicts the card.
        BackendError: No backend could run the model.
    """
    card = bundle.card
    files = tuple(_check_files(bundle))
    metadata = _compare_metadata(bundle)
    clips, reference = bundle.probe()
    path = bundle.model_path("fp32")
    comparisons: list[Comparison] = []
    not_run: list[NotRun] = []
    for backend in backends:
        probe = backend.probe()
        if not probe.ok:
            not_run.append(NotRun(backend=backend.name, reason=probe.reason))
            continue
        try:
            with backend.open(path, card, options or SessionOptions()) as session:
                comparisons.append(compare(session, clips, reference))
        except EdgeclsError as error:
            not_run.append(NotRun(backend=backend.name, reason=error.message.rstrip(".")))
    if not comparisons:
        reasons = "; ".join(f"{no.backend}: {no.reason}" for no in not_run)
        raise BackendError(
            f"The files of {bundle.path} are intact, but no backend could run the model"
            f" ({reasons}).",
            hint="pip install 'edgecls[cpu]'",
        )
    return VerifyReport(
        files=files, metadata=metadata, comparisons=tuple(comparisons), not_run=tuple(not_run)
    )


def compare(session: Session, clips: Tensor, reference: Tensor) -> Comparison:
    """Run the probe one clip at a time and as one batch, and compare both with the reference.

    Args:
        session: Open.
        clips: float32 [P, T, 3, H, W].
        reference: float32 [P, classes].

    Raises:
        BackendError: The engine failed, or gave logits of another shape.
    """
    singly = np.concatenate([session.run(clips[at : at + 1]) for at in range(len(clips))])
    at_once = session.run(clips)
    for logits in (singly, at_once):
        if logits.shape != reference.shape:
            raise BackendError(
                f"The engine returned logits of shape {list(logits.shape)} for {len(clips)} clips;"
                f" expected {list(reference.shape)}."
            )
    logits = np.concatenate([singly, at_once])
    twice = np.concatenate([reference, reference])
    max_abs_diff = float(np.abs(logits - twice).max())
    spread = float(np.ptp(reference))
    if spread > 0:
        max_rel_diff = max_abs_diff / spread
    else:
        max_rel_diff = 0.0 if max_abs_diff == 0 else float("inf")
    return Comparison(
        backend=session.backend,
        engine=session.engine,
        clips=len(clips),
        max_abs_diff=max_abs_diff,
        max_rel_diff=max_rel_diff,
        top1_agreement=float((logits.argmax(axis=1) == twice.argmax(axis=1)).mean()),
        passed=max_rel_diff <= TOLERANCE,  # False for NaN
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
