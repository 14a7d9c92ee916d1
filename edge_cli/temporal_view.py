"""Where a model mixes frames, and its stage graphs, in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from edge_cli.words import size_in_words
from models.stages import Mixing, Stage, Temporal

_SHOWN = 3
_NOT_LOOKED_AT = "not known: the bundle was made before edgecls looked; convert again to know"
_KINDS = {"shift": "shift", "mean": "mean over all frames", "other": "mixture of all frames"}


def temporal_rows(
    temporal: Temporal | None, stages: Sequence[tuple[str, Sequence[Stage]]]
) -> Iterator[tuple[str, str]]:
    """What a card says about clips that overlap, as names and values.

    Args:
        temporal: Of the card.
        stages: Titles of the graphs that have stages, and those.
    """
    if temporal is None:
        yield "mixes frames", _NOT_LOOKED_AT
        return
    for number, line in enumerate(_mixing_lines(temporal)):
        yield "" if number else "mixes frames", line
    yield "shared", temporal.reason
    yield "cost", cost_in_words(temporal)
    if not stages:
        yield "stage graphs", "none in this bundle"
    for title, parts in stages:
        yield title, f"{len(parts)} stage graphs, {size_in_words(_size(parts))}"
        for stage in parts:
            yield "", _stage_in_words(stage)


def cost_in_words(temporal: Temporal) -> str:
    """What a clip costs that is one frame further than the one before."""
    if temporal.macs_per_step >= temporal.macs_per_clip:
        return "a clip one frame further costs as much as any other"
    ratio = temporal.macs_per_clip / max(temporal.macs_per_step, 1)
    return (
        f"a clip one frame further costs 1/{ratio:.1f} of a whole one:"
        f" {temporal.reused_share:.0%} of the multiply-accumulates are kept"
    )


def mixing_in_words(mixing: Any) -> str:
    """E.g. "33 shifts, 1 mean", of the list in `card.json`."""
    counts = Counter(Mixing.model_validate(one).kind for one in mixing)
    named = (f"{count} {kind}{'s' * (count > 1)}" for kind, count in counts.items())
    return ", ".join(named) or "nothing"


def stages_in_words(stages: Any) -> str:
    """E.g. "frame 8b02…, shifted (-1, 0, +1) 232a…, window 903c…", of the list in `card.json`."""
    parts = [Stage.model_validate(one) for one in stages]
    return ", ".join(f"{part.title} {part.sha256[:8]}…" for part in parts) or "none"


def temporal_in_words(temporal: Any) -> str:
    """The cost, of the object in `card.json`."""
    return cost_in_words(Temporal.model_validate(temporal))


def _mixing_lines(temporal: Temporal) -> Iterator[str]:
    """A line each; of many of a kind behind one another only the first and the last."""
    found = temporal.mixing
    if not found:
        yield "nowhere"
    at = 0
    while at < len(found):
        end = at
        while end < len(found) and _same(found[at], found[end]):
            end += 1
        if end - at <= _SHOWN:
            yield from (_mixing_line(one, temporal) for one in found[at:end])
        else:
            yield _mixing_line(found[at], temporal)
            yield f"… {end - at - 2} more of the same kind"
            yield _mixing_line(found[end - 1], temporal)
        at = end


def _same(one: Mixing, other: Mixing) -> bool:
    return (one.kind, one.reach) == (other.kind, other.reach)


def _mixing_line(one: Mixing, temporal: Temporal) -> str:
    what = _KINDS[one.kind]
    if one.kind == "shift":
        what += f" by {one.reach} frame{'s' * (one.reach != 1)}"
    done = one.macs_before / temporal.macs_per_clip if temporal.macs_per_clip else 0.0
    return f"{what} at {one.node}, behind {done:.0%} of the work"


def _stage_in_words(stage: Stage) -> str:
    made = f", {size_in_words(stage.row_bytes)} kept per frame" if stage.outputs else ""
    return f"{stage.title}: {stage.file}, {size_in_words(stage.size_bytes)}{made}"


def _size(stages: Sequence[Stage]) -> int:
    return sum(stage.size_bytes for stage in stages)
