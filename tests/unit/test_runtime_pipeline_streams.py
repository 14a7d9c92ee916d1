"""Several sources at once: one batch, in whose order nobody waits for a camera."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import pytest

from models.card import ModelCard
from models.errors import SourceError
from runtime.clip_classifier import Decoding
from runtime.feed import QUEUED_FRAMES
from runtime.grid import GridSampler, grid_spec
from runtime.pipeline import FrameWatch, Stream, classify_streams
from runtime.preprocess import Preparation
from runtime.records import Clip, Frame, Prediction, SourceEvent, SourceEventKind
from runtime.sampling_in_turn import SamplersInTurn
from runtime.session import Tensor
from runtime.sources import SourceOptions, Wanted
from runtime.sources.playlist import Entry, Playlist
from runtime.stream_model import Scores, WholeClips
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

    def frames(self, wanted: Wanted | None = None) -> Iterator[Frame | SourceEvent]:
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


@pytest.mark.parametrize("live", [False, True])
def test_a_slow_file_does_not_fill_the_memory(card: ModelCard, live: bool) -> None:
    given = 0

    class Fast(FakeSource):
        def frames(self, wanted: Wanted | None = None) -> Iterator[Frame | SourceEvent]:
            nonlocal given
            for frame in super().frames(wanted):
                given += 1
                yield frame

    slow, release = FakeSource(grey_frames(50)), threading.Event()

    class Slow(FakeSource):
        def frames(self, wanted: Wanted | None = None) -> Iterator[Frame | SourceEvent]:
            release.wait(10)
            yield from slow.frames(wanted)

    fast = Fast(grey_frames(500), live=live)
    both = [sliding(fast, card, SPEC), sliding(Slow([]), card, SPEC)]
    predictions = classified(both, FakeSession(brightness), card)
    thread = threading.Thread(target=lambda: next(predictions))
    thread.start()
    time.sleep(0.2)
    # Those of its first window and those in the queue: of a live one no more than the next.
    assert given <= 5 + (1 if live else QUEUED_FRAMES)
    release.set()
    thread.join(10)
    predictions.close()


class Broken(FakeSource):
    """A source that fails after its frames."""

    def frames(self, wanted: Wanted | None = None) -> Iterator[Frame | SourceEvent]:
        yield from super().frames(wanted)
        raise SourceError("the cable is out")


def test_a_source_that_fails_leaves_the_others_their_time(card: ModelCard) -> None:
    told: list[tuple[str, str, int]] = []
    watch = FrameWatch(
        on_frame=lambda frame, stream: None,
        on_event=lambda event, stream: told.append((event.kind, event.text, stream)),
    )
    both = [
        sliding(FakeSource(grey_frames(75)), card, SPEC),
        sliding(Broken(grey_frames(30)), card, SPEC),
    ]
    predictions = classified(both, FakeSession(brightness), card, watch=watch)
    found = [next(predictions).stream for _ in range(11)]
    assert (found.count(0), found.count(1)) == (9, 2)
    with pytest.raises(SourceError, match="the cable is out"):
        next(predictions)
    assert told == [("gave_up", "the cable is out", 1)]


def test_a_source_that_never_gave_anything_ends_the_run(card: ModelCard) -> None:
    both = [
        sliding(FakeSource(grey_frames(10_000)), card, SPEC),
        sliding(Broken([]), card, SPEC),
    ]
    with pytest.raises(SourceError, match="the cable is out"):
        list(classified(both, FakeSession(brightness), card))
    assert both[0].source.counts.delivered < 1000


def event_of(kind: SourceEventKind, time_s: float, *, breaks: bool = False) -> SourceEvent:
    """Something that befell a source."""
    return SourceEvent(
        kind=kind, text=kind, time_s=time_s, at_s=0.0, delivers=not breaks, breaks=breaks
    )


def test_events_come_in_their_place(card: ModelCard) -> None:
    order: list[str] = []
    frames = grey_frames(30)
    source = FakeSource([*frames[:29], event_of("black", 1.13), *frames[29:]])
    watch = FrameWatch(
        on_frame=lambda frame, stream: order.append(str(frame.index)),
        on_event=lambda event, stream: order.append(event.kind),
    )
    for prediction in classified(
        sliding(source, card, SPEC), FakeSession(brightness), card, watch=watch
    ):
        order.append(f"window {prediction.index}")
    # Window 1 is complete with frame 29; whoever looks on sees it after that.
    assert order[-4:] == ["28", "black", "window 1", "29"]


def test_one_who_stops_gets_no_more_windows(card: ModelCard) -> None:
    stopped = False
    watch = FrameWatch(on_frame=lambda frame, stream: None, stopped=lambda: stopped)
    stream = sliding(FakeSource(grey_frames(75)), card, SPEC)
    predictions = classified(stream, FakeSession(brightness), card, watch=watch)
    next(predictions)
    stopped = True
    assert list(predictions) == []


def test_what_is_complete_when_it_is_time_to_stop_is_given(card: ModelCard) -> None:
    class Stopping(FakeSource):
        """Is told to stop while it hands out the frame that completes the first window."""

        stopped = False

        def frames(self, wanted: Wanted | None = None) -> Iterator[Frame | SourceEvent]:
            for item in super().frames(wanted):
                self.stopped = isinstance(item, Frame) and item.time_s >= 0.875
                yield item

    source = Stopping(grey_frames(75))
    watch = FrameWatch(on_frame=lambda frame, stream: None, stopped=lambda: source.stopped)
    stream = sliding(source, card, SPEC)
    assert len(list(classified(stream, FakeSession(brightness), card, watch=watch))) == 1


@pytest.mark.parametrize("phases", [1, 3])
def test_every_frame_is_accounted_for(card: ModelCard, phases: int) -> None:
    # A frame every 0.02 s, on a grid that is finer with three phases; 0.5 s without frames.
    times_s = [i / 50 for i in range(100)] + [2.5 + i / 50 for i in range(100)]
    frames = [frame_at(at_s, i, picture=picture_of(i)) for i, at_s in enumerate(times_s)]
    spec = grid_spec(4, length_s=1.0, stride_s=0.25 / phases, gap_after_s=0.3)
    streams = [sliding(FakeSource(frames), card, spec) for _ in range(2)]
    shown: set[int] = set()

    class Seeing(WholeClips):
        def scores(self, clips: Sequence[tuple[int, Clip]]) -> Scores:
            shown.update(
                frame.index for number, clip in clips for frame in clip.frames if not number
            )
            return super().scores(clips)

    preparation = Preparation(clip=card.clip)
    list(
        classify_streams(
            streams,
            Seeing(session=FakeSession(brightness), preparation=preparation),
            Decoding(card=card, top_k=1, threshold=0.0),
            preparation=preparation,
        )
    )
    for stream in streams:
        account, counts = stream.account, stream.source.counts
        assert account.used == len(shown) > 8
        assert account.unused > 0
        assert counts.received == counts.delivered + counts.skipped == 200
        assert counts.delivered == account.sampled + account.only_watched + account.left
        assert account.left == 0


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
    predictions.close()
    left = [source.counts.delivered for source in sources]
    time.sleep(0.05)
    assert left == [source.counts.delivered for source in sources] != [10_000] * 3


@pytest.mark.parametrize("beside", [False, True], ids=["alone", "beside another"])
def test_videos_of_one_stream_are_cut_one_by_one(card: ModelCard, beside: bool) -> None:
    def video(count: int, offset: int) -> FakeSource:
        return FakeSource(grey_frames(count, offset=offset))

    def fresh() -> GridSampler:
        return GridSampler(SPEC, rule="centre", short=True)

    lengths = [(60, 0), (12, 60), (60, 80)]
    expected = []
    for count, offset in lengths:
        stream = Stream(source=video(count, offset), sampler=fresh())
        expected += [p.top for p in classified(stream, FakeSession(brightness), card)]
    entries = [
        Entry(name=f"{offset}.mp4", open=partial(video, count, offset)) for count, offset in lengths
    ]
    turns = SamplersInTurn(fresh)
    source = Playlist(entries, title="clips", options=SourceOptions())
    streams = [Stream(source=source, sampler=turns, turns=turns)]
    if beside:
        streams.append(sliding(video(75, 0), card, SPEC))
    told: list[tuple[str, int]] = []
    watch = FrameWatch(
        on_frame=lambda frame, stream: None,
        on_event=lambda event, stream: told.append((event.text, len(found))),
    )
    found: list[Prediction] = []
    for prediction in classified(streams, FakeSession(brightness), card, watch=watch):
        if prediction.stream == 0:
            found.append(prediction)
    assert [p.top for p in found] == expected
    assert [p.index for p in found] == list(range(len(expected)))
    files = [p.file for p in found]
    assert files == ["0.mp4"] * 6 + ["60.mp4"] + ["80.mp4"] * 6
    assert [p.resets for p in found] == [0] * 13
    # Each is told of behind the last window of the one before.
    assert told == [("1 of 3: 0.mp4", 0), ("2 of 3: 60.mp4", 6), ("3 of 3: 80.mp4", 7)]


def test_a_pipe_that_has_fallen_silent_is_not_waited_for(card: ModelCard) -> None:
    goes_on = threading.Event()

    class Pipe(FakeSource):
        def frames(self, wanted: Wanted | None = None) -> Iterator[Frame | SourceEvent]:
            frames = super().frames(wanted)
            for _ in range(5):
                yield next(frames)
            yield silent
            assert goes_on.wait(10)
            yield from frames

    silent = SourceEvent(
        kind="silent", text="nothing came", time_s=1.0, at_s=0.0, delivers=False, breaks=False
    )
    pipe = Pipe(grey_frames(60))
    predictions = classified(
        [sliding(pipe, card, SPEC), sliding(FakeSource(grey_frames(75)), card, SPEC)],
        FakeSession(brightness),
        card,
    )
    first = [next(predictions) for _ in range(9)]
    # One of the pipe, at most, before it fell silent; then all of the file.
    assert [p.index for p in first if p.stream == 1][:8] == list(range(8))
    goes_on.set()
    found = [*first, *predictions]
    assert [p.index for p in found if p.stream == 0] == list(range(6))
    assert [p.index for p in found if p.stream == 1] == list(range(9))
