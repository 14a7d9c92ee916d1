"""Several sources at once: one batch, in whose order nobody waits for a camera."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from models.card import ModelCard
from models.errors import SourceError
from runtime.feed import QUEUED_FRAMES
from runtime.grid import grid_spec
from runtime.pipeline import FrameWatch
from runtime.records import Frame
from runtime.session import Tensor
from runtime.sources import Wanted
from tests.fakes import FakeSession, FakeSource, frame_at, picture_of
from tests.streams import classified, sliding
from tests.tiny_models import write_tiny_bundle

SPEC = grid_spec(4, length_s=1.0)


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> ModelCard:
    return write_tiny_bundle(tmp_path_factory.mktemp("bundle")).card


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    before = threading.active_count()
    yield
    assert threading.active_count() == before


def grey_frames(count: int, *, offset: int = 0) -> list[Frame]:
    return [frame_at(i / 25, i, picture=picture_of(offset + i)) for i in range(count)]


def brightness(clips: Tensor) -> Tensor:
    """Logits that tell whose frames a clip holds: red of its last frame, then zeros."""
    scores = np.zeros((len(clips), 4), np.float32)
    scores[:, 0] = clips[:, -1, 0].mean((-1, -2))
    return scores


class Camera(FakeSource):
    """A live source that gives its frames only when it is told to."""

    def __init__(self, frames: list[Frame]) -> None:
        super().__init__(frames, live=True)
        self.may_give = threading.Event()

    def frames(self, wanted: Wanted | None = None) -> Iterator[Frame]:
        self.may_give.wait(10)
        yield from super().frames(wanted)


def test_files_wait_for_one_another(card: ModelCard) -> None:
    session = FakeSession(brightness)
    files = [FakeSource(grey_frames(75)), FakeSource(grey_frames(50, offset=100))]
    found = list(classified([sliding(file, card, SPEC) for file in files], session, card))
    # 9 windows of the one, 5 of the other: pairs as long as both last.
    assert [(p.stream, p.index, p.batch) for p in found] == [
        *[(stream, index, 2) for index in range(5) for stream in (0, 1)],
        *[(0, index, 1) for index in range(5, 9)],
    ]
    assert [len(clips) for clips in session.seen] == [2] * 5 + [1] * 4


def test_each_gets_its_own_result(card: ModelCard) -> None:
    alone = []
    for offset in (0, 100):
        stream = sliding(FakeSource(grey_frames(50, offset=offset)), card, SPEC)
        alone.append([p.top for p in classified(stream, FakeSession(brightness), card)])
    both = [sliding(FakeSource(grey_frames(50, offset=offset)), card, SPEC) for offset in (0, 100)]
    found = list(classified(both, FakeSession(brightness), card))
    for number in (0, 1):
        assert [p.top for p in found if p.stream == number] == alone[number]
    assert alone[0] != alone[1]


def test_nobody_waits_for_a_camera(card: ModelCard) -> None:
    camera = Camera(grey_frames(30))
    file = FakeSource(grey_frames(50))
    predictions = classified(
        [sliding(camera, card, SPEC), sliding(file, card, SPEC)], FakeSession(brightness), card
    )
    assert [(next(predictions).stream, p) for p in range(5)] == [(1, p) for p in range(5)]
    camera.may_give.set()
    assert [(p.stream, p.index) for p in predictions] == [(0, 0), (0, 1)]


def test_a_slow_file_does_not_fill_the_memory(card: ModelCard) -> None:
    given = 0

    class Fast(FakeSource):
        def frames(self, wanted: Wanted | None = None) -> Iterator[Frame]:
            nonlocal given
            for frame in super().frames(wanted):
                given += 1
                yield frame

    slow, release = FakeSource(grey_frames(50)), threading.Event()

    class Slow(FakeSource):
        def frames(self, wanted: Wanted | None = None) -> Iterator[Frame]:
            release.wait(10)
            yield from slow.frames(wanted)

    both = [sliding(Fast(grey_frames(500)), card, SPEC), sliding(Slow([]), card, SPEC)]
    predictions = classified(both, FakeSession(brightness), card)
    thread = threading.Thread(target=lambda: next(predictions))
    thread.start()
    time.sleep(0.2)
    # Those of its first window, those in the queue, and the one that waits for room.
    assert given <= 5 + QUEUED_FRAMES + 1
    release.set()
    thread.join(10)
    predictions.close()  # type: ignore[attr-defined]


def test_a_source_that_fails_ends_the_run(card: ModelCard) -> None:
    class Broken(FakeSource):
        def frames(self, wanted: Wanted | None = None) -> Iterator[Frame]:
            yield from super().frames(wanted)
            raise SourceError("the cable is out")

    both = [
        sliding(FakeSource(grey_frames(50)), card, SPEC),
        sliding(Broken(grey_frames(10)), card, SPEC),
    ]
    with pytest.raises(SourceError, match="the cable is out"):
        list(classified(both, FakeSession(brightness), card))


def test_who_watches_is_told_whose_frame_it_is(card: ModelCard) -> None:
    seen: list[tuple[int, int]] = []
    watch = FrameWatch(on_frame=lambda frame, stream: seen.append((stream, frame.index)))
    both = [sliding(FakeSource(grey_frames(count)), card, SPEC) for count in (30, 26)]
    list(classified(both, FakeSession(brightness), card, watch=watch))
    for stream, count in ((0, 30), (1, 26)):
        assert [index for one, index in seen if one == stream] == list(range(count))


def test_stopping_frees_the_sources(card: ModelCard) -> None:
    sources = [FakeSource(grey_frames(10_000)) for _ in range(3)]
    predictions = classified(
        [sliding(source, card, SPEC) for source in sources], FakeSession(brightness), card
    )
    next(predictions)
    predictions.close()  # type: ignore[attr-defined]
    left = [len(source._frames) for source in sources]
    time.sleep(0.05)
    assert left == [len(source._frames) for source in sources] != [0, 0, 0]
