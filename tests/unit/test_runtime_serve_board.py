from __future__ import annotations

import json
import math
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.records import ScoredLabel
from runtime.serve import feed
from runtime.serve.board import EVENTS, HISTORY, MOST_LABELS, WATCHED_S, LiveBoard, RunFacts
from runtime.serve.board import StreamFacts as Facts
from runtime.serve.tally import BOUNDS_S, MOST_COUNTED_LABELS, OTHER, Histogram, Tally
from tests.boards import COUNTS, Clock, board, event, frame, prediction


def test_only_the_newest_frame_is_kept() -> None:
    shown = board()
    assert shown.watch(0)[:2] == (0, None)
    first, second = frame(0), frame(1)
    shown.frame(first)
    shown.frame(second)
    number, kept, _ = shown.watch(0)
    assert (number, kept) == (2, second)


def test_more_frames_are_wanted_while_somebody_watches() -> None:
    clock = Clock()
    shown = board(clock=clock, picture_rate=10.0)
    assert shown.wants_frame(0)
    shown.frame(frame())
    clock.now_s += 0.5
    assert not shown.wants_frame(0)
    clock.now_s += 0.6
    assert shown.wants_frame(0)
    shown.frame(frame())
    shown.watch(0)
    assert not shown.wants_frame(0)
    clock.now_s += 0.11
    assert shown.wants_frame(0)
    clock.now_s += WATCHED_S
    shown.frame(frame())
    clock.now_s += 0.5
    assert not shown.wants_frame(0)


def test_streams_do_not_mix() -> None:
    shown = board(("a", "b"))
    shown.prediction(prediction(stream=1))
    shown.frame(frame(), 1)
    shown.watch(1)
    assert shown.points_after(0, 0) == []
    assert len(shown.points_after(1, 0)) == 1
    assert shown.now(0).tally.predictions == 0
    assert shown.now(1).tally.predictions == 1


@given(st.integers(0, 2 * HISTORY), st.integers(0, 2 * HISTORY))
def test_points_after(made: int, read: int) -> None:
    shown = board()
    for index in range(made):
        shown.prediction(prediction(index))
    numbers = [point.number for point in shown.points_after(0, read)]
    kept = range(max(0, made - HISTORY) + 1, made + 1)
    assert numbers == [number for number in kept if number > read]


def test_an_event_that_ends_replaces_itself_and_counts_once() -> None:
    shown = board()
    shown.event(event("1"))
    number, found = shown.events_after(0)
    assert [one.end_s for one in found] == [None]
    shown.event(event("1", end_s=5.0))
    number, found = shown.events_after(number)
    assert [one.end_s for one in found] == [5.0]
    assert shown.events_after(number) == (number, [])
    assert shown.event_counts() == {(0, "action", "wave"): 1}


def test_events_are_bounded() -> None:
    shown = board()
    for at in range(3 * EVENTS):
        shown.event(event(str(at)))
    assert [one.id for one in shown.events_after(0)[1]] == [
        str(at) for at in range(2 * EVENTS, 3 * EVENTS)
    ]
    assert shown.event_counts() == {(0, "action", "wave"): 3 * EVENTS}


def test_all_probabilities_show_more_than_the_top() -> None:
    labels = tuple(f"class {at}" for at in range(20))
    shown = LiveBoard(
        RunFacts(model="m", engine="e", version="v", window_s=1.0, labels=labels),
        [Facts(name="a", live=True)],
        counts=lambda stream: COUNTS,
    )
    probabilities = np.linspace(0, 0.1, 20)
    shown.prediction(prediction(top=[("class 19", 0.1)], probabilities=probabilities))
    (point,) = shown.points_after(0, 0)
    assert len(point.top) == MOST_LABELS
    assert point.top[0] == ScoredLabel(label="class 19", probability=float(probabilities[19]))
    shown.prediction(prediction(top=[("other", 0.5)], probabilities=np.ones(3)))
    assert shown.points_after(0, 1)[0].top[0].label == "other"


def test_status_of_a_stream() -> None:
    clock = Clock()
    shown = board(clock=clock)
    assert feed.stream_status(shown, 0) == "waiting"
    shown.frame(frame())
    assert feed.stream_status(shown, 0) == "live"
    shown.source_state(0, ok=False, text="reconnecting")
    assert feed.stream_status(shown, 0) == "interrupted"
    assert not feed.healthy(shown)
    shown.source_state(0, ok=True)
    clock.now_s += feed.STALLED_S + 1
    assert feed.stream_status(shown, 0) == "stalled"
    assert not feed.healthy(shown)
    shown.frame(frame())
    assert feed.healthy(shown)
    shown.close()
    shown.close()
    assert feed.stream_status(shown, 0) == "ended"


def test_one_stream_that_delivers_is_healthy() -> None:
    shown = board(("a", "b"))
    shown.source_state(0, ok=False)
    assert feed.healthy(shown)


