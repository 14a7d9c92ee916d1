from __future__ import annotations

from collections.abc import Iterator

from runtime.records import Frame, SourceEvent
from runtime.sources import only_frames
from runtime.sources.realtime import Pace, RealtimeSource
from tests.fakes import FakeSource, frame_at


class Clock:
    """Time that passes only when someone waits or works."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now_s += seconds


def frames(count: int, *, every_s: float = 0.1, decode_ms: float = 0.0) -> list[Frame]:
    return [frame_at(5.0 + i * every_s, i, decode_ms=decode_ms) for i in range(count)]


def in_real_time(given: list[Frame], clock: Clock, *, queue_length: int = 8) -> RealtimeSource:
    pace = Pace(clock=clock, sleep=clock.sleep, queue_length=queue_length)
    return RealtimeSource(FakeSource(given), pace)


def test_every_frame_comes_when_it_is_due() -> None:
    clock = Clock()
    with in_real_time(frames(4), clock) as source:
        seen = [(frame.index, round(clock.now_s, 6), round(frame.arrived_s, 6)) for frame in source]
    assert seen == [(i, round(100 + i * 0.1, 6), round(100 + i * 0.1, 6)) for i in range(4)]
    assert source.counts.dropped == 0
    assert source.live
    assert source.description == "fake, in real time"


def test_a_frame_is_there_once_its_decoding_time_has_passed() -> None:
    clock = Clock()
    source = in_real_time(frames(3, decode_ms=20.0), clock)
    ages = [round(clock.now_s - frame.arrived_s, 6) for frame in source]
    assert ages == [0.02] * 3


def read_slowly(source: RealtimeSource, clock: Clock, *, takes_s: float) -> Iterator[int]:
    for frame in source:
        yield frame.index
        clock.now_s += takes_s


def test_a_reader_that_is_late_once_loses_nothing() -> None:
    clock = Clock()
    source = in_real_time(frames(20), clock)
    seen = []
    for frame in source:
        seen.append(frame.index)
        if frame.index == 5:
            clock.now_s += 0.75
    assert seen == list(range(20))
    assert source.counts.dropped == 0


def test_a_reader_that_is_too_slow_loses_the_oldest() -> None:
    clock = Clock()
    source = in_real_time(frames(100), clock, queue_length=3)
    seen = list(read_slowly(source, clock, takes_s=0.25))
    assert seen[0] == 0
    assert seen == sorted(set(seen))
    assert source.counts.dropped == 100 - len(seen)
    assert 35 <= len(seen) <= 45
    assert clock.now_s < 100 + 9.9 + 5 * 0.25


def test_unwanted_frames_are_not_waited_for() -> None:
    clock = Clock()
    source = in_real_time(frames(6), clock)
    asked: list[float] = []

    def wanted(time_s: float) -> bool:
        asked.append(round(time_s, 6))
        return round(time_s * 10) % 2 == 0

    assert [frame.index for frame in only_frames(source.frames(wanted))] == [0, 2, 4]
    assert asked == [round(5 + i * 0.1, 6) for i in range(6)]
    assert source.counts.skipped == 3
    assert len(clock.slept) == 2


def test_events_come_in_their_places_and_nobody_is_asked_beyond_them() -> None:
    clock = Clock()
    turn = SourceEvent(kind="file", text="next", time_s=5.2, at_s=0.0, delivers=True, breaks=True)
    first, second = frames(2), [frame_at(5.2, 2), frame_at(5.3, 3)]
    source = RealtimeSource(
        FakeSource([*first, turn, *second]), Pace(clock=clock, sleep=clock.sleep)
    )
    asked: list[float] = []

    def wanted(time_s: float) -> bool:
        asked.append(round(time_s, 6))
        return True

    told: list[str | int] = []
    for item in source.frames(wanted):
        if isinstance(item, SourceEvent):
            assert asked == [5.0, 5.1]
        told.append(item.text if isinstance(item, SourceEvent) else item.index)
        clock.now_s += 0.3
    assert told == [0, 1, "next", 2, 3]


def test_closing_ends_it_and_closes_the_file() -> None:
    clock = Clock()
    inner = FakeSource(frames(5))
    source = RealtimeSource(inner, Pace(clock=clock, sleep=clock.sleep))
    reading = iter(source)
    next(reading)
    source.close()
    source.close()
    assert list(reading) == []
    assert inner.closed
