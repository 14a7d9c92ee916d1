from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import pytest

from runtime.records import Frame
from runtime.sources import ahead
from runtime.sources.ahead import Decoded, ReadAhead
from tests.fakes import frame_at


class Decoder:
    """Counts what it decoded and what was converted.

    Args:
        count: Frames, ten per second.
        side: Of their square pictures, in pixels.
        fails_at: Number of the frame at which decoding raises.
    """

    def __init__(self, count: int, *, side: int = 4, fails_at: int | None = None) -> None:
        self.count, self.side, self.fails_at = count, side, fails_at
        self.decoded: list[int] = []
        self.converted: list[tuple[int, float]] = []
        self.changed = threading.Condition()

    def __iter__(self) -> Iterator[Decoded]:
        for number in range(self.count):
            if number == self.fails_at:
                raise OSError("the disk is gone")
            with self.changed:
                self.decoded.append(number)
                self.changed.notify_all()
            yield Decoded(time_s=number / 10, decode_ms=2.0, converted=partial(self._one, number))

    def _one(self, number: int, skipped_ms: float) -> Frame:
        self.converted.append((number, skipped_ms))
        return frame_at(number / 10, number, picture=np.zeros((self.side, self.side, 3), np.uint8))

    def wait_until(self, done: Callable[[], bool]) -> None:
        with self.changed:
            assert self.changed.wait_for(done, timeout=10)


def test_all_frames_in_order_and_then_the_thread_is_gone() -> None:
    threads = threading.active_count()
    with ReadAhead(iter(Decoder(30)), name="x") as reader:
        assert threading.active_count() == threads
        assert [frame.index for frame in reader.frames(None)] == list(range(30))
        assert reader.counts.skipped == 0
        assert list(reader.frames(None)) == []
    assert threading.active_count() == threads


@pytest.mark.parametrize(
    ("side", "ahead_of_reader"), [(4, 8), (1500, 4), (5000, 2)], ids=["small", "large", "huge"]
)
def test_no_more_frames_wait_than_there_is_room(
    monkeypatch: pytest.MonkeyPatch, side: int, ahead_of_reader: int
) -> None:
    # No room for huge pictures in a test: shrink the budget and them alike.
    monkeypatch.setattr(ahead, "BYTES_AHEAD", ahead.BYTES_AHEAD // 100)
    decoder = Decoder(60, side=side // 10)
    with ReadAhead(iter(decoder), name="x") as reader:
        frames = reader.frames(None)
        assert next(frames).index == 0
        # One more is decoded and waits for room.
        decoder.wait_until(lambda: len(decoder.decoded) >= 1 + ahead_of_reader + 1)
        assert len(decoder.decoded) == 1 + ahead_of_reader + 1
        assert [next(frames).index for _ in range(20)] == list(range(1, 21))


def test_unwanted_frames_are_not_converted_and_their_time_is_counted() -> None:
    decoder = Decoder(9)
    with ReadAhead(iter(decoder), name="x") as reader:
        found = [frame.index for frame in reader.frames(lambda time_s: round(time_s * 10) % 3 == 2)]
    assert found == [2, 5, 8]
    assert reader.counts.skipped == 6
    assert decoder.converted == [(2, 4.0), (5, 4.0), (8, 4.0)]


def test_frames_that_wait_are_asked_for_again() -> None:
    decoder = Decoder(40)
    asked: list[float] = []

    def late(time_s: float) -> bool:
        asked.append(time_s)
        return time_s >= 2.0

    with ReadAhead(iter(decoder), name="x") as reader:
        next(reader.frames(None))
        decoder.wait_until(lambda: len(decoder.decoded) >= 10)
        assert [frame.index for frame in reader.frames(late)] == list(range(20, 40))
    assert asked == [number / 10 for number in range(1, 40)]
    assert reader.counts.skipped == 19


def test_failures_of_decoder_and_question_reach_the_reader() -> None:
    with ReadAhead(iter(Decoder(9, fails_at=3)), name="x") as reader:
        frames = reader.frames(None)
        assert [next(frames).index for _ in range(3)] == [0, 1, 2]
        with pytest.raises(OSError, match="disk"):
            next(frames)

    def wrong(time_s: float) -> bool:
        raise ZeroDivisionError(time_s)

    with ReadAhead(iter(Decoder(9)), name="x") as reader, pytest.raises(ZeroDivisionError):
        list(reader.frames(wrong))


def test_closing_ends_reading_even_while_the_queue_is_full() -> None:
    threads = threading.active_count()
    decoder = Decoder(1000)
    reader = ReadAhead(iter(decoder), name="x")
    frames = reader.frames(None)
    next(frames)
    decoder.wait_until(lambda: len(decoder.decoded) >= 10)
    reader.close()
    assert threading.active_count() == threads
    assert list(frames) == []
    assert list(reader.frames(None)) == []
    reader.close()
    assert len(decoder.decoded) < 20
