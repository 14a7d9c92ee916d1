from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import UsageError
from runtime.records import Clip
from runtime.sampling import (
    ClipSampler,
    FrameInterval,
    SegmentFrame,
    WindowSpec,
    segment_centres,
    segment_frames,
)
from tests.fakes import frame_at, frames_at


def sampled(
    times_s: list[float], *, length_s: float, stride_s: float, segments: int = 4
) -> list[Clip]:
    sampler = ClipSampler(WindowSpec(length_s, stride_s), segments, rule="centre")
    clips = [clip for frame in frames_at(times_s) for clip in sampler.push(frame)]
    return [*clips, *sampler.finish()]


def steady(count: int, fps: float) -> list[float]:
    return [i / fps for i in range(count)]


def indices(clip: Clip) -> list[int]:
    return [frame.index for frame in clip.frames]


# --- windows --------------------------------------------------------------------------------

CLIP_TABLE = [
    # (frames, fps, length_s, stride_s, [(window, start_s, end_s, first frame, frames inside)])
    # 39 frames at 1 fps, window 32 s, stride 16 s: the second window would end at 48.
    (39, 1, 32, 16, [(0, 0, 32, 0, 32)]),
    (48, 1, 32, 16, [(0, 0, 32, 0, 32), (1, 16, 48, 16, 32)]),
    (64, 1, 32, 16, [(0, 0, 32, 0, 32), (1, 16, 48, 16, 32), (2, 32, 64, 32, 32)]),
    (10, 4, 1, 0.5, [(0, 0, 1, 0, 4), (1, 0.5, 1.5, 2, 4), (2, 1, 2, 4, 4), (3, 1.5, 2.5, 6, 4)]),
    (100, 25, 2, 2, [(0, 0, 2, 0, 50), (1, 2, 4, 50, 50)]),
    (99, 25, 2, 2, [(0, 0, 2, 0, 50)]),
    (125, 25, 2, 2, [(0, 0, 2, 0, 50), (1, 2, 4, 50, 50)]),
    # Stride above length: 1 s of every 2 s is looked at.
    (100, 25, 1, 2, [(0, 0, 1, 0, 25), (1, 2, 3, 50, 25)]),
    # Shorter than the window: one clip of everything, ending where the file ends.
    (10, 25, 2, 1, [(0, 0, 0.4, 0, 10)]),
    (1, 25, 2, 1, [(0, 0, 0.04, 0, 1)]),
    (0, 25, 2, 1, []),
    # 29.97 fps: 60 frames last 2.002 s, so a 2 s window holds 60 frames (the last at 1.9686).
    (60, 30000 / 1001, 2, 1, [(0, 0, 2, 0, 60)]),
    # Half a frame interval of tolerance: 59 frames last 1.9686 s and 2 - 1.9686 > 0.0167.
    (59, 30000 / 1001, 2, 1, [(0, 0, 59 * 1001 / 30000, 0, 59)]),
    # 24 fps, 2 s asked, 47.9 frames would be exact: 48 frames complete it.
    (48, 24.05, 2, 2, [(0, 0, 2, 0, 48)]),
]


@pytest.mark.parametrize(("count", "fps", "length_s", "stride_s", "expected"), CLIP_TABLE)
def test_windows_of_steady_video(
    count: int,
    fps: float,
    length_s: float,
    stride_s: float,
    expected: list[tuple[int, float, float, int, int]],
) -> None:
    clips = sampled(steady(count, fps), length_s=length_s, stride_s=stride_s)
    assert [clip.index for clip in clips] == [row[0] for row in expected]
    for clip, (_, start_s, end_s, first, available) in zip(clips, expected, strict=True):
        assert clip.start_s == pytest.approx(start_s)
        assert clip.end_s == pytest.approx(end_s)
        assert clip.available == available
        assert indices(clip) == [first + i for i in segment_centres(available, 4)]


