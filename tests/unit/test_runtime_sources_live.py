from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator, Sequence

import pytest

from models.errors import SourceError, SourceNotFound
from runtime.records import Frame, Picture, SourceCounts, SourceEvent
from runtime.sources import live
from runtime.sources.connection import Connection, Grabbed, Unreachable, Unwanted
from runtime.sources.live import LiveSource
from runtime.sources.options import SourceOptions
from tests.live_connections import (
    WAIT_S,
    FakeConnection,
    FakeDevice,
    StepClock,
    live_source,
    next_of,
    told,
)

GONE = Unreachable("connection refused")


@pytest.fixture
def clock() -> StepClock:
    return StepClock()


@pytest.fixture
def one(clock: StepClock) -> FakeConnection:
    return FakeConnection(clock)


@pytest.fixture
def source(one: FakeConnection, clock: StepClock) -> Iterator[LiveSource]:
    with live_source(FakeDevice(one), clock) as opened:
        assert one.idle.wait(WAIT_S)
        yield opened
        one.ends()


def test_frames_carry_arrival_times(one: FakeConnection, source: LiveSource) -> None:
    one.feed(2)
    frames = list(itertools.islice(source, 2))
    assert [frame.index for frame in frames] == [0, 1]
    assert [frame.time_s for frame in frames] == pytest.approx([0.1, 0.2])
    assert [frame.arrived_s for frame in frames] == pytest.approx([100.1, 100.2])
    assert [frame.picture[0, 0, 0] for frame in frames] == [1, 2]
    assert (source.description, source.fps) == ("camera7 (6x4, 10 fps)", 10.0)
    assert source.live
    assert source.duration_s is None


def test_a_slow_reader_gets_the_newest_frames(one: FakeConnection, source: LiveSource) -> None:
    one.feed(12)
    # Of those that waited, none is older than half a second.
    frames = list(itertools.islice(source, 6))
    assert [frame.index for frame in frames] == [6, 7, 8, 9, 10, 11]
    assert source.counts == SourceCounts(received=12, delivered=6, dropped=6)


def test_unwanted_frames_are_neither_converted_nor_dropped(
    one: FakeConnection, source: LiveSource
) -> None:
    one.feed(2)
    frames = source.frames(lambda time_s: round(time_s * 10) % 4 == 2)
    # Of the two that wait, one is wanted.
    assert told([next(frames)]) == [1]
    one.feed(8)
    assert told([next(frames), next(frames)]) == [5, 9]
    assert one.converted == 2 + 2
    assert source.counts == SourceCounts(received=10, delivered=3, skipped=7)


def test_pictures_that_do_not_decode_are_counted(clock: StepClock) -> None:
    one = FakeConnection(clock)
    with live_source(FakeDevice(one), clock) as source:
        assert one.idle.wait(WAIT_S)
        for _ in range(2):
            one.do(lambda: Grabbed(picture=lambda: None, broken=2))
            one.feed(1, broken=2)
        # Those lost on the way use up indices, too.
        assert told(next_of(source, 2)) == [5, 11]
        assert source.counts == SourceCounts(received=12, delivered=2, broken=10)
        one.ends()


@pytest.mark.parametrize(("drop", "kept"), [("newest", range(8)), ("oldest", range(6, 12))])
def test_who_goes_is_for_the_user_to_say(clock: StepClock, drop: str, kept: Sequence[int]) -> None:
    one = FakeConnection(clock)
    options = SourceOptions(drop=drop)  # type: ignore[arg-type]
    with live_source(FakeDevice(one), clock, options) as source:
        assert one.idle.wait(WAIT_S)
        one.feed(12)
        assert told(next_of(source, len(kept))) == list(kept)
        one.ends()


def test_where_none_may_go_the_device_waits(clock: StepClock) -> None:
    one = FakeConnection(clock)
    with live_source(FakeDevice(one), clock, SourceOptions(drop="none")) as source:
        assert one.idle.wait(WAIT_S)
        one.feed(8)
        one.idle.clear()
        one._steps.put(lambda: one._picture(0.9))
        assert not one.idle.wait(0.1)
        assert told(next_of(source, 9)) == list(range(9))
        assert source.counts == SourceCounts(received=9, delivered=9)
        one.ends()


