"""Samplers that give out only some of their windows: the others are missing, nothing else."""

from __future__ import annotations

from itertools import accumulate

from hypothesis import given
from hypothesis import strategies as st

from runtime.grid import GridSampler, Neighbours, grid_spec
from runtime.records import Clip
from runtime.sampling import ClipSampler, WindowSpec
from tests.fakes import frames_at

Key = tuple[int, tuple[int, ...], float, int]

TIMES = st.lists(st.floats(0.01, 0.3) | st.floats(0.5, 3.0), min_size=1, max_size=120).map(
    lambda steps: list(accumulate(steps))
)
SCHEDULE = st.lists(st.sampled_from([1, 2, 4]), min_size=1, max_size=12)
"""Of so many windows one is taken, each for ten frames; again from the start when it is over."""


def sampled(
    sampler: GridSampler | ClipSampler, times_s: list[float], schedule: list[int]
) -> list[tuple[Clip, int]]:
    """Clips, and of how many windows one was taken when they came."""
    found: list[tuple[Clip, int]] = []
    for frame in frames_at(times_s):
        sampler.take_every = schedule[frame.index // 10 % len(schedule)]
        if sampler.wanted(frame.time_s):
            found += [(clip, sampler.take_every) for clip in sampler.push(frame)]
    return [*found, *((clip, sampler.take_every) for clip in sampler.finish())]


def key(clip: Clip) -> Key:
    return clip.index, tuple(frame.index for frame in clip.frames), clip.start_s, clip.resets


def check(full: list[tuple[Clip, int]], thinned: list[tuple[Clip, int]]) -> None:
    """What is given is what would be given, but for windows that were not to be taken."""
    assert all(clip.index % every == 0 for clip, every in thinned)
    given_out = {key(clip) for clip, _ in thinned}
    everything = {key(clip) for clip, _ in full}
    assert given_out <= everything
    assert {one for one in everything if one[0] % 4 == 0} <= given_out


@given(
    times_s=TIMES,
    schedule=SCHEDULE,
    stride_s=st.sampled_from([None, 0.1, 0.5, 2.0]),
    around=st.sampled_from([Neighbours(), Neighbours(before=1, after=2)]),
)
def test_sliding(
    times_s: list[float], schedule: list[int], stride_s: float | None, around: Neighbours
) -> None:
    spec = grid_spec(4, length_s=1.0, stride_s=stride_s)
    full, thinned = (
        sampled(GridSampler(spec, rule="centre", neighbours=around), times_s, each)
        for each in ([1], schedule)
    )
    check(full, thinned)


@given(times_s=TIMES, schedule=SCHEDULE, stride_s=st.sampled_from([0.2, 1.0, 1.5]))
def test_windowed(times_s: list[float], schedule: list[int], stride_s: float) -> None:
    full, thinned = (
        sampled(ClipSampler(WindowSpec(1.0, stride_s), 4, rule="centre"), times_s, each)
        for each in ([1], schedule)
    )
    check(full, thinned)


def test_every_window_is_complete_at_once_when_all_are_taken_again() -> None:
    sampler = GridSampler(grid_spec(4, length_s=1.0), rule="centre")
    found: list[int] = []
    for frame in frames_at([i / 25 for i in range(150)]):
        sampler.take_every = 4 if 30 <= frame.index < 90 else 1
        if sampler.wanted(frame.time_s):
            found += [clip.index for clip in sampler.push(frame)]
    assert found == [0, 1, 4, 8, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20]
