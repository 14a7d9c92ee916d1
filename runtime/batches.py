"""Run a model of a fixed batch size on any number of clips."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from runtime.session import Tensor


def in_fixed_batches(clips: Tensor, batch: int, compute: Callable[[Tensor], Tensor]) -> Tensor:
    """Run a graph whose batch size is fixed on any number of clips.

    The last piece is filled up with zeros and the surplus results are dropped: 5 clips on a
    graph for 2 are three calls.

    Args:
        clips: float32 [N, T, 3, H, W].
        batch: Clips that the graph takes.
        compute: Runs the graph on exactly `batch` clips.

    Returns:
        float32 [N, classes].
    """
    results = []
    for start in range(0, len(clips), batch):
        piece = clips[start : start + batch]
        missing = batch - len(piece)
        if missing:
            piece = np.concatenate([piece, np.zeros((missing, *clips.shape[1:]), clips.dtype)])
        results.append(compute(piece)[: batch - missing])
    return np.concatenate(results)
