from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.records import Picture, SourceEvent
from runtime.sources.picture_health import PictureHealth, PictureLimits

Look = tuple[float, bool, bool]
"""Seconds since the look before; whether the picture is dark; whether it is another one."""

LIMITS = PictureLimits(frozen_s=20.0, black_s=3.0)
SIZE = (24, 32, 3)


def noise(rng: np.random.Generator, *, dark: bool = False) -> Picture:
    least, most = (0, 20) if dark else (90, 110)
    return rng.integers(least, most, SIZE, dtype=np.uint8)


def told(
    pictures: Iterable[Picture], *, limits: PictureLimits = LIMITS, every_s: float = 1.0
) -> list[SourceEvent]:
    health = PictureHealth(limits)
    events: list[SourceEvent] = []
    for number, picture in enumerate(pictures):
        events += health.look(picture, time_s=number * every_s, at_s=1e9 + number * every_s)
    return events


def summed_up(events: Iterable[SourceEvent]) -> list[tuple[str, float, bool]]:
    return [(event.kind, event.time_s, event.delivers) for event in events]


def test_a_frozen_picture_is_told_once_and_so_is_its_end() -> None:
    rng = np.random.default_rng(0)
    still = noise(rng)
    pictures = [noise(rng), *[still] * 60, *[noise(rng) for _ in range(5)]]
    events = told(pictures)
    assert summed_up(events) == [("frozen", 21.0, False), ("picture", 61.0, True)]
    assert events[0].text == "the picture has not changed at all for 20 s"
    assert events[1].text == "the picture moves again, after 60 s"
    assert (events[0].lasted_s, events[1].lasted_s) == (None, 60.0)
    assert [event.at_s for event in events] == [1e9 + 21, 1e9 + 61]
    assert not any(event.breaks for event in events)


def test_black_is_told_sooner_and_is_not_frozen() -> None:
    rng = np.random.default_rng(0)
    black = np.zeros(SIZE, np.uint8)
    events = told([*[noise(rng)] * 3, *[black] * 60, noise(rng)])
    assert summed_up(events) == [("black", 6.0, False), ("picture", 63.0, True)]
    assert events[0].text == "the picture has been black for 3 s"
    assert events[1].text == "the picture is no longer black, after 60 s"


def test_a_covered_lens_with_noise_is_black() -> None:
    rng = np.random.default_rng(0)
    assert summed_up(told(noise(rng, dark=True) for _ in range(10))) == [("black", 3.0, False)]


def test_black_with_lettering_and_a_dim_scene() -> None:
    places = np.random.default_rng(0).random((480, 640))

    def lit(share: float) -> Picture:
        picture = np.zeros((480, 640, 3), np.uint8)
        picture[places < share] = 200
        return picture

    assert [event.kind for event in told([lit(0.01)] * 10)] == ["black"]
    assert told([lit(0.035)] * 10) == []
    # Once black, a little more light does not end it.
    events = told([*[lit(0.01)] * 5, *[lit(0.035)] * 5, *[lit(0.2)] * 5])
    assert summed_up(events) == [("black", 3.0, False), ("picture", 10.0, True)]


def test_a_frozen_picture_that_turns_dark_is_not_told_to_be_well() -> None:
    rng = np.random.default_rng(0)
    black = np.zeros(SIZE, np.uint8)
    still = [noise(rng)] * 25
    assert [event.kind for event in told([*still, *[black] * 10])] == ["frozen", "black"]
    events = told([*still, *[black] * 2, noise(rng), noise(rng)])
    assert summed_up(events) == [("frozen", 20.0, False), ("picture", 27.0, True)]


def test_small_changes_are_changes() -> None:
    still = np.full((480, 640, 3), 128, np.uint8)
    # A digit of a clock.
    other = still.copy()
    other[20:30, 20:24] = 255
    assert told([still, other] * 30) == []
    # One dead pixel that flickers is none; nor is rounding.
    spot = still.copy()
    spot[20, 20] = 255
    assert [event.kind for event in told([still, spot] * 30)] == ["frozen"]
    rounded = still + (np.arange(640) % 3 == 0).astype(np.uint8)[None, :, None]
    assert [event.kind for event in told([still, rounded] * 30)] == ["frozen"]


def test_something_that_moves_slowly_moves() -> None:
    def at(column: int) -> Picture:
        ramp = np.clip(2 * np.abs(np.arange(640) - column), 0, 100).astype(np.uint8)
        picture = np.full((480, 640, 3), 128, np.uint8)
        picture[200:208] = 150 - ramp[None, :, None]
        return picture

    # From one look to the next, no value changes by more than 2 levels.
    assert told(at(100 + second) for second in range(60)) == []


