from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import SourceError, SourceNotFound
from runtime.records import Frame, SourceEvent
from runtime.sources import FrameSource, Wanted
from runtime.sources.options import SourceOptions
from runtime.sources.playlist import Entry, Playlist, looped
from tests.fakes import FakeSource, frame_at

Item = Frame | SourceEvent


def video(count: int, *, first_s: float = 0.0, every_s: float = 0.1, epochs: int = 1) -> FakeSource:
    return FakeSource(
        [
            Frame(
                picture=np.zeros((2, 2, 3), np.uint8),
                index=i,
                time_s=first_s + i * every_s,
                arrived_s=0.0,
                decode_ms=0.0,
                epoch=i * epochs // max(1, count),
            )
            for i in range(count)
        ]
    )


class Hollow(FakeSource):
    """Opens, and has no frame."""

    def frames(self, wanted: Wanted | None = None) -> Iterator[Frame]:
        if not self.closed:
            raise SourceError("not one frame can be decoded.")
        yield from ()


def missing() -> FrameSource:
    raise SourceNotFound("There is no file gone.mp4.", hint="Check the path.")


def playlist(
    *opened: Callable[[], FrameSource], loop: bool = False, stop: Callable[[], bool] | None = None
) -> Playlist:
    entries = [Entry(name=f"{'abcdef'[i]}.mp4", open=one) for i, one in enumerate(opened)]
    options = SourceOptions(loop=loop, stopping=stop or (lambda: False))
    return Playlist(entries, title="clips", options=options)


def told(items: list[Item]) -> list[tuple[str, str, bool] | tuple[str | None, float, int]]:
    return [
        (one.kind, one.text, one.breaks)
        if isinstance(one, SourceEvent)
        else (one.file, round(one.time_s, 6), one.epoch)
        for one in items
    ]


def test_videos_follow_each_other_as_one_stream() -> None:
    with playlist(lambda: video(2), lambda: video(3, first_s=0.5, epochs=3)) as source:
        assert source.description == "clips: 2 videos; first fake"
        assert (source.live, source.fps, source.duration_s) == (False, 25.0, None)
        items = list(source.frames())
    assert told(items) == [
        ("file", "1 of 2: a.mp4", False),
        ("a.mp4", 0.0, 0),
        ("a.mp4", 0.1, 0),
        ("file", "2 of 2: b.mp4", True),
        # It begins an interval after the last frame of the one before, on its own clock.
        ("b.mp4", 0.7, 1),
        ("b.mp4", 0.8, 2),
        ("b.mp4", 0.9, 3),
    ]
    frames = [one for one in items if isinstance(one, Frame)]
    assert [frame.index for frame in frames] == list(range(5))
    events = [one for one in items if isinstance(one, SourceEvent)]
    assert [round(event.time_s, 6) for event in events] == [0.0, 0.2]
    assert all(event.delivers for event in events)
    assert list(source.frames()) == []


def test_what_cannot_be_read_is_told_of_and_left_out() -> None:
    with playlist(
        missing, lambda: video(1), lambda: Hollow([]), missing, lambda: video(1)
    ) as source:
        assert told(list(source.frames())) == [
            ("left_out", "a.mp4 is left out: There is no file gone.mp4.", False),
            ("file", "2 of 5: b.mp4", False),
            ("b.mp4", 0.0, 0),
            ("file", "3 of 5: c.mp4", True),
            ("left_out", "c.mp4 is left out: not one frame can be decoded.", False),
            ("left_out", "d.mp4 is left out: There is no file gone.mp4.", False),
            ("file", "5 of 5: e.mp4", True),
            ("e.mp4", 0.04, 1),
            ("left_out", "left out: 3 of 5 videos", False),
        ]


def test_nothing_readable_is_an_error() -> None:
    with pytest.raises(SourceError, match="None of the 2 videos of clips can be read") as caught:
        playlist(missing, missing)
    assert "There is no file gone.mp4" in str(caught.value)
    assert caught.value.hint == "Check the path."
    with pytest.raises(SourceNotFound, match="There is no file"):
        playlist(missing)
    source = playlist(lambda: Hollow([]), missing)
    with pytest.raises(SourceError, match="None of the 2 videos"):
        list(source.frames())


