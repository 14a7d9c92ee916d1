"""Whether overlapping windows share what was computed for them, on which graph, and why not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from models.bundle import Bundle
from models.card import Variant
from models.errors import BackendError, UsageError
from models.stages import Stage
from runtime.backends import backend_named
from runtime.choose import Choice
from runtime.grid import GridSpec, Neighbours
from runtime.incremental import IncrementalSession, open_incremental
from runtime.incremental.plan import Level, levels_of
from runtime.session import SessionOptions
from runtime.views import Views

ReuseAsked = Literal["auto", "exact", "approx", "off"]

WORTH_SHARE = 0.95
"""A step that costs more than this share of a whole clip gains nothing: stages have costs too."""

_INT8_AT_BEST = 0.4
"""A step in fp32 below this share of a clip costs less than a whole clip in INT8 ever did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reusing:
    """What was decided.

    Attributes:
        asked: By the user.
        mode: `exact` gives what whole clips give; `approx` does not quite; `off` computes whole
            clips.
        why: Why so, as a clause; empty where there was no choice.
        variant: The graph whose stages run; None with `off`.
    """

    asked: ReuseAsked
    mode: Literal["exact", "approx", "off"]
    why: str
    variant: Variant | None = None

    def note(self, session: IncrementalSession | None) -> str:
        """For the line about the backend, e.g. "reuse exact, 3.2 MB kept per source".

        Args:
            session: Open; None with `off`.
        """
        if session is None:
            return f"no reuse: {self.why}" if self.why else ""
        kept = f"{session.memory_bytes_per_stream / 1e6:.1f} MB kept per source"
        return f"reuse {self.mode}, {kept}" + (f"; {self.why}" if self.why else "")

    def given_up(self, error: BackendError) -> Reusing:
        """Whole clips instead, as the engine does not run the stages."""
        why = f"the stages do not run here: {error.message.splitlines()[0].rstrip('.')}"
        return replace(self, mode="off", why=why, variant=None)

    def neighbours(self) -> Neighbours:
        """Frames beyond a window that its clip must know."""
        if self.variant is None or self.mode != "approx":
            return Neighbours()
        top = _levels(self.variant.stages)[-1]
        return Neighbours(before=-top.low, after=top.high)

    def open(
        self, bundle: Bundle, choice: Choice, options: SessionOptions, *, streams: int, phases: int
    ) -> IncrementalSession | None:
        """Open the stages on the engine of the choice, warmed up; None with `off`.

        Args:
            bundle: The model.
            choice: Gives the engine.
            options: Passed on to it.
            streams: Sources at a time.
            phases: Of the grid.

        Raises:
            BundleError: A file does not match the card.
            BackendError: The engine cannot run them.
        """
        if self.variant is None or self.mode == "off":
            return None
        session = open_incremental(
            bundle,
            self.variant,
            backend_named(choice.session.backend),
            options,
            reuse=self.mode,
            streams=streams,
            phases=phases,
        )
        try:
            session.warm_up()
        except BaseException:
            session.close()
            raise
        return session


def decide_reuse(
    bundle: Bundle,
    choice: Choice,
    *,
    asked: ReuseAsked,
    views: Views,
    grids: Sequence[GridSpec],
) -> Reusing:
    """Decide whether overlapping windows share work.

    `auto` is exact reuse where the graph that was chosen, or one as good, is cut into stages, and
    the windows have so much in common that it pays.

    Args:
        bundle: The model.
        choice: Engine and graph for whole clips.
        asked: By the user.
        views: Views per frame.
        grids: Of the streams; none where every window is sampled on its own.

    Raises:
        UsageError: `exact` or `approx` was asked for and is impossible.
    """
    if asked == "off":
        return Reusing(asked=asked, mode="off", why="")
    variant = _staged(bundle, choice)
    obstacle, hint = _obstacle(bundle, choice, views)
    if not obstacle and asked == "approx" and not grids:
        obstacle = "windows sampled each on its own have no frames around them"
        hint = "--sampling sliding, or --reuse exact"
    if variant is None or obstacle:
        if asked == "auto":
            return Reusing(asked=asked, mode="off", why=obstacle)
        raise UsageError(
            f"--reuse {asked} is impossible with {bundle.card.name}: {obstacle}.", hint=hint
        )
    if asked != "auto":
        return Reusing(asked=asked, mode=asked, why=_other_graph(variant, choice), variant=variant)
    if not grids:
        why = "windows are sampled each on its own; --sampling sliding shares their frames"
        return Reusing(asked=asked, mode="off", why=why)
    share = _share_per_time(variant.stages, grids)
    if share > WORTH_SHARE:
        strides = " or ".join(f"{one:g} s" for one in sorted({one.stride_s for one in grids}))
        why = f"a step of {strides} would still cost {share * 100:.0f} % of a clip"
        return Reusing(asked=asked, mode="off", why=why)
    why = ", ".join(
        filter(
            None,
            [
                f"a step costs {share * 100:.0f} % of a clip" if share else "",
                _other_graph(variant, choice),
            ],
        )
    )
    return Reusing(asked=asked, mode="exact", why=why, variant=variant)