@pytest.mark.parametrize("rule", ["centre", "left"])
def test_sampler_follows_the_rule(rule: SegmentFrame) -> None:
    sampler = ClipSampler(WindowSpec(1.0, 1.0), 4, rule=rule)
    clips = [clip for frame in frames_at(steady(31, 30)) for clip in sampler.push(frame)]
    assert [indices(clip) for clip in clips] == [list(segment_frames(30, 4, rule=rule))]
    assert segment_frames(30, 4, rule="left") == (3, 11, 18, 26)
    assert segment_frames(30, 4, rule="centre") == (3, 10, 17, 24)


def test_a_frame_on_the_edge_completes_the_window_at_once() -> None:
    sampler = ClipSampler(WindowSpec(1.0, 0.5), 2, rule="centre")
    given_out = [
        (frame.time_s, [clip.index for clip in sampler.push(frame)])
        for frame in frames_at(steady(10, 4))
    ]
    assert [row for row in given_out if row[1]] == [(1.0, [0]), (1.5, [1]), (2.0, [2])]
    assert [clip.index for clip in sampler.finish()] == [3]


def test_one_late_frame_completes_several_windows_and_gaps_use_up_numbers() -> None:
    # 0.0 to 0.9 s, then nothing until 10.0 s.
    times_s = [i / 10 for i in range(10)] + [10 + i / 10 for i in range(10)]
    sampler = ClipSampler(WindowSpec(1.0, 0.5), 2, rule="centre")
    by_frame = [sampler.push(frame) for frame in frames_at(times_s)]
    assert [clip.index for clip in by_frame[10]] == [0, 1]
    assert by_frame[10][1].available == 5
    # Windows 2 ([1, 2)) to 18 ([9, 10)) hold nothing; 19 is [9.5, 10.5).
    assert [clip.index for clip in by_frame[15]] == [19]
    assert [clip.index for clip in sampler.finish()] == [20]


def test_a_gap_of_years_takes_no_time() -> None:
    times_s = [0.0, 0.04, 3e8, 3e8 + 0.04]
    clips = sampled(times_s, length_s=0.01, stride_s=0.001, segments=1)
    # Only windows that hold a frame: the ten that see 0.04 and the like.
    assert all(clip.available for clip in clips)
    assert len(clips) < 100


def test_ntsc_windows_do_not_flicker_for_rounding() -> None:
    # 2.002 s are exactly 60 frames at 29.97 fps, whatever the float error of the times.
    length_s = 60 * 1001 / 30000
    clips = sampled(
        [i * 1001 / 30000 for i in range(60 * 200)], length_s=length_s, stride_s=length_s
    )
    assert len(clips) == 200
    assert {clip.available for clip in clips} == {60}
    # 2.5 s are 74.925 frames: 75 or 74 frames inside is the truth; never anything else.
    clips = sampled([i * 1001 / 30000 for i in range(7493)], length_s=2.5, stride_s=2.5)
    counts = [clip.available for clip in clips]
    assert len(counts) == 100
    assert set(counts) == {74, 75}
    assert counts.count(74) <= 8


def test_summed_up_times_stay_on_the_grid() -> None:
    # Ten thousand additions of 0.1 drift by 1e-9 s; windows must not lose a frame for it.
    times_s, time_s = [], 0.0
    for _ in range(10_000):
        times_s.append(time_s)
        time_s += 0.1
    clips = sampled(times_s, length_s=1.0, stride_s=1.0)
    assert len(clips) == 1000
    assert {clip.available for clip in clips} == {10}


def test_dropped_frames_do_not_stretch_windows() -> None:
    whole = sampled(steady(250, 25), length_s=2.0, stride_s=1.0)
    kept = [i / 25 for i in range(250) if i % 7 not in (2, 3)]
    thinned = sampled(kept, length_s=2.0, stride_s=1.0)
    assert [(c.start_s, c.end_s) for c in thinned] == [(c.start_s, c.end_s) for c in whole]
    assert all(thin.available < full.available for thin, full in zip(thinned, whole, strict=True))