# --- lost and back ----------------------------------------------------------------------------


def test_what_is_lost_comes_back_as_another_epoch(clock: StepClock) -> None:
    one, two = FakeConnection(clock), FakeConnection(clock)
    with live_source(FakeDevice(one, GONE, two), clock, SourceOptions(drop="newest")) as source:
        assert one.idle.wait(WAIT_S)
        one.feed(2)
        one.fails(Unreachable("the server closed the connection"))
        assert two.idle.wait(WAIT_S)
        two.feed(1)
        items = next_of(source, 5)
        assert told(items) == [0, 1, "lost", "back", 2]
        lost, back = items[2], items[3]
        assert isinstance(lost, SourceEvent)
        assert isinstance(back, SourceEvent)
        assert lost.text == "the server closed the connection; trying again in 0.5 s"
        assert (lost.delivers, lost.breaks, lost.at_s) == (False, True, 1e9 + 100.2)
        # Half a second, a second, and the time to the first picture.
        assert back.lasted_s == pytest.approx(1.6)
        assert (back.delivers, back.breaks) == (True, False)
        frames = [one for one in items if isinstance(one, Frame)]
        assert [frame.epoch for frame in frames] == [0, 0, 1]
        assert [frame.time_s for frame in frames] == pytest.approx([0.1, 0.2, 1.8])
        assert one.closed.is_set()
        two.ends()


def test_a_driver_may_raise_anything(clock: StepClock) -> None:
    one, two = FakeConnection(clock), FakeConnection(clock)
    with live_source(FakeDevice(one, two), clock) as source:
        one.fails(RuntimeError("bus reset"))
        assert two.idle.wait(WAIT_S)
        (lost,) = next_of(source, 1)
        assert isinstance(lost, SourceEvent)
        assert lost.text.startswith("RuntimeError: bus reset; trying again")
        two.ends()


def test_what_who_wants_raises_ends_the_source(one: FakeConnection, source: LiveSource) -> None:
    def odd(time_s: float) -> bool:
        raise ValueError("time ran backwards")

    frames = source.frames(odd)
    one._steps.put(lambda: one._picture(0.1))
    with pytest.raises(ValueError, match="time ran backwards"):
        next(frames)
    assert one.closed.wait(WAIT_S)


def test_it_is_tried_so_often_in_a_row(clock: StepClock) -> None:
    one, two = FakeConnection(clock), FakeConnection(clock)
    device = FakeDevice(GONE, one, GONE, two, GONE)
    with live_source(device, clock, SourceOptions(retries=2)) as source:
        for connection in (one, two):
            assert connection.idle.wait(WAIT_S)
            connection.feed(1)
            connection.fails(GONE)
        items: list[Frame | SourceEvent] = []
        with pytest.raises(SourceError) as caught:
            items.extend(source.frames())
        assert caught.value.message == (
            "camera7: connection refused, also when tried 2 more times."
        )
    assert device.opened == 6


def test_a_server_that_accepts_and_closes_is_waited_for_ever_longer(clock: StepClock) -> None:
    accepts = [FakeConnection(clock) for _ in range(7)]
    device = FakeDevice(*accepts)
    for connection in accepts[:-1]:
        connection.fails(Unreachable("it closed the connection"))
    with live_source(device, clock):
        assert accepts[-1].idle.wait(WAIT_S)
        assert clock.now_s - 100.0 == pytest.approx(0.5 + 1 + 2 + 4 + 6 + 6)
        accepts[-1].ends()


def test_what_is_over_ends(one: FakeConnection, source: LiveSource) -> None:
    one.feed(2)
    one.ends()
    assert [frame.index for frame in source] == [0, 1]
    one.closed.wait(WAIT_S)
    assert list(source) == []


# --- opening ----------------------------------------------------------------------------------


def test_a_mistake_is_told_at_once(clock: StepClock) -> None:
    source = live_source(FakeDevice(SourceNotFound("There is no camera 7.")), clock)
    with pytest.raises(SourceNotFound, match="no camera 7"):
        source.wait_until_open()
    assert list(source.frames()) == []


