from __future__ import annotations

from typing import Literal

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from runtime.records import Frame, SourceEvent
from runtime.sources import waiting_pictures
from runtime.sources.waiting_pictures import QUEUE_AGE_S, QUEUE_BYTES, WaitingPictures


def frame(index: int, *, arrived_s: float | None = None, size: int = 2) -> Frame:
    arrived_s = index / 100 if arrived_s is None else arrived_s
    return Frame(
        picture=np.zeros((size, size, 3), np.uint8),
        index=index,
        time_s=arrived_s,
        arrived_s=arrived_s,
        decode_ms=0.0,
    )


def event(number: int) -> SourceEvent:
    return SourceEvent(
        kind="gap", text=str(number), time_s=0.0, at_s=0.0, delivers=True, breaks=False
    )


def taken(waiting: WaitingPictures) -> list[int | str]:
    found: list[int | str] = []
    while waiting:
        item = waiting.take()
        found.append(item.index if isinstance(item, Frame) else item.text)
    return found


def test_the_newest_wins_and_events_stay_in_their_places() -> None:
    waiting = WaitingPictures("oldest", 2)
    for number in range(4):
        waiting.tell(event(number))
        waiting.put(frame(number))
    assert waiting.dropped == 2
    assert taken(waiting) == ["0", "1", "2", 2, "3", 3]


def test_the_oldest_may_win() -> None:
    waiting = WaitingPictures("newest", 2)
    for number in range(4):
        waiting.put(frame(number))
    assert (waiting.dropped, taken(waiting)) == (2, [0, 1])


def test_none_has_to_go() -> None:
    waiting = WaitingPictures("none", 2)
    for number in range(2):
        assert not waiting.must_wait(frame(number))
        waiting.put(frame(number, arrived_s=100.0 * number))
    assert waiting.must_wait(frame(2))
    waiting.take()
    assert not waiting.must_wait(frame(2))
    assert waiting.dropped == 0


def test_few_pictures_do_not_grow_old() -> None:
    waiting = WaitingPictures("oldest")
    for number in range(5):
        waiting.put(frame(number, arrived_s=1.25 * number))
    assert taken(waiting) == [3, 4]


def test_large_pictures_are_fewer() -> None:
    waiting = WaitingPictures("oldest")
    size = int((QUEUE_BYTES / 3 / 3.5) ** 0.5)
    for number in range(8):
        waiting.put(frame(number, size=size))
    assert taken(waiting) == [5, 6, 7]


def test_what_is_not_wanted_any_more_goes() -> None:
    waiting = WaitingPictures("oldest")
    for number in range(4):
        waiting.put(frame(number))
        waiting.tell(event(number))
    assert waiting.keep(lambda time_s: time_s in (0.01, 0.03)) == 2
    assert taken(waiting) == ["0", 1, "1", "2", 3, "3"]


def test_events_nobody_fetches_do_not_pile_up() -> None:
    waiting = WaitingPictures("oldest")
    waiting.put(frame(0))
    for number in range(1000):
        waiting.tell(event(number))
    most = waiting_pictures._MOST_EVENTS
    assert taken(waiting) == [0, *(str(number) for number in range(1000 - most, 1000))]


Step = Literal["put", "take", "tell", "keep", "clear"]


@given(
    st.sampled_from(["oldest", "newest", "none"]),
    st.lists(st.sampled_from(["put", "put", "put", "take", "tell", "keep", "clear"]), max_size=80),
    st.floats(0, 1),
)
def test_every_picture_is_accounted_for(
    drop: Literal["oldest", "newest", "none"], steps: list[Step], apart_s: float
) -> None:
    waiting = WaitingPictures(drop, 3)
    put, out = 0, 0
    newest_taken = -1
    for step in steps:
        if step == "put":
            one = frame(put, arrived_s=put * apart_s)
            if waiting.must_wait(one):
                continue
            waiting.put(one)
            put += 1
        elif step == "take" and waiting:
            item = waiting.take()
            if isinstance(item, Frame):
                assert item.index > newest_taken
                newest_taken = item.index
                out += 1
        elif step == "tell":
            waiting.tell(event(0))
        elif step == "keep":
            out += waiting.keep(lambda time_s: time_s > 5)
        elif step == "clear":
            out += waiting.clear()
        held = [one for one in waiting._items if isinstance(one, Frame)]
        assert put == out + waiting.dropped + len(held)
        assert len(held) <= 3
        assert waiting._bytes == sum(one.picture.nbytes for one in held)
        if drop == "oldest" and len(held) > 2:
            assert held[-1].arrived_s - held[0].arrived_s <= QUEUE_AGE_S
