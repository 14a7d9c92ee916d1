"""Training batches, rendered by worker processes; the batch number and the seed fix them."""

import multiprocessing
import os
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.pool import AsyncResult

import numpy as np
from numpy.typing import NDArray

from models.motion.camera import FULL_SPEEDS, SpeedRange
from models.motion.clips import ClipStyle, Frames, render_motion, seed_generator
from models.motion.labels import MOTION_LABELS

AHEAD = 8
"""Batches rendered ahead of the training."""


@dataclass(frozen=True)
class Batch:
    """Rendered clips.

    Attributes:
        frames: RGB, uint8 ``[N, T, S, S, 3]``.
        labels: class indices, int64 ``[N]``.
        steps: camera steps, float32 ``[N, T - 1, 4]``, see :mod:`models.motion.camera`.
    """

    frames: Frames
    labels: NDArray[np.int64]
    steps: NDArray[np.float32]


@dataclass(frozen=True)
class BatchOrder:
    """What a worker needs to render one batch."""

    seed: int
    number: int
    size: int
    style: ClipStyle


def ease_speeds(ease: float) -> SpeedRange:
    """Speeds from the full range (``ease`` 0) to fast, clean motions only (``ease`` 1)."""

    def blend(full: float, easy: float) -> float:
        return float(full * (easy / full) ** ease)

    full = FULL_SPEEDS
    return SpeedRange(
        pan=(blend(full.pan[0], 0.06), full.pan[1] * (1 - 0.3 * ease)),
        zoom=(blend(full.zoom[0], 0.07), full.zoom[1] * (1 + 0.2 * ease)),
        turn=(blend(full.turn[0], 6.0), full.turn[1]),
        still=full.still,
        ease=full.ease * (1 - ease),
        cross=full.cross * (1 - ease),
        jitter=full.jitter * (1 - ease),
    )


def render_batch(order: BatchOrder) -> Batch:
    """Renders a batch with classes drawn evenly."""
    classes = seed_generator(order.seed, order.number).integers(len(MOTION_LABELS), size=order.size)
    clips = [
        render_motion(MOTION_LABELS[label], (order.seed, order.number, place), order.style)
        for place, label in enumerate(classes)
    ]
    steps = np.stack([clip[1] for clip in clips]).astype(np.float32)
    return Batch(np.stack([clip[0] for clip in clips]), classes.astype(np.int64), steps)


def _start_worker() -> None:
    import cv2

    cv2.setNumThreads(1)
    os.nice(2)


def stream_batches(orders: Sequence[BatchOrder], workers: int = 1) -> Iterator[Batch]:
    """Renders batches in worker processes, in order and a few ahead.

    Args:
        orders: the batches to render.
        workers: number of processes.

    Yields:
        One batch per order.
    """
    pending: deque[AsyncResult[Batch]] = deque()
    with multiprocessing.get_context("spawn").Pool(workers, _start_worker) as pool:
        for order in orders:
            pending.append(pool.apply_async(render_batch, (order,)))
            if len(pending) > AHEAD:
                yield pending.popleft().get()
        while pending:
            yield pending.popleft().get()
