"""The ladder of a run: which models it has, and what a step changes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from edge_cli.run_output import say
from models.errors import UsageError
from runtime.closing import ClosesOnExit

if TYPE_CHECKING:
    from edge_cli.degrade_options import DegradeRequest
    from edge_cli.run_request import RunRequest
    from edgecls.stream_session import StreamSession
    from edgecls.windows import WindowCut
    from models.bundle import Bundle
    from runtime.degrade.ladder import Ladder
    from runtime.degrade.news import DegradeNews
    from runtime.degrade.shelf import ModelShelf, OpenModel
    from runtime.engine_request import EngineRequest
    from runtime.feed import Stream
    from runtime.records import Clip, Prediction
    from runtime.reuse import ReuseAsked
    from runtime.stream_model import Scores, StreamModel


@dataclass(slots=True, kw_only=True)
class Candidate:
    """A model of the ladder.

    Attributes:
        title: As messages name it, e.g. "int8".
        model: Name of its bundle.
        precision: Of its graph; "auto" until it is opened.
        open: Opens it; None for the model that runs already.
    """

    title: str
    model: str
    precision: str
    open: Callable[[], OpenModel] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LadderPlan:
    """The ladder of a run before its sources are open.

    Attributes:
        asked: As asked for.
        candidates: The models, the one that runs first.
    """

    asked: DegradeRequest
    candidates: tuple[Candidate, ...]

    def open(
        self,
        first: StreamModel,
        streams: Sequence[Stream],
        strides_s: Sequence[float],
    ) -> RunLadder:
        """The ladder, at its top.

        Args:
            first: The model that runs.
            streams: All of the run.
            strides_s: Of each, from one window to the next.

        Raises:
            UsageError: No source is live.
        """
        from runtime.degrade.ladder import SETTLING, Ladder, LadderSpec
        from runtime.degrade.shelf import ModelShelf, Spare

        live = [stream.source.live for stream in streams]
        if not any(live):
            raise UsageError(
                "--max-latency is about live sources; a file waits for its results.",
                hint="Leave it out, or show the file in real time: --source realtime:FILE",
            )
        spares = [
            Spare(title=one.title, open=one.open) for one in self.candidates if one.open is not None
        ]
        shelf = ModelShelf(first, spares, on_failure=_say_unusable)
        spec = LadderSpec(
            limit_ms=self.asked.limit_ms,
            models=len(self.candidates),
            settling=SETTLING * len(streams),
            windows_per_s=sum(
                1 / stride_s for stride_s, counts in zip(strides_s, live, strict=True) if counts
            ),
        )
        return RunLadder(Ladder(spec, shelf), shelf, self.candidates, streams)


class RunLadder(ClosesOnExit):
    """Watches the age of results, and takes the steps; use `LadderPlan.open`.

    Args:
        ladder: Decides.
        shelf: The models.
        candidates: What they are.
        streams: Whose windows become fewer.
    """

    def __init__(
        self,
        ladder: Ladder,
        shelf: ModelShelf,
        candidates: Sequence[Candidate],
        streams: Sequence[Stream],
    ) -> None:
        self._ladder = ladder
        self._shelf = shelf
        self._candidates = tuple(candidates)
        self._samplers = [stream.sampler for stream in streams]

    @property
    def model(self) -> StreamModel:
        """The model that runs, whichever it is."""
        return self._shelf

    def facts(self) -> dict[str, object]:
        """For the header of the results."""
        spec = self._ladder.spec
        return {
            "max_latency_ms": spec.limit_ms,
            "most_every": spec.most_every,
            "models": [one.title for one in self._candidates],
        }

    def result(self, prediction: Prediction) -> DegradeNews | None:
        """Take a result as soon as it is there; what changed by it, if anything."""
        from runtime.degrade.ladder import Late
        from runtime.degrade.news import DegradeNews, step_in_words

        if prediction.frame_age_ms is None:
            return None
        latency = prediction.latency
        step = self._ladder.result(
            Late(
                at_s=time.monotonic(),
                age_ms=prediction.frame_age_ms,
                cost_ms=latency.preprocess_ms + latency.infer_ms,
                batch=prediction.batch,
            )
        )
        if step is None:
            return None
        if step.before.every != step.after.every:
            for sampler in self._samplers:
                sampler.take_every = step.after.every
        if step.before.model != step.after.model:
            self._shelf.use(step.after.model)
        self._shelf.level = step.level
        before, after = (self._candidates[rung.model] for rung in (step.before, step.after))
        limit_ms = self._ladder.spec.limit_ms
        return DegradeNews(
            step=step,
            at_s=time.time(),
            limit_ms=limit_ms,
            model=after.model,
            precision=after.precision,
            text=step_in_words(step, limit_ms=limit_ms, before=before.title, after=after.title),
        )

    def close(self) -> None:
        """Close the cheaper models."""
        self._shelf.close()


def ladder_plan(request: RunRequest, session: StreamSession) -> LadderPlan | None:
    """The models of the ladder; None where none was asked for.

    Args:
        request: As asked for.
        session: The model, open.

    Raises:
        UsageError: The fallback does not fit.
        BundleError: It is no bundle.
    """
    if request.degrade is None:
        return None
    name, precision = session.bundle.card.name, session.variant.precision
    candidates = [Candidate(title=precision, model=name, precision=precision)]
    if _int8_may_help(session):
        candidates.append(_int8(request, session))
    if request.degrade.fallback is not None:
        candidates.append(_fallback(request.degrade.fallback, request, session))
    return LadderPlan(asked=request.degrade, candidates=tuple(candidates))


def _int8_may_help(session: StreamSession) -> bool:
    """Whether there is an INT8 graph to be trusted that has not lost against the one that runs."""
    from runtime.graphs import competing, distrust

    backend, choice = session.choice.session.backend, session.choice
    lost = choice.asked == "auto" and choice.speedup is not None
    graphs = competing(session.bundle.card, "int8", backend)
    trusted = any(not distrust(one, backend) for one in graphs)
    return session.variant.precision != "int8" and trusted and not lost


def _int8(request: RunRequest, session: StreamSession) -> Candidate:
    cheaper = _engine(request, session, "int8")
    return Candidate(
        title="int8",
        model=session.bundle.card.name,
        precision="int8",
        open=lambda: _Opened(session.bundle, cheaper, request, session.cuts),
    )


def _fallback(path: Path, request: RunRequest, session: StreamSession) -> Candidate:
    from edge_cli.options import open_bundle_argument
    from runtime.degrade.fallback import FewerFrames, check_fallback, grid_of_fewer

    other = open_bundle_argument(path)
    mine = session.bundle.card
    check_fallback(mine, other.card)
    clip, frames = other.card.clip, mine.clip.frames
    fewer = [replace(one, grid=one.grid and grid_of_fewer(one.grid, clip)) for one in session.cuts]
    cheaper = _engine(request, session, "auto")
    name = other.card.name
    candidate = Candidate(title=f"fallback {name}", model=name, precision="auto")

    def opened() -> OpenModel:
        model = _Opened(other, cheaper, request, fewer)
        candidate.precision = model.precision
        return FewerFrames(model, clip, frames=frames)

    candidate.open = opened
    return candidate


def _engine(request: RunRequest, session: StreamSession, precision: str) -> EngineRequest:
    """The engine that runs already, asked to run another graph."""
    backend = session.choice.session.backend
    return replace(request.engine, backend=backend, precision=precision)


class _Opened(ClosesOnExit):
    """A cheaper model, open and warmed up; what its windows share is decided anew."""

    def __init__(
        self,
        bundle: Bundle,
        engine: EngineRequest,
        request: RunRequest,
        cuts: Sequence[WindowCut],
    ) -> None:
        from edgecls.stream_session import open_cut

        reuse: ReuseAsked = "off" if request.reuse.value == "off" else "auto"
        self._session = open_cut(
            bundle, engine, cuts, reuse=reuse, views=request.views_of(bundle.card.clip)
        )
        self._model = self._session.stream_model()
        self.precision = self._session.variant.precision

    def scores(self, clips: Sequence[tuple[int, Clip]]) -> Scores:
        """Scores of a batch."""
        return self._model.scores(clips)

    def close(self) -> None:
        """Close it."""
        self._session.close()


def _say_unusable(title: str, reason: str) -> None:
    say(f"warning: {title} cannot be used when results are late: {reason}")