def step_share(stages: Sequence[Stage], frames: int, hop: int) -> float:
    """Multiply-accumulates of a clip some frames further than the one before, as a share of all.

    Args:
        stages: Of a graph.
        frames: Of a clip, T.
        hop: Frames from one clip to the next.

    Returns:
        0 to 1; 0 where the card does not tell any.
    """
    whole = step = stages[-1].macs
    for stage, level in zip(stages, _levels(stages), strict=False):
        whole += frames * stage.macs
        step += min(frames, hop + level.high - level.low) * stage.macs
    return step / whole if whole else 0.0


def _share_per_time(stages: Sequence[Stage], grids: Sequence[GridSpec]) -> float:
    """`step_share` of grids that run side by side: a short stride counts as often as it comes."""
    shares = [step_share(stages, grid.frames, grid.every) / grid.stride_s for grid in grids]
    return sum(shares) / sum(1.0 / grid.stride_s for grid in grids)


def whole_macs(stages: Sequence[Stage], frames: int) -> int:
    """Multiply-accumulates of a clip of which nothing is known yet."""
    return frames * sum(stage.macs for stage in stages[:-1]) + stages[-1].macs


def _levels(stages: Sequence[Stage]) -> tuple[Level, ...]:
    return levels_of([stage.offsets for stage in stages[1:-1]])


def _obstacle(bundle: Bundle, choice: Choice, views: Views) -> tuple[str, str]:
    """Why nothing can be shared, and what would help; two empty strings where it can."""
    if views != 1:
        return f"{views} views of every frame", "--views 1, or --reuse off"
    if backend_named(choice.session.backend).open_stage is None:
        return f"{choice.session.backend} does not run models in stages", "--backend cpu"
    if _staged(bundle, choice) is not None:
        return "", ""
    temporal = bundle.card.temporal
    if any(variant.stages for variant in bundle.card.variants):
        return f"the {choice.variant.title} graph has no stages", "--precision fp32"
    if temporal is not None:
        return temporal.reason.rstrip("."), "--reuse off"
    return "the bundle has no stage graphs", "Convert the model again: edgecls convert"


def _staged(bundle: Bundle, choice: Choice) -> Variant | None:
    """The graph whose stages stand in for the one that was chosen."""
    engine = choice.session.backend
    staged = [one for one in bundle.card.variants if one.stages and one.engine in ("any", engine)]
    chosen = choice.variant
    same = [one for one in staged if one.sha256 == chosen.sha256]
    alike = [
        one
        for one in staged
        if one.precision == chosen.precision
        and (
            one.int8 is None or (engine in one.int8.staged_on and engine not in one.int8.failed_on)
        )
    ]
    if same or alike:
        return (same or alike)[0]
    if choice.asked != "auto":
        return None
    frames = bundle.card.clip.frames
    quick = [one for one in staged if step_share(one.stages, frames, 1) < _INT8_AT_BEST]
    return next((one for one in quick if one.precision == "fp32"), None)


def _other_graph(variant: Variant, choice: Choice) -> str:
    if variant.sha256 == choice.variant.sha256:
        return ""
    return f"{variant.file}, as {choice.variant.file} has no stages"