def test_a_reader_is_told_everything_once() -> None:
    shown = board(("a", "b"))
    reader = feed.Reader()
    assert reader.news(shown) is None
    shown.prediction(prediction(0, stream=1))
    shown.event(event())
    news = reader.news(shown)
    assert news is not None
    assert list(news["points"]) == ["1"]  # type: ignore[call-overload]
    assert [one["id"] for one in news["events"]] == ["1"]  # type: ignore[attr-defined]
    assert reader.news(shown) is None


def test_a_slow_reader_misses_what_fell_out() -> None:
    shown = board()
    reader = feed.Reader()
    for index in range(3 * HISTORY):
        shown.prediction(prediction(index))
    news = reader.news(shown)
    assert news is not None
    points = news["points"]["0"]  # type: ignore[index]
    assert [points[0]["n"], points[-1]["n"]] == [2 * HISTORY + 1, 3 * HISTORY]


@given(
    st.lists(st.tuples(st.text(), st.floats()), max_size=12),
    st.one_of(st.none(), st.floats()),
    st.floats(),
)
def test_messages_are_one_line_of_strict_json(
    top: list[tuple[str, float]], age_ms: float | None, end_s: float
) -> None:
    shown = board()
    shown.prediction(prediction(top=top, age_ms=age_ms, end_s=end_s))
    shown.event(event(peak=end_s, label=top[0][0] if top else "x"))
    news = feed.Reader().news(shown)
    assert news is not None
    written = feed.message("news", news).decode("ascii")
    head, data, *rest = written.split("\n")
    assert (head, rest) == ("event: news", ["", ""])

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    told = json.loads(data.removeprefix("data: "), parse_constant=refuse)
    assert [one[0] for one in told["points"]["0"][0]["top"]] == [one for one, _ in top[:8]]


def test_state_and_opening() -> None:
    shown = board(("a", "b"))
    shown.prediction(prediction(resets=2, stream=1))
    told = json.loads(feed.as_json({**feed.opening(shown), **feed.state(shown)}))
    assert told["model"] == "Tiny"
    second = told["streams"][1]
    assert (second["resets"], second["predictions"]) == (2, 1)
    counted = [second[name] for name in ("frames", "skipped", "dropped", "broken")]
    assert counted == [40, 10, 8, 2]


def test_behind_a_break_no_class_is_known() -> None:
    shown = board()
    shown.frame(frame())
    assert not shown.now(0).known
    shown.prediction(prediction())
    assert shown.now(0).known
    assert shown.watch(0)[2][0].label == "wave"
    shown.interrupted(0)
    assert not shown.now(0).known
    assert shown.watch(0)[2] == ()
    shown.prediction(prediction(1))
    assert feed.state(shown)["streams"][0]["known"]  # type: ignore[index]


@given(st.lists(st.floats(-1, 100), max_size=50))
def test_histogram(durations: list[float]) -> None:
    histogram = Histogram()
    for duration in [*durations, math.nan, math.inf]:
        histogram.add(duration)
    pairs = histogram.cumulative()
    assert [bound for bound, _ in pairs] == [*map(repr, BOUNDS_S), "+Inf"]
    for bound, count in pairs[:-1]:
        assert count == sum(duration <= float(bound) for duration in durations)
    assert pairs[-1][1] == len(durations)
    assert histogram.sum_s == pytest.approx(sum(durations))


def test_counted_labels_are_bounded() -> None:
    tally = Tally()
    for at in range(MOST_COUNTED_LABELS + 5):
        tally.add(prediction(top=[(str(at), 0.5)]))
    assert len(tally.labels) == MOST_COUNTED_LABELS + 1
    assert tally.labels[OTHER] == 5


def test_a_copy_stays_as_it_is() -> None:
    tally = Tally()
    tally.add(prediction())
    copy = tally.copied()
    tally.add(prediction())
    assert (copy.predictions, copy.labels) == (1, {"wave": 1})
    assert copy.stages["infer"].cumulative()[-1][1] == 1


def test_writers_and_readers_in_many_threads() -> None:
    shown = board(("a", "b"))
    failed: list[BaseException] = []

    def write(stream: int) -> None:
        for index in range(500):
            shown.frame(frame(index), stream)
            shown.prediction(prediction(index, stream=stream))
            shown.event(event(f"{stream}-{index}", stream=stream))

    def read() -> None:
        reader = feed.Reader()
        try:
            while not shown.closed:
                reader.news(shown)
                feed.state(shown)
                shown.watch(0)
        except BaseException as error:
            failed.append(error)

    readers = [threading.Thread(target=read) for _ in range(3)]
    writers = [threading.Thread(target=write, args=(stream,)) for stream in (0, 1)]
    for thread in (*readers, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    shown.close()
    for thread in readers:
        thread.join()
    assert failed == []
    assert [shown.now(stream).tally.predictions for stream in (0, 1)] == [500, 500]