def test_later_the_same_is_tried_again(clock: StepClock) -> None:
    one = FakeConnection(clock)
    device = FakeDevice(GONE, SourceNotFound("There is no camera 7."), one)
    with live_source(device, clock) as source:
        source.wait_until_open()
        assert one.idle.wait(WAIT_S)
        one.feed(1)
        assert told(next_of(source, 3)) == ["lost", "back", 0]
        one.ends()


def test_without_retries_what_is_refused_is_an_error(clock: StepClock) -> None:
    source = live_source(FakeDevice(GONE), clock, SourceOptions(retries=0))
    with pytest.raises(SourceError, match=r"^camera7: connection refused\.$") as caught:
        source.wait_until_open()
    assert "--retries" in caught.value.hint


def test_opening_can_be_stopped(clock: StepClock) -> None:
    released = threading.Event()

    def never(unwanted: Unwanted) -> Connection:
        released.wait(WAIT_S)
        raise GONE

    options = SourceOptions(stopping=lambda: True)
    source = LiveSource(never, name="camera7", options=options, around=clock.surroundings())
    source.wait_until_open()
    assert list(source.frames()) == []
    released.set()
    source.close()


def test_a_slow_opening_goes_on_while_others_start(clock: StepClock) -> None:
    one, released = FakeConnection(clock), threading.Event()

    def pass_by() -> None:
        clock.now_s += 10.5

    def slowly(unwanted: Unwanted) -> Connection:
        threading.Timer(0.05, pass_by).start()
        assert released.wait(WAIT_S)
        return one

    with LiveSource(
        slowly, name="camera7", options=SourceOptions(), around=clock.surroundings()
    ) as source:
        source.wait_until_open()
        assert (source.description, source.fps) == ("camera7", None)
        released.set()
        assert one.idle.wait(WAIT_S)
        assert source.description == "camera7 (6x4, 10 fps)"
        one.ends()


# --- calls that do not return -----------------------------------------------------------------


def test_a_silent_device_is_left_behind_and_opened_anew(clock: StepClock) -> None:
    one, two = FakeConnection(clock), FakeConnection(clock)
    with live_source(FakeDevice(one, two), clock) as source:
        assert one.idle.wait(WAIT_S)
        one.feed(1)
        items = source.frames()
        assert told([next(items)]) == [0]
        clock.now_s += 5.1
        (silent,) = [next(items)]
        assert isinstance(silent, SourceEvent)
        assert (silent.kind, silent.delivers, silent.breaks) == ("silent", False, True)
        assert silent.text == "no picture for 5 s; trying again in 0.5 s"
        assert two.idle.wait(WAIT_S)
        # What the old one says at last is nobody's any more, and it is closed.
        one._steps.put(lambda: one._picture(0.0))
        assert one.closed.wait(WAIT_S)
        two.feed(1)
        assert told([next(items), next(items)]) == ["back", 1]
        assert source.counts == SourceCounts(received=2, delivered=2)
        two.ends()


def test_threads_do_not_pile_up(clock: StepClock) -> None:
    released, opened = threading.Event(), threading.Semaphore(0)

    def never(unwanted: Unwanted) -> Connection:
        opened.release()
        released.wait(2 * WAIT_S)
        raise GONE

    with LiveSource(
        never, name="camera7", options=SourceOptions(), around=clock.surroundings()
    ) as source:
        found: list[Frame | SourceEvent] = []
        reader = threading.Thread(target=lambda: found.extend(source.frames()))
        reader.start()
        for _ in range(4):
            assert opened.acquire(timeout=WAIT_S)
            clock.now_s += 20.0
        assert not opened.acquire(timeout=0.3)
        source.interrupt()
        reader.join(WAIT_S)
        assert told(found) == ["silent"]
        released.set()


def test_a_device_none_of_whose_frames_is_wanted_is_well(
    one: FakeConnection, source: LiveSource
) -> None:
    found: list[object] = []

    def read() -> None:
        found.extend(told([next(source.frames(lambda time_s: time_s > 49.6))]))

    reader = threading.Thread(target=read)
    reader.start()
    # Much longer than the timeout.
    for _ in range(50):
        one.after(0.99)
        reader.join(0.002)
    one.after(0.99)
    reader.join(WAIT_S)
    assert found == [50]


