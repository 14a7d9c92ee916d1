from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import UsageError
from runtime.grid import GapPolicy, GridSampler, GridSpec, Neighbours, grid_spec
from runtime.records import Clip
from runtime.sampling import segment_frames
from tests.fakes import frames_at


def steady(count: int, fps: float, start_s: float = 0.0) -> list[float]:
    return [start_s + i / fps for i in range(count)]


def sampled(
    times_s: list[float],
    spec: GridSpec,
    *,
    around: Neighbours | None = None,
    short: bool = False,
    lost: frozenset[int] = frozenset(),
) -> list[Clip]:
    """Clips of a stream of which some frames, though wanted, never arrive."""
    sampler = GridSampler(spec, rule="centre", neighbours=around, short=short)
    clips: list[Clip] = []
    for frame in frames_at(times_s):
        if sampler.wanted(frame.time_s) and frame.index not in lost:
            clips += sampler.push(frame)
    return [*clips, *sampler.finish()]


def indices(clip: Clip) -> list[int]:
    return [frame.index for frame in clip.frames]


# --- the grid -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stride_s", "phases", "every", "effective_s"),
    [
        (None, 1, 1, 0.3125),
        (0.3125, 1, 1, 0.3125),
        (0.5, 1, 2, 0.625),
        (1.0, 1, 3, 0.9375),
        (2.5, 1, 8, 2.5),
        (10.0, 1, 32, 10.0),
        (0.3, 1, 1, 0.3125),
        (0.25, 1, 1, 0.3125),
        (0.2, 2, 1, 0.15625),
        (0.1, 3, 1, 0.3125 / 3),
        (0.01, 31, 1, 0.3125 / 31),
    ],
)
def test_stride_is_rounded_to_the_grid(
    stride_s: float | None, phases: int, every: int, effective_s: float
) -> None:
    spec = grid_spec(8, length_s=2.5, stride_s=stride_s)
    assert (spec.phases, spec.every) == (phases, every)
    assert spec.stride_s == pytest.approx(effective_s)
    assert spec.interval_s == 0.3125


def test_gap_is_two_intervals_and_at_least_a_second() -> None:
    assert grid_spec(8, length_s=2.5).gap_after_s == 1.0
    assert grid_spec(8, length_s=10).gap_after_s == 2.5
    assert grid_spec(8, length_s=10, gap_after_s=0.2).gap_after_s == 0.2


@pytest.mark.parametrize(
    "numbers",
    [
        {"length_s": 0.0},
        {"length_s": float("nan")},
        {"length_s": 1.0, "stride_s": 0.0},
        {"length_s": 1.0, "stride_s": float("inf")},
        {"length_s": 1.0, "gap_after_s": 0.0},
        {"length_s": 1.0, "gap_after_s": float("nan")},
        {"length_s": 1.0, "gap_after_s": float("inf")},
        {"length_s": 0.004, "stride_s": 0.001},
    ],
)
def test_bad_numbers(numbers: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        grid_spec(8, **numbers)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="at least 1 frame"):
        grid_spec(0, length_s=1.0)


# --- steady video ---------------------------------------------------------------------------


def test_a_point_takes_the_first_frame_at_or_after_it() -> None:
    clips = sampled(steady(75, 25), grid_spec(4, length_s=1.0))
    # Points 0.125, 0.375, 0.625, 0.875: frames at 0.16, 0.40, 0.64, 0.88.
    assert indices(clips[0]) == [4, 10, 16, 22]
    assert indices(clips[1]) == [10, 16, 22, 29]
    assert [clip.index for clip in clips] == list(range(9))
    assert [clip.start_s for clip in clips] == pytest.approx([0.25 * k for k in range(9)])
    assert all(clip.end_s - clip.start_s == pytest.approx(1.0) for clip in clips)
    assert {(clip.held, clip.resets) for clip in clips} == {(0, 0)}


def test_neighbouring_windows_share_all_frames_but_one() -> None:
    clips = sampled(steady(300, 30), grid_spec(8, length_s=2.5))
    for one, other in pairwise(clips):
        assert one.frames[1:] == other.frames[:-1], "the same objects"


