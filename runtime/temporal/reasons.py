"""Why a graph is cut as it is, in one sentence."""

from __future__ import annotations

from collections.abc import Sequence

from models.stages import Mixing
from runtime.temporal.levels import LARGEST_STEP, Work


def reason_for(mixing: Sequence[Mixing], work: Work, stages: int) -> str:
    """What overlapping clips share, what not, and why.

    Args:
        mixing: Every operation that mixes frames, in order.
        work: Where the work is.
        stages: How many levels are stages; 0 for none.
    """
    end = next((at for at, one in enumerate(mixing) if one.kind != "shift"), len(mixing))
    if stages == 0:
        return _nothing(mixing, end)
    parts = [f"{_before(mixing, end)}every frame is computed once", *_behind(work, stages, end)]
    if end > stages - 1:
        parts.append("behind more shifts too many change, so that the rest is computed per clip")
    elif end < len(mixing) and mixing[end].kind == "other":
        parts.append(f"{mixing[end].node} mixes all frames: what follows it is computed per clip")
    else:
        parts.append("the mean over the frames and what follows it are computed per clip")
    return "; ".join(parts)


def _before(mixing: Sequence[Mixing], shifts: int) -> str:
    if shifts > 1:
        return f"before the first of {shifts} shifts "
    if shifts == 1:
        return f"before the shift at {mixing[0].node} "
    return ""


def _behind(work: Work, stages: int, shifts: int) -> list[str]:
    """How many frames change behind the shifts whose results are kept."""
    counts = work.rows[1:stages]
    if not counts:
        return []
    where = "it" if shifts == 1 else "that one"
    if len(counts) > 1:
        where = f"the first {len(counts)} of them"
    numbers = " and ".join(filter(None, (", ".join(map(str, counts[:-1])), str(counts[-1]))))
    return [f"behind {where} {numbers} of {work.frames} frames change with every new one"]


def _nothing(mixing: Sequence[Mixing], end: int) -> str:
    if end == 0 and mixing and mixing[0].kind == "other":
        return f"{mixing[0].node} mixes all frames before anything worth keeping was computed"
    if end > 0:
        return (
            f"the first of {end} shift{'s' * (end > 1)} comes so early that keeping what is"
            f" computed before it would save less than {1 - LARGEST_STEP:.0%} of the work"
        )
    return "no work is done on single frames"
