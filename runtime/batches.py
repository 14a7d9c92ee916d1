"""Run graphs of fixed batch sizes on any number of clips or rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

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


def recurring_pieces(total: int, sizes: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Cut a number of rows into pieces of sizes that there are graphs for, the largest first.

    E.g. 8 rows with graphs for 3 and 1 are 3, 3, 1, 1; with one for 3 alone they are 3, 3, 3, of
    which the last reaches beyond the rows.

    Args:
        total: Rows.
        sizes: At least one, each at least 1, in any order.

    Yields:
        Start and size of each piece. Only the last may reach beyond `total`.
    """
    smallest, start = min(sizes), 0
    while start < total:
        size = max((size for size in sizes if size <= total - start), default=smallest)
        yield start, size
        start += size
