"""From a network's scores to labelled probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from models.errors import BackendError, UsageError
from runtime.records import ScoredLabel


def softmax(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """Probabilities along the last axis.

    Computed in float64 relative to the largest logit, so that logits of any size neither
    overflow nor vanish.

    Args:
        logits: Floating point, any shape, finite.

    Returns:
        float64 of the same shape; sums to 1 along the last axis.
    """
    wide = np.asarray(logits, dtype=np.float64)
    weights = np.exp(wide - wide.max(axis=-1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=-1, keepdims=True), dtype=np.float64)


def check_decoding(*, top_k: int, threshold: float) -> None:
    """Refuse options of `top_labels` that mean nothing.

    Raises:
        UsageError: `top_k` is below 1, or `threshold` is not within 0 to 1.
    """
    if top_k < 1:
        raise UsageError(f"The number of labels must be at least 1, got {top_k}.", hint="--top 5")
    if not 0.0 <= threshold <= 1.0:
        raise UsageError(
            f"The threshold is a probability from 0 to 1, got {threshold}.", hint="--threshold 0.3"
        )


def probabilities(
    scores: NDArray[np.floating], output: Literal["logits", "probabilities"]
) -> NDArray[np.float64]:
    """Probabilities along the last axis, from what the network puts out (see `ModelCard`)."""
    return softmax(scores) if output == "logits" else np.asarray(scores, dtype=np.float64)


def top_labels(
    logits: NDArray[np.floating],
    labels: Sequence[str],
    *,
    top_k: int,
    threshold: float,
    output: Literal["logits", "probabilities"] = "logits",
) -> tuple[ScoredLabel, ...]:
    """The most probable classes.

    Args:
        logits: What the network puts out for one clip, shape [classes].
        labels: One name per class, in the order of the logits.
        top_k: How many classes at most; all of them when there are fewer.
        threshold: Classes less probable than this are left out, so the result may be empty.
        output: Whether these are logits, or probabilities already.

    Returns:
        Best first; of equal logits the class with the smaller number comes first.

    Raises:
        BackendError: The engine gave another number of logits than there are labels, or
            values that are not finite.
        UsageError: `top_k` or `threshold` is out of range.
    """
    check_decoding(top_k=top_k, threshold=threshold)
    if logits.shape != (len(labels),):
        raise BackendError(
            f"The engine returned logits of shape {list(logits.shape)}, the card lists"
            f" {len(labels)} labels.",
            hint="Check the bundle: edgecls verify",
        )
    if not np.isfinite(logits).all():
        bad = int((~np.isfinite(logits)).sum())
        raise BackendError(
            f"The engine returned {bad} of {len(labels)} logits that are not finite.",
            hint="Check the backend: edgecls verify",
        )
    shares = probabilities(logits, output)
    best = np.argsort(-logits.astype(np.float64), kind="stable")[:top_k]
    return tuple(
        ScoredLabel(label=labels[i], probability=float(shares[i]))
        for i in best
        if shares[i] >= threshold
    )