def test_another_size_is_another_picture() -> None:
    small, large = np.full((24, 32, 3), 128, np.uint8), np.full((48, 64, 3), 128, np.uint8)
    assert told([small, large] * 30) == []


def test_it_can_be_told_never_to_find_a_picture_frozen() -> None:
    still = np.full(SIZE, 128, np.uint8)
    assert told([still] * 100, limits=PictureLimits(frozen_s=None)) == []


def test_it_looks_once_a_second_and_a_new_start_forgets() -> None:
    health = PictureHealth(LIMITS)
    still = np.full(SIZE, 128, np.uint8)
    looks = []
    for tick in range(100):
        time_s = tick / 10
        if health.due(time_s):
            looks.append(time_s)
            health.look(still, time_s=time_s, at_s=0.0)
    assert looks == [float(second) for second in range(10)]
    health.restart()
    assert health.due(9.9)
    kinds = [
        event.kind
        for second in range(10, 31)
        for event in health.look(still, time_s=float(second), at_s=0.0)
    ]
    assert kinds == ["frozen"]


def expected(looks: list[Look]) -> list[tuple[str, float]]:
    """What is to be told, found by looking back at everything from every look."""
    times_s = np.cumsum([0.0, *[step for step, _, _ in looks[1:]]])
    shown: str | None = None
    events = []
    for number, (_, dark, _) in enumerate(looks):
        now_s = times_s[number]
        begun = number
        while begun > 0 and not (looks[begun][2] or looks[begun][1] != looks[begun - 1][1]):
            begun -= 1
        dark_from = number
        while dark_from > 0 and looks[dark_from - 1][1]:
            dark_from -= 1
        if dark and now_s - times_s[dark_from] >= 3.0:
            state: str | None = "black"
        elif now_s - times_s[begun] >= 20.0:
            state = "frozen"
        else:
            state = shown if dark else None
        if state != shown:
            events.append((state or "picture", float(now_s)))
        shown = state
    return events


@given(
    st.lists(
        st.tuples(
            st.sampled_from([0.0, 0.5, 1.0, 2.5, 12.0]),
            st.sampled_from([False, False, True]),
            st.sampled_from([False, False, False, True]),
        ),
        max_size=30,
    )
)
def test_any_run_of_looks(looks: list[Look]) -> None:
    rng = np.random.default_rng(0)
    health = PictureHealth(LIMITS)
    newest = {dark: noise(rng, dark=dark) for dark in (False, True)}
    events: list[SourceEvent] = []
    time_s = 0.0
    for number, (step_s, dark, another) in enumerate(looks):
        time_s += step_s if number else 0.0
        if another:
            newest[dark] = noise(rng, dark=dark)
        events += health.look(newest[dark], time_s=time_s, at_s=0.0)
    assert [(event.kind, event.time_s) for event in events] == expected(looks)
    for event in events:
        assert event.delivers == (event.kind == "picture") == (event.lasted_s is not None)
    for before, after in pairwise(events):
        assert before.kind != after.kind
    if events:
        assert events[0].kind != "picture"


def encoded(pictures: Callable[[int], Picture]) -> Iterator[Picture]:
    """40 s of pictures at 2 in a second as a network camera sends them: H.264, a key frame every
    other second."""
    memory = io.BytesIO()
    with av.open(memory, "w", format="matroska") as container:
        stream = container.add_stream("libx264", rate=2)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        stream.options = {"tune": "zerolatency", "g": "4", "preset": "veryfast"}
        for number in range(80):
            frame = av.VideoFrame.from_ndarray(pictures(number), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    memory.seek(0)
    with av.open(memory) as container:
        for frame in container.decode(video=0):
            yield frame.to_ndarray(format="rgb24")


@pytest.mark.parametrize(("noisy", "kinds"), [(True, []), (False, ["frozen"])])
def test_behind_a_video_encoder(noisy: bool, kinds: list[str]) -> None:
    """A camera whose scene does not move is told from one that hangs."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:120, :160]
    scene = 128 + 60 * np.sin(rows / 9.0) * np.cos(columns / 7.0)

    def taken() -> Picture:
        noise = rng.normal(0.0, 2.0, (120, 160, 3))
        return np.asarray(np.clip(scene[:, :, None] + noise, 0, 255), np.uint8)

    hung = taken()
    events = told(encoded(lambda number: taken() if noisy else hung), every_s=0.5)
    assert [event.kind for event in events] == kinds