def test_rounds_go_on_until_closed() -> None:
    with playlist(lambda: video(1), missing, lambda: video(1), loop=True) as source:
        assert source.description == "clips: 3 videos, again and again; first fake"
        items = told(list(itertools.islice(source.frames(), 10)))
    assert items == [
        ("file", "1 of 3: a.mp4", False),
        ("a.mp4", 0.0, 0),
        ("left_out", "b.mp4 is left out: There is no file gone.mp4.", False),
        ("file", "3 of 3: c.mp4", True),
        ("c.mp4", 0.04, 1),
        ("loop", "from the beginning, round 2", True),
        ("file", "1 of 3: a.mp4", True),
        ("a.mp4", 0.08, 2),
        # Told once.
        ("file", "3 of 3: c.mp4", True),
        ("c.mp4", 0.12, 3),
    ]


def test_one_video_again_and_again_has_no_name() -> None:
    opened: list[FakeSource] = []

    def again() -> FakeSource:
        opened.append(video(2))
        return opened[-1]

    with looped("a.mp4", again, SourceOptions(loop=True)) as source:
        assert source.description == "fake, again and again"
        items = told(list(itertools.islice(source.frames(), 5)))
    assert items == [
        (None, 0.0, 0),
        (None, 0.1, 0),
        ("loop", "from the beginning, round 2", True),
        (None, 0.2, 1),
        (None, 0.3, 1),
    ]
    assert [one.closed for one in opened] == [1, 1]
    assert looped("a.mp4", again, SourceOptions()) is opened[-1]


def test_a_loop_whose_video_is_gone_ends() -> None:
    videos = iter([lambda: video(1), lambda: video(1)])

    def dwindling() -> FrameSource:
        return next(videos, missing)()

    source = looped("a.mp4", dwindling, SourceOptions(loop=True))
    with pytest.raises(SourceNotFound):
        list(source.frames())


def test_nobody_is_asked_about_a_video_that_was_not_told_of() -> None:
    asked: list[float] = []

    def wanted(time_s: float) -> bool:
        asked.append(round(time_s, 6))
        return time_s > 0.05

    source = playlist(lambda: video(3), lambda: video(2))
    seen = []
    for item in source.frames(wanted):
        if isinstance(item, SourceEvent):
            assert item.time_s > max(asked, default=-1.0)
        else:
            seen.append(round(item.time_s, 6))
    assert asked == [0.0, 0.1, 0.2, 0.3, 0.4]
    assert seen == asked[1:]
    counts = source.counts
    assert (counts.received, counts.delivered, counts.skipped) == (5, 4, 1)


def test_reading_on_within_a_video() -> None:
    source = playlist(lambda: video(3), lambda: video(1))
    first = [next(iter(source)).index for _ in range(2)]
    assert first == [0, 1]
    assert [frame.index for frame in source] == [2, 3]


def test_interrupting_ends_it_between_videos_and_within() -> None:
    source = playlist(lambda: video(100), lambda: video(100))
    frames = iter(source)
    for _ in range(120):
        next(frames)
    source.interrupt()
    assert list(frames) == []
    assert list(source.frames()) == []
    source.close()


def test_stopping_ends_the_search_for_a_video_that_opens() -> None:
    tried: list[int] = []

    def broken() -> FrameSource:
        tried.append(1)
        return missing()

    with playlist(*[broken] * 6, stop=lambda: len(tried) >= 3) as source:
        assert list(source) == []
    assert len(tried) == 3
    assert source.description == "clips"


def test_closing_closes_what_plays() -> None:
    inner = video(3)
    source = playlist(lambda: inner)
    frames = iter(source)
    next(frames)
    source.close()
    source.close()
    assert list(frames) == []
    assert inner.closed


@given(
    st.lists(
        st.lists(st.floats(0.001, 5.0), min_size=0, max_size=5), min_size=1, max_size=5
    ).filter(any),
    st.integers(1, 3),
    st.randoms(),
)
def test_time_and_indices_always_grow(
    videos: list[list[float]], rounds: int, random: np.random.Generator
) -> None:
    def opened(steps: list[float]) -> FrameSource:
        times_s = itertools.accumulate(steps)
        return FakeSource([frame_at(time_s, i) for i, time_s in enumerate(times_s)])

    total = sum(map(len, videos)) * rounds
    source = playlist(*[lambda steps=steps: opened(steps) for steps in videos], loop=True)
    frames = list(itertools.islice(source, total))
    for one, other in itertools.pairwise(frames):
        assert other.time_s > one.time_s
        assert other.index == one.index + 1
        assert (other.epoch > one.epoch) or (other.epoch == one.epoch and other.file == one.file)