def test_finish_and_reset_start_anew() -> None:
    sampler = ClipSampler(WindowSpec(1.0, 1.0), 2, rule="centre")
    for frame in frames_at(steady(30, 25)):
        sampler.push(frame)
    assert [clip.index for clip in sampler.finish()] == []
    assert sampler.finish() == ()
    sampler.push(frame_at(100.0))
    sampler.reset()
    sampler.push(frame_at(5.0))
    (clip,) = sampler.finish()
    assert (clip.start_s, clip.index) == (5.0, 0)


def test_backward_time_is_a_programming_error() -> None:
    sampler = ClipSampler(WindowSpec(1.0, 1.0), 2, rule="centre")
    sampler.push(frame_at(1.0))
    sampler.push(frame_at(1.5))
    with pytest.raises(ValueError, match=r"at 1\.2 s came after one at 1\.5 s"):
        sampler.push(frame_at(1.2))
    with pytest.raises(ValueError, match="must not decrease"):
        sampler.push(frame_at(math.nan))


def test_memory_is_bounded_by_one_window() -> None:
    for length_s, stride_s, bound in ((2.0, 0.5, 51), (1.0, 5.0, 26)):
        sampler = ClipSampler(WindowSpec(length_s, stride_s), 4, rule="centre")
        most = 0
        for frame in frames_at(steady(2000, 25)):
            sampler.push(frame)
            most = max(most, len(sampler._pending))
        assert 20 < most <= bound


def test_frame_interval_is_the_median_of_distinct_steps() -> None:
    interval = FrameInterval()
    assert interval.seconds == 0.04
    for time_s in (0.0, 0.1, 0.1, 0.2, 5.0, 5.1):
        interval.push(time_s)
    assert interval.seconds == pytest.approx(0.1)
    doubled = FrameInterval()
    for time_s in (0.0, 0.0, 0.0, 0.1, 0.1, 0.1):
        doubled.push(time_s)
    assert doubled.seconds == pytest.approx(0.1)


@pytest.mark.parametrize("value_s", [0.0, -1.0, math.nan, math.inf, 1e-4, 1e6])
def test_window_spec_refuses_nonsense(value_s: float) -> None:
    with pytest.raises(UsageError, match="window"):
        WindowSpec(value_s, 1.0)
    with pytest.raises(UsageError, match="stride"):
        WindowSpec(1.0, value_s)


def test_sampler_needs_a_segment() -> None:
    with pytest.raises(ValueError, match="at least 1 frame"):
        ClipSampler(WindowSpec(1.0, 1.0), 0, rule="centre")


# --- properties: all times on a 1 ms grid, so that the exact answer is known ---------------------

grid_ms = st.integers(50, 4000)
steps_ms = st.lists(st.integers(1, 900), min_size=0, max_size=60)


def seconds(values_ms: list[int]) -> list[float]:
    return [value / 1000 for value in values_ms]


def running(steps: list[int], start_ms: int = 0) -> list[int]:
    times = [start_ms]
    for step in steps:
        times.append(times[-1] + step)
    return times


