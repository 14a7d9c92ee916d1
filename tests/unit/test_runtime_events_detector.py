"""Events: hysteresis, minimum duration, cooldown, resets; against a plain simulation."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import BackendError, UsageError
from runtime.events import (
    EventChange,
    EventDetector,
    EventRules,
    EventWatch,
    LabelRule,
    RuleWords,
    Smoothing,
    WatchedStream,
)
from runtime.events.rules import check_labels, label_rules

LABELS = ("still", "fall", "run")
RULE = LabelRule(on=0.6, off=0.4)


def rules(
    *, least_s: float = 0.0, cooldown_s: float = 0.0, of: EventRules = (RULE,) * 3
) -> EventRules:
    times = {"least_s": least_s, "cooldown_s": cooldown_s}
    return tuple(None if rule is None else replace(rule, **times) for rule in of)


def falls(
    detector: EventDetector, values: list[float], *, start: int = 0, finish: bool = True
) -> list[EventChange]:
    """One result a second, of which only the probability of "fall" is high."""
    changes = []
    for second, value in enumerate(values, start):
        changes += detector.push(float(second), np.array([0.0, value, 0.0]))
    return changes + (detector.finish() if finish else [])


def spans(changes: list[EventChange]) -> list[tuple[str, float, float | None, str | None]]:
    return [
        (one.event.label, one.event.start_s, one.event.end_s, one.event.ended)
        for one in changes
        if one.kind == "end"
    ]


def test_an_event_has_start_end_and_peak() -> None:
    changes = falls(EventDetector(LABELS, rules()), [0.1, 0.7, 0.9, 0.5, 0.3, 0.2])
    start, end = changes
    assert (start.kind, start.time_s, start.event.id) == ("start", 1.0, "0-1")
    assert start.event.end_s is None
    assert start.event.ended is None
    assert (end.kind, end.time_s, end.event.id) == ("end", 4.0, "0-1")
    assert (end.event.start_s, end.event.end_s, end.event.ended) == (1.0, 4.0, "below")
    assert (end.event.peak, end.event.peak_s) == (0.9, 2.0)


def test_between_the_thresholds_nothing_changes() -> None:
    assert spans(falls(EventDetector(LABELS, rules()), [0.5, 0.59, 0.6, 0.41, 0.4, 0.39])) == [
        ("fall", 2.0, 5.0, "below")
    ]


def test_what_is_shorter_than_the_minimum_is_no_event() -> None:
    detector = EventDetector(LABELS, rules(least_s=2.0))
    assert falls(detector, [0.9, 0.9, 0.1, 0.9, 0.9, 0.1]) == []
    changes = falls(EventDetector(LABELS, rules(least_s=2.0)), [0.1, 0.9, 0.5, 0.5, 0.1])
    assert [(one.kind, one.time_s) for one in changes] == [("start", 3.0), ("end", 4.0)]
    assert changes[0].event.start_s == 1.0
    assert changes[0].event.peak == 0.9


def test_cooldown_holds_a_class_back_and_then_lets_it_on() -> None:
    values = [0.9, 0.1, 0.9, 0.1, 0.9, 0.9, 0.9, 0.1]
    detector = EventDetector(LABELS, rules(cooldown_s=4.0))
    assert spans(falls(detector, values)) == [
        ("fall", 0.0, 1.0, "below"),
        ("fall", 5.0, 7.0, "below"),
    ]


def test_cooldown_is_of_one_class() -> None:
    detector = EventDetector(LABELS, rules(cooldown_s=100.0))
    changes = []
    for second, values in enumerate([(0, 0.9, 0), (0, 0, 0.9), (0.9, 0, 0)]):
        changes += detector.push(float(second), np.array(values))
    assert [(one.kind, one.event.label) for one in changes] == [
        ("start", "fall"),
        ("end", "fall"),
        ("start", "run"),
        ("end", "run"),
        ("start", "still"),
    ]


def test_a_reset_ends_events_at_their_last_result_and_forgets_cooldowns() -> None:
    detector = EventDetector(LABELS, rules(cooldown_s=100.0))
    falls(detector, [0.9, 0.1, 0.2], finish=False)
    assert detector.reset() == []
    falls(detector, [0.9, 0.9], start=50, finish=False)
    assert [one.id for one in detector.active] == ["0-2"]
    (end,) = detector.reset()
    assert (end.event.end_s, end.event.ended) == (51.0, "reset")
    assert detector.active == ()
    assert detector.reset() == []


def test_time_that_goes_back_is_a_reset() -> None:
    detector = EventDetector(LABELS, rules())
    falls(detector, [0.9, 0.9], start=100, finish=False)
    assert spans(falls(detector, [0.9, 0.1], start=3)) == [
        ("fall", 100.0, 101.0, "reset"),
        ("fall", 3.0, 4.0, "below"),
    ]


def test_the_end_of_the_stream_ends_events() -> None:
    assert spans(falls(EventDetector(LABELS, rules()), [0.9, 0.9])) == [("fall", 0.0, 1.0, "end")]


def test_classes_without_a_rule_make_no_events() -> None:
    detector = EventDetector(LABELS, rules(of=(None, None, RULE)))
    assert falls(detector, [1.0, 1.0]) == []


def test_another_number_of_classes_is_refused() -> None:
    with pytest.raises(BackendError, match="3 classes"):
        EventDetector(LABELS, rules()).push(0.0, np.array([0.5, 0.5]))


levels = st.lists(st.integers(0, 10), min_size=0, max_size=60)


@given(
    tenths=levels,
    on=st.integers(1, 10),
    off=st.integers(0, 10),
    least=st.integers(0, 5),
    cooldown=st.integers(0, 8),
    reset_at=st.sets(st.integers(0, 59), max_size=3),
)
def test_against_a_simulation_step_by_step(
    tenths: list[int], on: int, off: int, least: int, cooldown: int, reset_at: set[int]
) -> None:
    off = min(on, off)
    rule = LabelRule(on=on / 10, off=off / 10)
    detector = EventDetector(
        LABELS, rules(of=(None, rule, None), least_s=least, cooldown_s=cooldown)
    )
    changes: list[EventChange] = []
    expected: list[tuple[int, int, str, int]] = []  # start, end, why, peak
    start: int | None = None
    peak, quiet_until = 0, 0
    for second, level in enumerate(tenths):
        if second in reset_at:
            changes += detector.reset()
            if start is not None and second - 1 - start >= least:
                expected.append((start, second - 1, "reset", peak))
            start, quiet_until = None, 0
        changes += detector.push(float(second), np.array([0.0, level / 10, 0.0]))
        if start is None and level >= on and second >= quiet_until:
            start, peak = second, 0
        elif start is not None and level < off:
            # It was an event if some earlier result was late enough.
            if second - 1 - start >= least:
                expected.append((start, second, "below", peak))
                quiet_until = second + cooldown
            start = None
        if start is not None:
            peak = max(peak, level)
    changes += detector.finish()
    if start is not None and len(tenths) - 1 - start >= least:
        expected.append((start, len(tenths) - 1, "end", peak))

    ends = [one.event for one in changes if one.kind == "end"]
    assert [(one.start_s, one.end_s, one.ended, round(one.peak * 10)) for one in ends] == expected
    starts = [one.event for one in changes if one.kind == "start"]
    assert [one.id for one in starts] == [one.id for one in ends]
    assert len({one.id for one in starts}) == len(starts)
    # Starts and ends take turns, each told no earlier than the one before.
    assert [one.kind for one in changes] == ["start", "end"] * len(ends)
    assert all(a.time_s <= b.time_s for a, b in pairwise(changes))


def test_rules_from_words() -> None:
    both = LabelRule(on=0.5, off=0.4)
    assert label_rules(LABELS, RuleWords()) == (both,) * 3
    (low, *_) = label_rules(LABELS, RuleWords(on=("0.9",), off=("0.1",)))
    assert low == LabelRule(on=0.9, off=0.1)
    only = label_rules(LABELS, RuleWords(on=("fall=0.3",)))
    assert only[0] is None
    assert only[2] is None
    assert only[1] is not None
    assert only[1].on == 0.3
    assert only[1].off == pytest.approx(0.24)
    mixed = label_rules(LABELS, RuleWords(on=("0.8", "fall=0.3"), off=("0.7", "run=0.2")))
    assert mixed[0] == LabelRule(on=0.8, off=0.7)
    assert mixed[1] is not None
    assert mixed[1].off <= 0.3
    assert mixed[2] == LabelRule(on=0.8, off=0.2)


def test_labels_may_hold_equals_signs() -> None:
    (rule,) = label_rules(["a=b"], RuleWords(on=("a=b=0.25",)))
    assert rule is not None
    assert rule.on == 0.25


@pytest.mark.parametrize(
    ("on", "off", "message"),
    [
        (["high"], [], "takes P or CLASS=P"),
        (["fall=x"], [], "takes P or CLASS=P"),
        (["1.5"], [], "from 0 to 1"),
        (["nan"], [], "from 0 to 1"),
        (["fall=-1"], [], "from 0 to 1"),
        (["0"], [], "by every class always"),
        (["fell=0.4"], [], "none of the model's 3 classes"),
        (["0.4", "0.5"], [], "twice for all classes"),
        (["fall=0.4", "fall=0.5"], [], "'fall' twice"),
        (["0.4"], ["0.5"], "above --on"),
        (["fall=0.4"], ["run=0.1"], "makes no events"),
        ([""], [], "takes P or CLASS=P"),
        (["=0.4"], [], "none of the model's"),
    ],
)
def test_words_that_mean_nothing(on: list[str], off: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        label_rules(LABELS, RuleWords(on=tuple(on), off=tuple(off)))


def test_times_of_single_classes() -> None:
    words = RuleWords(on=("0.5",), least=("2", "fall=0"), cooldown=("run=9",))
    still, fall, run = label_rules(LABELS, words)
    assert still == LabelRule(on=0.5, off=0.4, least_s=2.0)
    assert fall == LabelRule(on=0.5, off=0.4)
    assert run == LabelRule(on=0.5, off=0.4, least_s=2.0, cooldown_s=9.0)
    detector = EventDetector(LABELS, (still, fall, run))
    changes = []
    for second in range(3):
        changes += detector.push(float(second), np.array([0.9, 0.9, 0.0]))
    assert [(one.event.label, one.time_s) for one in changes] == [("fall", 0.0), ("still", 2.0)]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (RuleWords(least=("long",)), "--min-duration takes S or CLASS=S, in seconds; got 'long'"),
        (RuleWords(least=("-1",)), "--min-duration must be 0 seconds or more"),
        (RuleWords(cooldown=("fall=nan",)), "--cooldown must be 0 seconds or more"),
        (RuleWords(cooldown=("fell=1",)), "none of the model's 3 classes"),
        (RuleWords(on=("run=0.5",), least=("fall=1",)), "of which --on makes no events"),
    ],
)
def test_times_that_are_none(words: RuleWords, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        label_rules(LABELS, words)


def test_a_near_name_is_shown() -> None:
    with pytest.raises(UsageError) as refused:
        check_labels("--until", ["fell"], LABELS)
    assert "fall" in refused.value.hint


@pytest.mark.parametrize("seconds", [-1.0, float("nan"), float("inf")])
def test_times_are_times(seconds: float) -> None:
    with pytest.raises(UsageError, match="min-duration"):
        rules(least_s=seconds)
    with pytest.raises(UsageError, match="cooldown"):
        rules(cooldown_s=seconds)


def test_streams_are_kept_apart_and_resets_of_one_are_its_own() -> None:
    smoothing = Smoothing(kind="mean", span_s=3.0)
    watch = EventWatch(
        LABELS,
        [
            WatchedStream(source=name, rules=rules(), smoothing=smoothing)
            for name in ("door", "yard")
        ],
    )
    high, low = np.array([0.0, 0.9, 0.1]), np.array([0.9, 0.0, 0.1])
    (start,) = watch.push(0, 1.0, high).changes
    assert (start.event.source, start.event.id) == ("door", "0-1")
    (start,) = watch.push(1, 1.0, low).changes
    assert (start.event.source, start.event.label, start.event.id) == ("yard", "still", "1-1")
    assert watch.push(0, 2.0, low).probabilities == pytest.approx([0.45, 0.45, 0.1])
    assert [one.label for one in watch.active] == ["fall", "still"]
    # A reset: the event of this stream ends, and smoothing starts with this result.
    watched = watch.push(0, 3.0, low, resets=1)
    assert watched.probabilities == pytest.approx(low)
    assert [(one.kind, one.event.ended) for one in watched.changes] == [
        ("end", "reset"),
        ("start", None),
    ]
    assert {one.event.id for one in watch.finish()} == {"0-2", "1-1"}


def test_smoothing_alone() -> None:
    watch = EventWatch(LABELS, [WatchedStream(source="door")])
    values = np.array([0.2, 0.7, 0.1], np.float32)
    watched = watch.push(0, 1.0, values)
    assert watched.probabilities == pytest.approx(values)
    assert watched.changes == ()
    assert watch.reset(0) == []
    assert watch.finish() == []


def test_every_stream_has_rules_of_its_own() -> None:
    strict = (LabelRule(on=0.95, off=0.9),) * 3
    watch = EventWatch(
        LABELS,
        [
            WatchedStream(source="door", rules=rules()),
            WatchedStream(source="yard", rules=strict),
            WatchedStream(source="hall", smoothing=Smoothing(kind="vote", span_s=1.0)),
        ],
    )
    high = np.array([0.0, 0.9, 0.1])
    assert [len(watch.push(stream, 1.0, high).changes) for stream in range(3)] == [1, 0, 0]
    assert watch.push(1, 2.0, high).probabilities == pytest.approx(high)
    assert watch.push(2, 2.0, high).probabilities == pytest.approx([0.0, 1.0, 0.0])
