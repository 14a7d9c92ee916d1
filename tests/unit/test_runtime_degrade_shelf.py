"""Models that are opened beside the one that runs, and models that stand in for another."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.card import ModelCard
from models.errors import BackendError, UsageError
from models.spec import ClipSpec
from runtime.closing import ClosesOnExit
from runtime.degrade.fallback import FewerFrames, check_fallback, grid_of_fewer
from runtime.degrade.shelf import ModelShelf, OpenModel, Spare
from runtime.grid import GridSampler, GridSpec, grid_spec
from runtime.records import Clip
from runtime.stream_model import Scores
from tests.cards import a_card
from tests.fakes import frames_at


@dataclass(slots=True)
class Model(ClosesOnExit):
    """Says its number; remembers the frames it was given."""

    number: int
    closed: int = 0
    seen: list[tuple[int, ...]] = field(default_factory=list)

    def scores(self, clips: Sequence[tuple[int, Clip]]) -> Scores:
        self.seen += [tuple(frame.index for frame in clip.frames) for _, clip in clips]
        values = np.full((len(clips), 2), self.number, np.float64)
        return Scores(values=values, normalise_ms=0.0, infer_ms=0.0)

    def close(self) -> None:
        self.closed += 1


def clip_of(count: int) -> Clip:
    frames = tuple(frames_at([float(at) for at in range(count)]))
    return Clip(frames=frames, start_s=0.0, end_s=float(count), available=count, index=0)


def settled(shelf: ModelShelf, model: int) -> str:
    """What is said of a model once it is no longer being opened."""
    for _ in range(1000):
        state = shelf.ask(model)
        if state != "opening":
            return state
        threading.Event().wait(0.005)
    raise AssertionError("it never opened")


def said(spares: Sequence[Callable[[], OpenModel]]) -> tuple[ModelShelf, Model, list[str]]:
    first, heard = Model(0), list[str]()
    shelf = ModelShelf(
        first,
        [Spare(title=f"spare {at}", open=each) for at, each in enumerate(spares, start=1)],
        on_failure=lambda title, reason: heard.append(f"{title}: {reason}"),
    )
    return shelf, first, heard


def test_a_spare_is_opened_beside_the_model_that_runs() -> None:
    may_open, spare = threading.Event(), Model(1)

    def opened() -> OpenModel:
        may_open.wait(10)
        return spare

    shelf, first, _ = said([opened])
    clips = [(0, clip_of(4))]
    assert shelf.ask(0) == "open"
    assert shelf.ask(1) == "opening"
    shelf.level = 2
    assert shelf.scores(clips).values[0, 0] == 0
    may_open.set()
    assert settled(shelf, 1) == "open"
    shelf.use(1)
    scores = shelf.scores(clips)
    assert (scores.values[0, 0], scores.level) == (1, 2)
    shelf.use(0)
    assert shelf.scores(clips).values[0, 0] == 0
    shelf.close()
    assert (first.closed, spare.closed) == (0, 1)


@pytest.mark.parametrize("error", [BackendError("no such engine"), RuntimeError("a bug")])
def test_a_spare_that_does_not_open_is_told_once(error: Exception) -> None:
    def broken() -> OpenModel:
        raise error

    shelf, _, heard = said([broken, lambda: Model(2)])
    assert settled(shelf, 1) == "failed"
    assert shelf.ask(1) == "failed"
    (line,) = heard
    assert line.startswith("spare 1: ")
    assert str(error).splitlines()[0] in line
    assert settled(shelf, 2) == "open"
    shelf.close()


def test_what_opens_after_the_end_is_closed() -> None:
    may_open, spare = threading.Event(), Model(1)

    def opened() -> OpenModel:
        may_open.wait(10)
        return spare

    shelf, _, _ = said([opened])
    assert shelf.ask(1) == "opening"
    closing = threading.Thread(target=shelf.close)
    closing.start()
    may_open.set()
    closing.join(5)
    assert spare.closed


@pytest.mark.parametrize(
    ("frames", "wanted", "chosen"),
    [(16, 8, (0, 2, 4, 6, 8, 10, 12, 14)), (8, 3, (0, 2, 4)), (4, 4, (0, 1, 2, 3))],
)
def test_fewer_frames_are_those_of_a_shorter_video(
    frames: int, wanted: int, chosen: tuple[int, ...]
) -> None:
    model = Model(0)
    with FewerFrames(model, ClipSpec(frames=wanted), frames=frames) as fewer:
        fewer.scores([(0, clip_of(frames))])
    assert model.seen == [chosen]
    assert model.closed == 1


@given(
    frames=st.sampled_from([4, 8, 16]),
    apart=st.sampled_from([1, 2, 4]),
    stride_s=st.floats(0.1, 2.0),
)
def test_windows_share_what_the_grid_of_fewer_frames_says(
    frames: int, apart: int, stride_s: float
) -> None:
    spec = grid_spec(frames, length_s=2.0, stride_s=stride_s)
    fewer = grid_of_fewer(spec, ClipSpec(frames=frames // apart))
    assert fewer.stride_s == pytest.approx(spec.stride_s)
    model = Model(0)
    wrapped = FewerFrames(model, ClipSpec(frames=frames // apart), frames=frames)
    for clip in windows_of(spec):
        wrapped.scores([(0, clip)])
    # A window has all frames but the newest `every` in common with that before it on its grid.
    for before, after in zip(model.seen, model.seen[fewer.phases :], strict=False):
        assert after[: max(0, fewer.frames - fewer.every)] == before[fewer.every :]


def windows_of(spec: GridSpec) -> list[Clip]:
    sampler = GridSampler(spec, rule="centre")
    found: list[Clip] = []
    for frame in frames_at([at / 200 for at in range(1200)]):
        if sampler.wanted(frame.time_s):
            found += sampler.push(frame)
    return found


def small(**changes: Any) -> ModelCard:
    clip = {"frames": 4, **changes.pop("clip", {})}
    return a_card(name="small", clip=clip, **changes)


def test_a_fallback_may_take_as_many_frames_or_fewer() -> None:
    check_fallback(a_card(), small())
    check_fallback(a_card(), small(clip={"frames": 8, "mean": (0.5, 0.5, 0.5)}))


@pytest.mark.parametrize(
    ("fallback", "words"),
    [
        (small(clip={"frames": 16}), "small takes 16 frames, and the windows of tiny have 8"),
        (small(labels=["still"]), "1 classes instead of 2"),
        (small(labels=["still", "pan right"]), "class 1 is 'pan right' instead of 'pan left'"),
        (small(clip={"crop": 192}), "clip.crop is 192 instead of 224"),
        (small(output="probabilities"), "puts out probabilities, and tiny logits"),
    ],
)
def test_a_fallback_must_fit(fallback: ModelCard, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        check_fallback(a_card(), fallback)