def test_interrupt_ends_a_blocked_read(source: LiveSource) -> None:
    found: list[object] = []
    reader = threading.Thread(target=lambda: found.extend(source.frames()))
    reader.start()
    source.interrupt()
    reader.join(0.3)
    assert not reader.is_alive()
    assert found == []


def test_close_lets_the_device_go(clock: StepClock) -> None:
    one = FakeConnection(clock)
    source = live_source(FakeDevice(one), clock)
    assert one.idle.wait(WAIT_S)
    one.feed(3)
    one.ends()
    source.close()
    assert one.closed.is_set()
    assert not source._thread.is_alive()
    assert list(source) == []
    counts = source.counts
    assert counts == SourceCounts(received=3, dropped=3)
    source.close()
    assert source.counts == counts


def test_a_driver_that_hangs_does_not_hang_close(
    clock: StepClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "_JOIN_S", 0.05)
    one = FakeConnection(clock)
    source = live_source(FakeDevice(one), clock)
    assert one.idle.wait(WAIT_S)
    source.close()
    assert not one.closed.is_set()
    # Once the driver answers, the thread lets the device go by itself.
    one._steps.put(lambda: one._picture(0.1))
    assert one.closed.wait(WAIT_S)
    assert source.counts == SourceCounts()


# --- what is told in between ------------------------------------------------------------------


def test_a_gap_another_size_and_a_leap_of_the_clock_are_told(clock: StepClock) -> None:
    one = FakeConnection(clock)
    with live_source(FakeDevice(one), clock, SourceOptions(drop="newest")) as source:
        assert one.idle.wait(WAIT_S)
        one.feed(1)
        one.after(1.5)
        one.sized(8, 12)
        one.feed(1, media_s=7.0)
        one.feed(1, media_s=900.0)
        items = next_of(source, 9)
        one.ends()
    assert told(items) == [0, "gap", 1, "resolution", 2, "resolution", 3, "clock", 4]
    events = [one for one in items if isinstance(one, SourceEvent)]
    assert [event.text for event in events] == [
        "no picture for 1.5 s",
        "12x8 instead of 6x4",
        "6x4 instead of 12x8",
        "the clock of the stream leapt by +892.9 s",
    ]
    assert [event.breaks for event in events] == [False, True, True, True]
    assert all(event.delivers for event in events)
    assert [one.epoch for one in items if isinstance(one, Frame)] == [0, 0, 1, 2, 3]


def test_who_watches_gets_pictures_that_nobody_else_wants(clock: StepClock) -> None:
    class Watch:
        def __init__(self) -> None:
            self.seen: list[int] = []
            self.restarts = 0

        def due(self, time_s: float) -> bool:
            return round(time_s * 10) % 2 == 0

        def look(self, picture: Picture, *, time_s: float, at_s: float) -> Sequence[SourceEvent]:
            self.seen.append(int(picture[0, 0, 0]))
            if len(self.seen) < 2:
                return ()
            event = SourceEvent(
                kind="frozen",
                text="frozen",
                time_s=time_s,
                at_s=at_s,
                delivers=False,
                breaks=False,
            )
            return (event,)

        def restart(self) -> None:
            self.restarts += 1

    one, watch = FakeConnection(clock), Watch()
    with LiveSource(
        FakeDevice(one).connect,
        name="camera7",
        options=SourceOptions(),
        watch=watch,
        around=clock.surroundings(),
    ) as source:
        frames = source.frames(lambda time_s: False)
        found: list[Frame | SourceEvent] = []
        reader = threading.Thread(target=lambda: found.append(next(frames)))
        reader.start()
        assert one.idle.wait(WAIT_S)
        one.feed(4)
        reader.join(WAIT_S)
        assert told(found) == ["frozen"]
        assert (watch.seen, watch.restarts) == ([2, 4], 1)
        assert source.counts == SourceCounts(received=4, skipped=4)
        one.ends()
