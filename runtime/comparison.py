"""How far a graph on an engine is from the stored reference, and how far it may be."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.card import Variant
from models.errors import BackendError
from runtime.graphs import short_title
from runtime.session import Session, Tensor

TOLERANCE = 1e-3
"""Largest difference of any logit of an fp32 graph, as a share of the range of the reference."""

HEAD_ROOM = {"fp32": 1.0, "fp16": 4.0, "int8": 1.5}
"""Times the difference that the card records for a graph. Engines may sum float16 in float16 or in
float32; INT8 sums are exact, and engines differ in what they round before and after."""

UNRECORDED = {"fp32": TOLERANCE, "fp16": 2e-2, "int8": 0.5}
"""Allowed where the card records nothing. For float16 what a conversion allows at most. INT8 that
held its budget was off by 0.05 to 0.25 of the range on clips unlike those it was calibrated on;
wrong arithmetic is off by about the range itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The probe in one graph on one backend, compared with the stored reference.

    Attributes:
        backend: Name of the backend.
        engine: What ran.
        graph: What it ran, e.g. "fp32", "int8 IR".
        precision: Of that graph.
        clips: Number of clips compared, in each of the two ways.
        max_abs_diff: Largest difference of any logit, one clip at a time and as one batch.
        max_rel_diff: The same over the range of the reference logits.
        tolerance: Largest `max_rel_diff` that passes.
        top1_agreement: Share of clips whose best class is the same.
        passed: The difference is within the tolerance, and the best classes are those of the
            reference as far as the card says that they should be.
        staged: The graph ran in stages on a random walk of overlapping clips, and the reference is
            the whole graph on the same engine.
    """

    backend: str
    engine: str
    graph: str
    precision: str
    clips: int
    max_abs_diff: float
    max_rel_diff: float
    tolerance: float
    top1_agreement: float
    passed: bool
    staged: bool = False

    @property
    def title(self) -> str:
        """E.g. "cpu", or "cpu int8" where it is not fp32."""
        return self.backend if self.graph == "fp32" else f"{self.backend} {self.graph}"


def tolerance(variant: Variant) -> float:
    """Largest difference of a logit that passes, as a share of the range of the reference."""
    if variant.check is None or variant.precision == "fp32":
        return UNRECORDED[variant.precision]
    return max(TOLERANCE, HEAD_ROOM[variant.precision] * variant.check.max_rel_diff)


def least_agreement(variant: Variant, clips: int) -> float:
    """Least share of the stored clips whose best class must be that of the reference.

    Only the record of an INT8 graph is about the stored clips. One clip fewer passes: a close
    decision may fall either way.
    """
    if variant.precision != "int8" or variant.check is None:
        return 0.0
    return variant.check.top1_agreement - 1 / clips - 1e-9


def both_ways(session: Session, clips: Tensor, reference: Tensor) -> Tensor:
    """Run clips one at a time, then as one batch.

    Args:
        session: Open.
        clips: float32 [P, T, 3, H, W].
        reference: float32 [P, classes], of which only the shape counts.

    Returns:
        float32 [2 P, classes].

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
    return np.concatenate([singly, at_once])


def relative_difference(logits: Tensor, reference: Tensor) -> float:
    """Largest difference of a logit, over the range of the reference, both [N, classes]."""
    difference, spread = float(np.abs(logits - reference).max()), float(np.ptp(reference))
    if spread > 0:
        return difference / spread
    return 0.0 if difference == 0 else float("inf")


def compare(session: Session, clips: Tensor, reference: Tensor, *, variant: Variant) -> Comparison:
    """Run the probe one clip at a time and as one batch, and compare both with the reference.

    Args:
        session: Open.
        clips: float32 [P, T, 3, H, W].
        reference: float32 [P, classes].
        variant: The graph that the session runs.

    Raises:
        BackendError: The engine failed, or gave logits of another shape.
    """
    logits = both_ways(session, clips, reference)
    twice = np.concatenate([reference, reference])
    max_rel_diff = relative_difference(logits, twice)
    agreement = float((logits.argmax(axis=1) == twice.argmax(axis=1)).mean())
    allowed = tolerance(variant)
    return Comparison(
        backend=session.backend,
        engine=session.engine,
        graph=short_title(variant),
        precision=variant.precision,
        clips=len(clips),
        max_abs_diff=float(np.abs(logits - twice).max()),
        max_rel_diff=max_rel_diff,
        tolerance=allowed,
        top1_agreement=agreement,
        passed=max_rel_diff <= allowed  # False for NaN
        and agreement >= least_agreement(variant, len(clips)),
    )