def test_only_frames_of_the_grid_are_wanted() -> None:
    sampler = GridSampler(grid_spec(4, length_s=1.0), rule="centre")
    wanted = [i for i, time_s in enumerate(steady(75, 25)) if sampler.wanted(time_s)]
    assert wanted == [0, 4, 10, 16, 22, 29, 35, 41, 47, 54, 60, 66, 72]


def test_of_a_stride_above_the_window_only_its_frames_are_wanted() -> None:
    spec = grid_spec(2, length_s=1.0, stride_s=4.0)
    sampler = GridSampler(spec, rule="centre")
    wanted = [time_s for time_s in steady(41, 4) if sampler.wanted(time_s)]
    assert wanted == [0.0, 0.25, 0.75, 4.25, 4.75, 8.25, 8.75]
    clips = sampled(steady(41, 4), spec)
    assert [(clip.index, clip.start_s, clip.end_s) for clip in clips] == [
        (0, 0, 1),
        (1, 4, 5),
        (2, 8, 9),
    ]


def test_a_coarser_stride_leaves_windows_out() -> None:
    clips = sampled(steady(75, 25), grid_spec(4, length_s=1.0, stride_s=0.5))
    assert [clip.start_s for clip in clips] == pytest.approx([0, 0.5, 1.0, 1.5, 2.0])
    assert [clip.index for clip in clips] == [0, 1, 2, 3, 4]


def test_phases_take_turns() -> None:
    whole = sampled(steady(75, 25), grid_spec(4, length_s=1.0))
    clips = sampled(steady(75, 25), grid_spec(4, length_s=1.0, stride_s=0.125))
    assert [clip.index for clip in clips] == list(range(17))
    assert [clip.start_s for clip in clips] == pytest.approx([0.125 * k for k in range(17)])
    assert [indices(clip) for clip in clips[::2]] == [indices(clip) for clip in whole]
    for one, other in zip(clips, clips[2:], strict=False):
        assert one.frames[1:] == other.frames[:-1]


def test_t0_is_the_first_frame() -> None:
    clips = sampled(steady(30, 25, start_s=7.0), grid_spec(4, length_s=1.0))
    assert [indices(clip) for clip in clips] == [[4, 10, 16, 22], [10, 16, 22, 29]]
    assert clips[0].start_s == 7.0


# --- cameras that are slow, jitter, stop ----------------------------------------------------


def test_a_slower_camera_repeats_its_frames() -> None:
    # Points every 0.25 s from 0.125 s on; frames every 0.4 s.
    clips = sampled(steady(7, 2.5), grid_spec(4, length_s=1.0))
    # 0.125 and 0.375 take 0.4; 0.625 takes 0.8; 0.875 and 1.125 take 1.2; 1.375 takes 1.6.
    assert [indices(clip) for clip in clips[:3]] == [[1, 1, 2, 3], [1, 2, 3, 3], [2, 3, 3, 4]]
    assert [clip.held for clip in clips[:3]] == [1, 1, 1]
    assert clips[0].frames[0] is clips[0].frames[1]
    assert clips[0].available == 3


GAP = [*steady(50, 25), *steady(50, 25, start_s=5.0)]


def test_a_gap_empties_the_ring() -> None:
    clips = sampled(GAP, grid_spec(4, length_s=1.0))
    before, after = [c for c in clips if not c.resets], [c for c in clips if c.resets]
    assert [clip.start_s for clip in before] == pytest.approx([0, 0.25, 0.5, 0.75, 1.0])
    assert {clip.resets for clip in after} == {1}
    # The frame at 5.0 fills the point 4.875; the first window after the gap is [4.75, 5.75).
    assert indices(after[0])[0] == 50
    assert after[0].start_s == pytest.approx(4.75)
    assert after[0].index == 19
    assert {clip.held for clip in after} == {0}


