"""Prove on this device that the stages of a graph compute what the whole graph computes."""

from __future__ import annotations

from models.bundle import Bundle
from models.card import Variant
from runtime.comparison import Comparison
from runtime.graphs import short_title
from runtime.incremental.opening import open_incremental
from runtime.incremental.walk import EVERY_KIND, walk
from runtime.session import Backend, Session, SessionOptions


def staged_title(variant: Variant) -> str:
    """E.g. "fp32 in stages"."""
    return f"{short_title(variant)} in stages"


def compare_stages(
    bundle: Bundle, variant: Variant, backend: Backend, options: SessionOptions, whole: Session
) -> Comparison:
    """Walk through overlapping clips of noise with the stages of a graph, and with all of it.

    Args:
        bundle: Opened.
        variant: A graph of it that has stages.
        backend: What runs them.
        options: Passed on to the engine.
        whole: The whole graph on the same backend; not closed.

    Raises:
        BundleError: A file does not match the card.
        BackendError: The engine cannot run them.
    """
    with open_incremental(bundle, variant, backend, options) as staged:
        report = walk(staged, whole, steps=EVERY_KIND)
        return Comparison(
            backend=staged.backend,
            engine=staged.engine,
            graph=staged_title(variant),
            precision=variant.precision,
            clips=report.clips,
            max_abs_diff=report.max_abs_diff,
            max_rel_diff=report.max_rel_diff,
            tolerance=report.tolerance,
            top1_agreement=report.top1_agreement,
            passed=report.passed,
            staged=True,
        )
