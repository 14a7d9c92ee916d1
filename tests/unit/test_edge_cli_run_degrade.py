"""The ladder in the loop over real samplers, on a clock that goes as fast as the test."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest

from edge_cli.degrade_options import DegradeRequest, degrade_asked
from edge_cli.run_degrade import Candidate, LadderPlan, RunLadder
from models.card import ModelCard
from models.errors import UsageError
from runtime.clip_classifier import Decoding
from runtime.closing import ClosesOnExit
from runtime.degrade.news import DegradeNews
from runtime.degrade.shelf import OpenModel
from runtime.grid import GridSampler, GridSpec, grid_spec
from runtime.pipeline import Stream, classify_streams
from runtime.preprocess import Preparation
from runtime.records import Clip, Frame, Prediction
from runtime.sources import Wanted
from runtime.stream_model import Scores
from tests.boards import Clock
from tests.cards import a_card
from tests.fakes import FakeSource, frame_at, picture_of

QUEUE = 8
SPEC = grid_spec(8, length_s=2.0)
"""A window every 0.25 s."""


class Camera(FakeSource):
    """25 pictures a second; those wanted wait in a queue that drops the oldest.

    Args:
        clock: Goes on when there is nothing to give.
        seconds: Until it ends.
    """

    def __init__(self, clock: Clock, seconds: float) -> None:
        super().__init__([], live=True)
        self._clock = clock
        self._began_s = clock()
        self._count = round(seconds * 25)
        self._picture = picture_of(100)

    def frames(self, wanted: Wanted | None = None) -> Iterator[Frame]:
        queue: deque[Frame] = deque(maxlen=QUEUE)
        for index in range(self._count):
            time_s = index / 25
            while queue and self._began_s + time_s > self._clock():
                yield queue.popleft()
            self._clock.now_s = max(self._clock.now_s, self._began_s + time_s)
            if wanted is None or wanted(time_s):
                frame = frame_at(time_s, index, picture=self._picture)
                queue.append(replace(frame, arrived_s=self._began_s + time_s))
        yield from queue


@dataclass(slots=True)
class Slow(ClosesOnExit):
    """A model that takes its time."""

    clock: Clock
    cost_s: Callable[[float], float]
    classes: int = 2

    def scores(self, clips: Sequence[tuple[int, Clip]]) -> Scores:
        cost_s = self.cost_s(self.clock())
        self.clock.now_s += cost_s
        values = np.zeros((len(clips), self.classes), np.float64)
        return Scores(values=values, normalise_ms=0.0, infer_ms=cost_s * 1e3)

    def close(self) -> None:
        """Nothing is held."""


@dataclass(slots=True)
class Run:
    """Results, and the steps between them."""

    results: list[Prediction]
    steps: list[DegradeNews]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("runtime.clip_classifier.time.monotonic", clock)
    return clock


def ran(
    clock: Clock,
    costs_s: Sequence[Callable[[float], float]],
    *,
    seconds: float,
    limit_ms: float = 300.0,
    spec: GridSpec = SPEC,
) -> Run:
    """Run models of these costs on a camera; each is opened when it is needed."""
    card = a_card(clip={"frames": 8, "crop": 16, "resize": {"short_side": 16}})
    models = [Slow(clock, cost_s) for cost_s in costs_s]

    def opener(model: OpenModel) -> Callable[[], OpenModel]:
        return lambda: model

    plan = LadderPlan(
        asked=DegradeRequest(limit_ms=limit_ms),
        candidates=tuple(
            Candidate(
                title=f"model {at}",
                model="m",
                precision="fp32",
                open=opener(model) if at else None,
            )
            for at, model in enumerate(models)
        ),
    )
    preparation = Preparation(clip=card.clip)
    stream = Stream(source=Camera(clock, seconds), sampler=GridSampler(spec, rule="centre"))
    with plan.open(models[0], [stream], [spec.stride_s]) as ladder:
        return looped(ladder, card, preparation, stream)


def looped(ladder: RunLadder, card: ModelCard, preparation: Preparation, stream: Stream) -> Run:
    done = Run([], [])
    for prediction in classify_streams(
        [stream],
        ladder.model,
        Decoding(card=card, top_k=1, threshold=0.0),
        preparation=preparation,
    ):
        done.results.append(prediction)
        news = ladder.result(prediction)
        if news is not None:
            done.steps.append(news)
    return done


def test_windows_become_fewer_and_all_of_them_again(clock: Clock) -> None:
    begun_s = clock()
    run = ran(clock, [lambda at_s: 0.27 if at_s - begun_s < 30 else 0.05], seconds=80, limit_ms=600)
    assert [(news.step.direction, news.step.after.every) for news in run.steps] == [
        ("down", 2),
        ("up", 1),
    ]
    by_level = {level: [one.index for one in run.results if one.level == level] for level in (0, 1)}
    assert {index % 2 for index in by_level[1]} == {0}
    # All windows from the step on, without a gap: the ring was kept.
    last = by_level[1][-1]
    again = [index for index in by_level[0] if index > last]
    assert again == list(range(again[0], again[-1] + 1))
    assert again[0] - last <= 2
    assert run.steps[0].text.startswith("results are ")
    late = [one for one in run.results if one.level == 1][8:]
    assert max(one.frame_age_ms or 0.0 for one in late) <= 600
    assert run.results[-1].level == 0


def test_a_cheaper_model_takes_over_and_hands_back(clock: Clock) -> None:
    begun_s = clock()
    run = ran(
        clock,
        [lambda at_s: 0.5 if at_s - begun_s < 40 else 0.1, lambda at_s: 0.1],
        seconds=120,
        limit_ms=250,
    )
    assert max(news.step.after.model for news in run.steps) == 1
    late = [one.frame_age_ms or 0.0 for one in run.results if 20 < one.end_s < 35]
    assert max(late) <= 250
    assert [news.limit_ms for news in run.steps] == [250.0] * len(run.steps)


def test_nothing_is_taken_from_a_run_that_is_in_time(clock: Clock) -> None:
    run = ran(clock, [lambda at_s: 0.1, lambda at_s: 0.05], seconds=20)
    assert run.steps == []
    assert [one.index for one in run.results] == list(range(len(run.results)))
    assert {one.level for one in run.results} == {0}


def test_files_are_refused() -> None:
    stream = Stream(source=FakeSource([]), sampler=GridSampler(SPEC, rule="centre"))
    plan = LadderPlan(asked=DegradeRequest(limit_ms=300.0), candidates=())
    with pytest.raises(UsageError, match="about live sources"):
        plan.open(Slow(Clock(), lambda at_s: 0.0), [stream], [0.25])


@pytest.mark.parametrize(
    ("text", "limit_ms"), [("300ms", 300.0), ("0.3s", 300.0), (" 2 s ", 2000.0), ("1.5ms", 1.5)]
)
def test_times(text: str, limit_ms: float) -> None:
    asked = degrade_asked(text, None)
    assert asked is not None
    assert asked.limit_ms == limit_ms


@pytest.mark.parametrize("text", ["300", "", "-1s", "0ms", "1h", "1e3ms", "nan s", "9999s"])
def test_times_that_are_none(text: str) -> None:
    with pytest.raises(UsageError, match="takes a time with its unit"):
        degrade_asked(text, None)