def test_the_frame_before_a_gap_is_held() -> None:
    clips = sampled(GAP, grid_spec(4, length_s=1.0, gap="hold"))
    assert {clip.resets for clip in clips} == {0}
    at = [clip.start_s for clip in clips]
    # Nothing is said of the time of the gap, [2, 5).
    assert at[:5] == pytest.approx([0, 0.25, 0.5, 0.75, 1.0])
    assert at[5:8] == pytest.approx([4.0, 4.25, 4.5])
    assert [indices(clip) for clip in clips[5:8]] == [
        [47, 47, 47, 50],
        [47, 47, 50, 54],
        [47, 50, 54, 60],
    ]
    assert [clip.held for clip in clips[5:9]] == [2, 1, 0, 0]


def test_a_gap_between_two_points_empties_the_ring_too() -> None:
    # Points 0.5, 1.5, 2.5, …; nothing between 0.6 and 1.3.
    times_s = [i / 10 for i in range(60) if not 6 < i < 13]
    clips = sampled(times_s, grid_spec(2, length_s=2.0, gap_after_s=0.5))
    assert [(clip.start_s, clip.resets) for clip in clips] == [(1, 1), (2, 1), (3, 1), (4, 1)]


@pytest.mark.parametrize("gap", ["reset", "hold"])
@pytest.mark.parametrize("stride_s", [0.001, 1.0, 86400.0])
def test_a_gap_of_years_takes_no_time(gap: GapPolicy, stride_s: float) -> None:
    times_s = [*steady(10, 25), *steady(10, 25, start_s=3e8)]
    spec = grid_spec(2, length_s=0.04, stride_s=stride_s, gap=gap)
    assert len(sampled(times_s, spec)) < 1000


def test_a_frame_that_never_came_leaves_its_points_to_the_next() -> None:
    clips = sampled(steady(75, 25), grid_spec(4, length_s=1.0), lost=frozenset({10, 16}))
    assert indices(clips[0]) == [4, 22, 22, 22]
    assert clips[0].held == 2
    assert [clip.index for clip in clips] == list(range(9))


def test_times_must_not_decrease() -> None:
    sampler = GridSampler(grid_spec(4, length_s=1.0), rule="centre")
    assert sampler.wanted(1.0)
    sampler.wanted(1.0)
    for time_s in (0.9, float("nan")):
        with pytest.raises(ValueError, match="must not decrease"):
            sampler.wanted(time_s)