@given(steps_ms, grid_ms, grid_ms, st.integers(1, 20), st.integers(0, 10**7))
def test_clips_of_any_video(
    steps: list[int], length_ms: int, stride_ms: int, segments: int, start_ms: int
) -> None:
    times_ms = running(steps, start_ms)
    clips = sampled(
        seconds(times_ms), length_s=length_ms / 1000, stride_s=stride_ms / 1000, segments=segments
    )
    assert clips
    over_ms = times_ms[-1] - start_ms
    seen = [clip.index for clip in clips]
    assert seen == sorted(set(seen))
    for clip in clips:
        chosen = indices(clip)
        assert len(chosen) == segments
        low, high = start_ms + clip.index * stride_ms, start_ms + clip.index * stride_ms + length_ms
        inside = [i for i, time in enumerate(times_ms) if low <= time < high]
        # Exactly the reference rule over exactly the frames inside.
        assert clip.available == len(inside)
        assert chosen == [inside[i] for i in segment_centres(len(inside), segments)]
        if len(inside) >= segments:
            assert chosen == sorted(chosen)
        assert clip.start_s == pytest.approx(low / 1000)
    # No window that ended by the last frame is missing, unless it held no frame.
    for index in range(max(0, (over_ms - length_ms) // stride_ms + 1)):
        low = start_ms + index * stride_ms
        if any(low <= time < low + length_ms for time in times_ms):
            assert index in seen


@given(steps_ms, grid_ms, grid_ms, st.integers(0, 10**8))
def test_shifting_all_times_changes_nothing(
    steps: list[int], length_ms: int, stride_ms: int, shift_ms: int
) -> None:
    def shape(start_ms: int) -> list[tuple[int, int, list[int]]]:
        clips = sampled(
            seconds(running(steps, start_ms)),
            length_s=length_ms / 1000,
            stride_s=stride_ms / 1000,
        )
        return [(clip.index, clip.available, indices(clip)) for clip in clips]

    near, far = shape(0), shape(shift_ms)
    # The end of the last frame may lie exactly on the tolerance; then the float decides.
    assert near[: len(far)] == far[: len(near)]
    assert abs(len(near) - len(far)) <= 1


@given(
    st.integers(1, 400),
    st.sampled_from(
        [Fraction(25), Fraction(30000, 1001), Fraction(24), Fraction(10), Fraction(60)]
    ),
    st.integers(4, 40),
    st.integers(1, 60),
)
def test_count_matches_the_independent_formula(
    count: int, fps: Fraction, length_tenths: int, stride_tenths: int
) -> None:
    length, stride = Fraction(length_tenths, 10), Fraction(stride_tenths, 10)
    times_s = [float(i / fps) for i in range(count)]
    clips = sampled(times_s, length_s=float(length), stride_s=float(stride))
    # A window must be over by the end of the last frame plus half a frame, and hold a frame;
    # it always does, as it is longer than 1.5 frames.
    over = (count + Fraction(1, 2)) / fps - length
    expected = over // stride + 1 if over >= 0 else 1
    if over >= 0 and over % stride == 0:
        assert len(clips) in (expected, expected - 1, 1)
    else:
        assert len(clips) == expected


@given(st.integers(1, 120), st.integers(1, 32))
def test_a_short_file_is_one_clip_by_the_reference_rule(count: int, segments: int) -> None:
    clips = sampled(steady(count, 25), length_s=10.0, stride_s=1.0, segments=segments)
    assert len(clips) == 1
    assert indices(clips[0]) == list(segment_centres(count, segments))
    assert (clips[0].start_s, clips[0].available) == (0.0, count)
    assert clips[0].end_s == pytest.approx(count / 25)


@given(st.lists(st.booleans(), min_size=200, max_size=200), grid_ms, grid_ms)
def test_any_dropping_leaves_the_windows_where_they_are(
    kept: list[bool], length_ms: int, stride_ms: int
) -> None:
    times_ms = [40 * i for i, keep in enumerate(kept) if keep or i == 0]
    for clip in sampled(seconds(times_ms), length_s=length_ms / 1000, stride_s=stride_ms / 1000)[
        :-1
    ]:
        assert clip.start_s == pytest.approx(clip.index * stride_ms / 1000)
        assert clip.end_s - clip.start_s == pytest.approx(length_ms / 1000)
        assert all(clip.start_s - 1e-6 <= frame.time_s < clip.end_s - 1e-9 for frame in clip.frames)


def test_no_window_holds_frames_of_two_epochs() -> None:
    sampler = ClipSampler(WindowSpec(1.0, 0.5), 4, rule="centre")
    clips: list[Clip] = []
    for frame in frames_at(steady(75, 25)):
        clips += sampler.push(replace(frame, epoch=int(frame.index >= 30)))
    clips += sampler.finish()
    assert [(clip.index, clip.frames[0].epoch, clip.resets) for clip in clips] == [
        (0, 0, 0),
        (3, 1, 1),
        (4, 1, 1),
    ]
    assert all(len({frame.epoch for frame in clip.frames}) == 1 for clip in clips)
