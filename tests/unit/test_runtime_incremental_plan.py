"""Plans, against rows that are computed anew for every clip."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.incremental.plan import Plan, Planner, Window, levels_of

SHIFT = (-1, 0, 1)
CHAINS: tuple[tuple[tuple[int, ...], ...], ...] = (
    (),
    (SHIFT,),
    (SHIFT, SHIFT),
    ((-1, 0),),
    ((-2, 0, 1), (0, 3)),
)


class Machine:
    """Computes what plans ask for, with nested tuples for values."""

    def __init__(self, offsets: Sequence[tuple[int, ...]], **options: Any) -> None:
        self.offsets = tuple(offsets)
        levels = levels_of(offsets)
        self.planner = Planner(levels, **options)
        options.setdefault("streams", 1)
        self.caches: list[list[Any]] = [
            ["never written"] * (self.planner.quota(level) * options["streams"]) for level in levels
        ]
        self.computed: list[list[int]] = []

    def run(self, windows: Sequence[Window]) -> list[tuple[Any, ...]]:
        results: list[tuple[Any, ...]] = []
        self.computed = []
        for batch in self.planner.batches(windows):
            results += self.compute(self.planner.plan(batch), batch)
        return results

    def compute(self, plan: Plan, batch: Sequence[Window]) -> list[tuple[Any, ...]]:
        self.computed.append([len(fresh.slots) for fresh in plan.fresh])
        for level, fresh in enumerate(plan.fresh):
            assert fresh.slots == sorted(set(fresh.slots)), "a slot is written once"
            if fresh.rows is None:
                values = [(batch[w].stream, batch[w].ids[p]) for w, p in fresh.frames]
            else:
                values = [self.read(level - 1, row) for row in fresh.rows.tolist()]
            for slot, value in zip(fresh.slots, values, strict=True):
                self.caches[level][slot] = value
        return [self.read(len(self.caches) - 1, row) for row in plan.rows.tolist()]

    def read(self, level: int, row: list[int]) -> tuple[Any, ...]:
        return tuple(None if slot == -1 else self.caches[level][slot] for slot in row)

    def expected(self, window: Window, frames: int) -> tuple[Any, ...]:
        """The same, from scratch."""

        def value(level: int, position: int) -> Any:
            if not 0 <= position < len(window.ids):
                return None
            if level == 0:
                return (window.stream, window.ids[position])
            return tuple(value(level - 1, position + o) for o in self.offsets[level - 1])

        return tuple(value(len(self.offsets), window.first + t) for t in range(frames))


def sliding(start: int, frames: int, stream: int = 0) -> Window:
    return Window(stream=stream, ids=tuple(range(start, start + frames)))


@given(data=st.data())
def test_whatever_the_clips_are_each_gets_its_own_rows(data: st.DataObject) -> None:
    frames = data.draw(st.integers(1, 6), "frames")
    streams = data.draw(st.integers(1, 3), "streams")
    neighbours = data.draw(st.booleans(), "neighbours")
    machine = Machine(
        data.draw(st.sampled_from(CHAINS), "offsets"),
        frames=frames,
        streams=streams,
        phases=data.draw(st.integers(1, 2), "phases"),
        neighbours=neighbours,
    )
    beyond = 3 if neighbours else 0

    def window() -> Window:
        first = data.draw(st.integers(0, beyond))
        size = first + frames + data.draw(st.integers(0, beyond))
        start, hop = data.draw(st.integers(0, 8)), data.draw(st.integers(0, 2))
        ids = [start + hop * position for position in range(size)]
        if data.draw(st.booleans()):
            ids[data.draw(st.integers(0, size - 1))] = data.draw(st.integers(0, 12))
        stream = data.draw(st.integers(0, streams))  # one more than there is room for
        return Window(stream=stream, ids=tuple(ids), first=first)

    for _ in range(data.draw(st.integers(1, 12), "runs")):
        windows = [window() for _ in range(data.draw(st.integers(1, 4)))]
        assert machine.run(windows) == [machine.expected(each, frames) for each in windows]
        if data.draw(st.integers(0, 5)) == 0:
            machine.planner.forget(data.draw(st.integers(0, streams)))


@pytest.mark.parametrize(
    ("offsets", "steady"), [((), [1]), ((SHIFT,), [1, 3]), ((SHIFT, SHIFT), [1, 3, 5])]
)
def test_a_frame_further_costs_what_changed(
    offsets: tuple[tuple[int, ...], ...], steady: list[int]
) -> None:
    machine = Machine(offsets, frames=8)
    machine.run([sliding(0, 8)])
    assert machine.computed == [[8] * len(steady)]
    for start in range(1, 20):
        machine.run([sliding(start, 8)])
        assert machine.computed == [steady]
    assert [level.changed(8) for level in levels_of(offsets)] == steady
    machine.run([sliding(19, 8)])
    assert machine.computed == [[0] * len(steady)], "the same clip again"


def test_hop_of_three() -> None:
    machine = Machine((SHIFT,), frames=8)
    for start in (0, 3, 6):
        machine.run([sliding(start, 8)])
    assert machine.computed == [[3, 5]], "3 new, the one before them, and the new first"


def test_with_neighbours_a_frame_further_costs_one_row() -> None:
    machine = Machine((SHIFT,), frames=4, neighbours=True)
    for start in range(10):
        machine.run([Window(stream=0, ids=tuple(range(start, start + 6)), first=1)])
    assert machine.computed == [[1, 1]]


def test_without_the_next_frame_the_last_row_is_computed_twice() -> None:
    machine = Machine((SHIFT,), frames=4, neighbours=True)
    for start in range(10):
        machine.run([Window(stream=0, ids=tuple(range(start, start + 5)), first=1)])
    assert machine.computed == [[1, 2]]


def test_phases_taken_in_turns_do_not_displace_each_other() -> None:
    machine = Machine((SHIFT,), frames=4, phases=3)
    for step in range(30):
        phase, start = step % 3, step // 3
        ids = tuple(range(100 * phase + start, 100 * phase + start + 4))
        machine.run([Window(stream=0, ids=ids)])
    assert machine.computed == [[1, 3]]


def test_streams_share_a_batch_and_a_busy_one_does_not_displace_a_quiet_one() -> None:
    machine = Machine((SHIFT,), frames=8, streams=2)
    machine.run([sliding(0, 8, stream=0), sliding(0, 8, stream=1)])
    assert machine.computed == [[16, 16]]
    for start in range(1, 50):
        machine.run([sliding(start, 8, stream=0)])
    machine.run([sliding(50, 8, stream=0), sliding(1, 8, stream=1)])
    assert machine.computed == [[2, 6]]


def test_a_forgotten_stream_starts_anew() -> None:
    machine = Machine((SHIFT,), frames=4, streams=2)
    machine.run([sliding(0, 4, stream=0), sliding(0, 4, stream=1)])
    machine.planner.forget(0)
    machine.planner.forget(7)
    machine.run([sliding(1, 4, stream=1)])
    assert machine.computed == [[1, 3]]
    machine.run([sliding(0, 4, stream=0)])
    assert machine.computed == [[4, 4]]
    machine.planner.forget_all()
    machine.run([sliding(1, 4, stream=1)])
    assert machine.computed == [[4, 4]]


def test_one_stream_too_many_takes_the_place_of_the_longest_unused() -> None:
    machine = Machine((), frames=4, streams=2)
    for stream in (0, 1, 0, 2):
        machine.run([sliding(0, 4, stream=stream)])
    machine.run([sliding(0, 4, stream=0)])
    assert machine.computed == [[0]]
    machine.run([sliding(0, 4, stream=1)])
    assert machine.computed == [[4]]


def test_batches() -> None:
    planner = Planner(levels_of(()), frames=2, streams=2, phases=2)
    streams = [0, 0, 1, 0, 1, 2, 2, 2]
    windows = [sliding(n, 2, stream=stream) for n, stream in enumerate(streams)]
    batches = [[each.stream for each in batch] for batch in planner.batches(windows)]
    assert batches == [[0, 0, 1], [0, 1], [2, 2], [2]]
    assert list(planner.batches([])) == []