@pytest.mark.parametrize("gap", ["reset", "hold"])
def test_no_window_holds_frames_of_two_epochs(gap: GapPolicy) -> None:
    sampler = GridSampler(grid_spec(4, length_s=1.0, gap=gap), rule="centre")
    clips: list[Clip] = []
    for frame in frames_at([*steady(50, 25), *steady(50, 25, start_s=4.0)]):
        one = replace(frame, epoch=frame.index // 35)
        if sampler.wanted(one.time_s):
            clips += sampler.push(one)
    assert all(len({frame.epoch for frame in clip.frames}) == 1 for clip in clips)
    epochs = [clip.frames[0].epoch for clip in clips]
    assert set(epochs) == {0, 1, 2}
    assert [clip.resets for clip in clips if clip.frames[0].epoch == 0][-1] == 0
    # The gap, and the epochs 1 and 2; a gap that is held is none.
    assert clips[-1].resets == (3 if gap == "reset" else 2)


# --- short streams --------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 3, 4, 12, 20])
def test_a_short_file_gives_one_clip_of_all_its_frames(count: int) -> None:
    (clip,) = sampled(steady(count, 25), grid_spec(4, length_s=1.0), short=True)
    assert indices(clip) == list(segment_frames(count, 4, rule="centre"))
    assert (clip.index, clip.start_s, clip.available) == (0, 0.0, count)
    assert clip.end_s == pytest.approx(count / 25)


def test_a_file_that_might_have_been_short_is_sampled_as_any() -> None:
    spec = grid_spec(4, length_s=1.0)
    plain, short = sampled(steady(75, 25), spec), sampled(steady(75, 25), spec, short=True)
    assert [indices(clip) for clip in short] == [indices(clip) for clip in plain]


def test_a_short_stream_of_which_only_the_grid_was_kept() -> None:
    (clip,) = sampled(steady(15, 25), grid_spec(4, length_s=1.0))
    assert indices(clip) == [4, 10, 4, 10]
    assert clip.held == 2
    (clip,) = sampled([0, 0.6, 0.7], grid_spec(4, length_s=1.0))
    assert indices(clip) == [1, 2, 1, 2], "what the first fills several points with counts once"
    (clip,) = sampled(steady(2, 25), grid_spec(4, length_s=1.0))
    assert indices(clip) == [0, 0, 0, 0]
    assert sampled([], grid_spec(4, length_s=1.0)) == []


def test_no_clip_of_a_stream_that_never_filled_its_ring() -> None:
    times_s = [2.0 * i for i in range(10)]
    assert sampled(times_s, grid_spec(4, length_s=1.0)) == []


# --- frames around the window ---------------------------------------------------------------


def test_frames_around_the_window() -> None:
    spec = grid_spec(4, length_s=1.0)
    plain = sampled(steady(75, 25), spec)
    clips = sampled(steady(75, 25), spec, around=Neighbours(before=1, after=1))
    assert [indices(clip) for clip in clips] == [indices(clip) for clip in plain]
    assert clips[0].before == ()
    assert clips[-1].after == (), "nothing came after the last"
    for one, other in pairwise(clips):
        assert other.before == one.frames[:1]
        assert one.after == other.frames[-1:]


def test_windows_that_wait_for_frames_behind_come_before_a_reset() -> None:
    around = Neighbours(before=1, after=1)
    clips = sampled(GAP, grid_spec(4, length_s=1.0), around=around)
    assert [indices(clip) for clip in clips] == [
        indices(clip) for clip in sampled(GAP, grid_spec(4, length_s=1.0))
    ]
    ends = [clip for clip in clips if not clip.after]
    assert [clip.resets for clip in ends] == [0, 1]


# --- whatever the times ---------------------------------------------------------------------

TIMES = st.lists(st.floats(0.0, 0.6), min_size=1, max_size=80).map(
    lambda steps: [sum(steps[: i + 1]) for i in range(len(steps))]
)


def gaps_in(times_s: list[float], spec: GridSpec) -> list[float]:
    steps = [after - before for before, after in pairwise(times_s)]
    return [step for step in steps if step > spec.gap_after_s + 1e-6]


@given(
    times_s=TIMES,
    stride_s=st.sampled_from([None, 0.05, 0.125, 0.5, 3.0]),
    gap=st.sampled_from(["reset", "hold"]),
    gap_after_s=st.sampled_from([None, 0.3]),
    after=st.integers(0, 2),
)
def test_every_clip_holds_what_its_points_ask_for(
    times_s: list[float],
    stride_s: float | None,
    gap: GapPolicy,
    gap_after_s: float | None,
    after: int,
) -> None:
    spec = grid_spec(4, length_s=1.0, stride_s=stride_s, gap=gap, gap_after_s=gap_after_s)
    clips = sampled(times_s, spec, around=Neighbours(before=1, after=after))
    assert [clip.index for clip in clips] == sorted({clip.index for clip in clips})
    if times_s[-1] < times_s[0] + 0.875:
        assert len(clips) == (not (gaps_in(times_s, spec) and gap == "reset"))
        return
    gaps = gaps_in(times_s, spec)
    if gaps and spec.gap == "reset":
        assert all(0 <= (clip.resets or 0) <= len(gaps) for clip in clips)
    for clip in clips:
        assert len(clip.frames) == 4
        chosen = indices(clip)
        assert chosen == sorted(chosen)
        assert clip.held == 4 - len(set(chosen))
        if gaps or clip.end_s - clip.start_s < 1.0 - 1e-9:
            continue
        for i, frame in enumerate(clip.frames):
            point_s = clip.start_s + (i + 0.5) * spec.interval_s
            assert frame.time_s >= point_s - 2e-6
            earlier = [one for one in times_s if point_s + 2e-6 < one < frame.time_s]
            assert not earlier, "the first frame at or after the point"
