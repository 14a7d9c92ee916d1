from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.feed import Sampler
from runtime.grid import GridSampler, grid_spec
from runtime.records import Clip, Frame
from runtime.sampling import ClipSampler, SegmentFrame, WindowSpec
from runtime.sampling_in_turn import SamplersInTurn
from tests.fakes import frame_at

RULE: SegmentFrame = "centre"


def sliding(stride_s: float | None = None) -> GridSampler:
    spec = grid_spec(4, length_s=1.0, stride_s=stride_s, gap_after_s=None, gap="reset")
    return GridSampler(spec, rule=RULE, short=True)


def windowed() -> ClipSampler:
    return ClipSampler(WindowSpec(1.0, 0.5), 4, rule=RULE)


def video(
    times_s: list[float], *, at_s: float = 0.0, index: int = 0, epoch: int = 0
) -> list[Frame]:
    return [
        replace(frame_at(at_s + time_s, index + i), epoch=epoch) for i, time_s in enumerate(times_s)
    ]


def cut(sampler: Sampler, frames: list[Frame]) -> list[Clip]:
    clips: list[Clip] = []
    for frame in frames:
        if sampler.wanted(frame.time_s) and sampler.due(frame.time_s):
            clips.extend(sampler.push(frame))
    return clips


def alone(fresh: Callable[[], Sampler], frames: list[Frame]) -> list[Clip]:
    sampler = fresh()
    return [*cut(sampler, frames), *sampler.finish()]


STEADY = [i / 25 for i in range(60)]
SHORT = [i / 25 for i in range(9)]


@pytest.mark.parametrize("fresh", [sliding, windowed])
def test_each_video_is_cut_as_if_it_were_alone(fresh: Callable[[], Sampler]) -> None:
    videos = [
        video(STEADY),
        video(SHORT, at_s=2.4, index=60, epoch=1),
        video(STEADY, at_s=2.77, index=69, epoch=2),
    ]
    turns = SamplersInTurn(fresh)
    found: list[Clip] = []
    for number, frames in enumerate(videos):
        if number:
            turns.expect()
            found += turns.begin()
        found += cut(turns, frames)
    found += turns.finish()
    expected = [clip for frames in videos for clip in alone(fresh, frames)]
    assert [clip.index for clip in found] == list(range(len(expected)))
    assert [(clip.start_s, clip.end_s) for clip in found] == [
        (clip.start_s, clip.end_s) for clip in expected
    ]
    assert [clip.frames for clip in found] == [clip.frames for clip in expected]
    assert sum(clip.start_s == pytest.approx(2.4) for clip in found) == 1, "of the short one"
    assert {clip.resets for clip in found} == {0}


def test_the_half_that_asks_may_be_ahead() -> None:
    turns = SamplersInTurn(sliding)
    first, second = video(STEADY), video(STEADY, at_s=2.4, index=60, epoch=1)
    wanted = [frame for frame in first if turns.wanted(frame.time_s)]
    turns.expect()
    later = [frame for frame in second if turns.wanted(frame.time_s)]
    found = [clip for frame in wanted for clip in turns.push(frame)]
    found += turns.begin()
    found += [clip for frame in later for clip in turns.push(frame)]
    found += turns.finish()
    expected = alone(sliding, first) + alone(sliding, second)
    assert [clip.frames for clip in found] == [clip.frames for clip in expected]


def test_gaps_within_videos_are_counted_and_a_turn_is_none() -> None:
    turns = SamplersInTurn(sliding)
    holed = STEADY + [time_s + 5 for time_s in STEADY]
    found = cut(turns, video(holed))
    turns.expect()
    found += turns.begin()
    found += cut(turns, video(holed, at_s=7.4, index=120, epoch=1))
    assert turns.gaps == 2
    resets = [clip.resets for clip in found]
    assert resets == sorted(resets)
    assert set(resets) == {0, 1, 2}
    at_turn = next(i for i, clip in enumerate(found) if clip.frames[0].epoch)
    assert resets[at_turn] == resets[at_turn - 1] == 1


def test_windows_are_left_out_in_all_videos() -> None:
    turns = SamplersInTurn(sliding)
    turns.take_every = 2
    found = cut(turns, video(STEADY))
    turns.expect()
    found += turns.begin()
    found += cut(turns, video(STEADY, at_s=2.4, index=60, epoch=1))
    assert turns.take_every == 2
    assert [clip.index for clip in found] == [0, 2, 4, 5, 7, 9]
    turns.take_every = 1
    assert turns.take_every == 1


@given(
    st.lists(st.lists(st.floats(0.001, 1.5), max_size=30), min_size=1, max_size=4),
    st.sampled_from([sliding, windowed]),
)
def test_numbers_grow_and_no_window_has_frames_of_two_videos(
    steps: list[list[float]], fresh: Callable[[], Sampler]
) -> None:
    turns = SamplersInTurn(fresh)
    found: list[Clip] = []
    now_s, index = 0.0, 0
    for number, intervals in enumerate(steps):
        if number:
            turns.expect()
            found += turns.begin()
        for interval_s in intervals:
            now_s += interval_s
            found += cut(turns, [replace(frame_at(now_s, index), epoch=number)])
            index += 1
    found += turns.finish()
    numbers = [clip.index for clip in found]
    assert numbers == sorted(set(numbers))
    assert all(len({frame.epoch for frame in clip.frames}) == 1 for clip in found)
