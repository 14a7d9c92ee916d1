"""How many rows a step needs, and which levels are worth a stage of their own. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from models.stages import MAX_STAGES

LEAST_SAVING = 0.03
"""Share of the multiply-accumulates of a step that another stage must save."""

LARGEST_STEP = 0.9
"""Share of a clip that a step may cost: stages hold all weights a second time. With 0.92, PP-TSM
ResNet50, a step was 1.05 times as fast on ONNX Runtime and 1.01 times on OpenVINO."""


@dataclass(frozen=True, slots=True)
class Work:
    """Where the multiply-accumulates of a clip are.

    Attributes:
        frames: T.
        rows: Per level, how many rows a step needs.
        macs: Per level, of one row.
        rest: Of a clip, in no level.
    """

    frames: int
    rows: tuple[int, ...]
    macs: tuple[int, ...]
    rest: int


def rows_per_step(frames: int, offsets: Sequence[Sequence[int]]) -> tuple[int, ...]:
    """Rows of every level that the next clip needs and the one before did not have.

    Args:
        frames: T. The next clip is one frame further.
        offsets: Per shifted level, which rows of the level before a row depends on.

    Returns:
        One number per level, that of single frames (always 1) first. With 8 frames and two levels
        of (-1, 0, 1): (1, 3, 5), since at both ends of the clip rows lose neighbours.
    """
    before = tuple(range(frames))
    after = tuple(range(1, frames + 1))
    counts = [len(set(after) - set(before))]
    for taken in offsets:
        numbers: dict[tuple[int | None, ...], int] = {}
        before, after = (
            tuple(
                numbers.setdefault(_context(rows, at, taken), len(numbers)) for at in range(frames)
            )
            for rows in (before, after)
        )
        counts.append(len(set(after) - set(before)))
    return tuple(counts)


def _context(rows: Sequence[int], at: int, offsets: Sequence[int]) -> tuple[int | None, ...]:
    return tuple(rows[at + offset] if 0 <= at + offset < len(rows) else None for offset in offsets)


def step_macs(work: Work, stages: int) -> int:
    """Multiply-accumulates of a step when the first levels are stages and the rest is not."""
    kept = sum(
        count * cost for count, cost in zip(work.rows[:stages], work.macs[:stages], strict=True)
    )
    return kept + work.frames * sum(work.macs[stages:]) + work.rest


def levels_worth_it(work: Work) -> int:
    """How many levels should be stages; 0 for none.

    Another level counts when it saves at least `LEAST_SAVING` of what a step costs without it. One
    that saves less is taken only if it leads to one that saves enough for both. All together must
    bring a step down to `LARGEST_STEP` of a clip.
    """
    best, cost = 0, step_macs(work, 0)
    whole = cost
    for stages in range(1, min(len(work.macs), MAX_STAGES - 1) + 1):
        now = step_macs(work, stages)
        if cost > 0 and cost - now >= LEAST_SAVING * (stages - best) * cost:
            best, cost = stages, now
    return best if cost <= LARGEST_STEP * whole else 0
