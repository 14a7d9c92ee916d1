"""Figures of evaluations, against counting by hand and by NumPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calibration.eval_results import Answer, ClipResult
from calibration.eval_scores import Share, scores_of

CLASSES = 7
NAMES = tuple(f"class {index}" for index in range(CLASSES))


def answer(*top: tuple[int, float], decode_ms: float = 1.0) -> Answer:
    return Answer(top=top, decode_ms=decode_ms, preprocess_ms=2.0, infer_ms=3.0)


def ranked(best: int) -> Answer:
    """The five classes from `best` on, each half as probable as the one before."""
    return answer(*(((best + place) % CLASSES, 0.5 ** (place + 1)) for place in range(5)))


def result(
    index: int, label: int | None, best: int | None, reference: int | None = None
) -> ClipResult:
    return ClipResult(
        index=index,
        name=f"{index}.mp4",
        label=label,
        answer=None if best is None else ranked(best),
        reference=None if reference is None else ranked(reference),
        error="" if best is not None else "broken",
        elapsed_ms=20.0,
    )


numbers = st.integers(0, CLASSES - 1)
results = st.lists(
    st.tuples(st.none() | numbers, st.none() | numbers, numbers), min_size=1, max_size=40
)


@settings(max_examples=100, deadline=None)
@given(results)
def test_figures_are_those_of_a_confusion_matrix(
    drawn: list[tuple[int | None, int | None, int]],
) -> None:
    scores = scores_of([result(place, a, b, c) for place, (a, b, c) in enumerate(drawn)], NAMES)
    read = [(true, best, other) for true, best, other in drawn if best is not None]
    known = [(true, best) for true, best, _ in read if true is not None]
    matrix = np.zeros((CLASSES, CLASSES), int)
    for true, best in known:
        matrix[true, best] += 1
    assert scores.classified == len(read)
    mine = np.zeros_like(matrix)
    for pair in scores.confusion:
        mine[pair.true, pair.taken] = pair.count
    np.testing.assert_array_equal(mine, matrix)
    for one in scores.classes:
        assert one.support == matrix[one.index].sum()
        assert one.predicted == matrix[:, one.index].sum()
        assert one.right == matrix[one.index, one.index]
        assert one.answers == sum(best == one.index for _, best, _ in read)
    if not known:
        assert (scores.top1, scores.top5, scores.mean_recall) == (None, None, None)
        return
    assert scores.top1 is not None
    assert scores.top5 is not None
    assert scores.top1.value == pytest.approx(np.trace(matrix) / matrix.sum())
    assert scores.top5.right == sum((true - best) % CLASSES < 5 for true, best in known)
    tested = matrix.sum(1) > 0
    recalls = np.diag(matrix)[tested] / matrix.sum(1)[tested]
    assert scores.mean_recall == pytest.approx(recalls.mean())


@settings(max_examples=60, deadline=None)
@given(results)
def test_comparison_counts_clips(drawn: list[tuple[int | None, int | None, int]]) -> None:
    scores = scores_of([result(place, a, b, c) for place, (a, b, c) in enumerate(drawn)], NAMES)
    read = [(place, *one) for place, one in enumerate(drawn) if one[1] is not None]
    if not read:
        assert scores.comparison is None
        return
    comparison = scores.comparison
    assert comparison is not None
    assert comparison.top1.of == len(read)
    assert comparison.differing == tuple(place for place, _, best, other in read if best != other)
    known = [(true, best, other) for _, true, best, other in read if true is not None]
    if known:
        assert comparison.reference_top1 is not None
        assert comparison.reference_top1.right == sum(true == other for true, _, other in known)
        assert comparison.only_model == sum(true == best != other for true, best, other in known)
        assert comparison.only_reference == sum(
            true == other != best for true, best, other in known
        )
    else:
        assert (comparison.reference_top1, comparison.only_model) == (None, None)


def test_agreement_of_probabilities() -> None:
    mine = answer((0, 0.9), (1, 0.1))
    other = answer((1, 0.6), (0, 0.4))
    one = ClipResult(index=0, name="a", label=None, answer=mine, reference=other)
    comparison = scores_of([one], ("x", "y")).comparison
    assert comparison is not None
    assert comparison.mean_probability_diff == pytest.approx(0.5)
    assert comparison.top5 is None, "of two classes, the best five are all"


@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_interval_is_where_the_share_is_just_plausible(counts: tuple[int, int]) -> None:
    """Wilson's bounds solve |p - bound| = z * sqrt(bound * (1 - bound) / n)."""
    right, of = counts
    share = Share(right=right, of=of)
    low, high = share.interval
    assert 0 <= low <= share.value <= high <= 1
    for bound in (low, high):
        deviation = 1.959963984540054 * math.sqrt(bound * (1 - bound) / of)
        assert abs(share.value - bound) == pytest.approx(deviation, abs=1e-7)


def test_interval_of_the_docstring() -> None:
    low, high = Share(right=44, of=45).interval
    assert (round(low, 3), round(high, 3)) == (0.884, 0.996)


def test_speed_counts_the_time_of_classified_clips_only() -> None:
    slow = ClipResult(
        index=2, name="c", label=None, answer=answer((0, 1.0), decode_ms=9.0), elapsed_ms=60.0
    )
    speed = scores_of([result(0, 1, 1), result(1, 1, None), slow], NAMES).speed
    assert speed is not None
    assert speed.clips_per_s == pytest.approx(2 / 0.080)
    assert speed.decode.median_ms == pytest.approx(5.0)
    assert speed.decode.p95_ms == pytest.approx(8.6)
    assert speed.infer.median_ms == 3.0


def test_nothing_classified() -> None:
    scores = scores_of([result(0, 1, None)], NAMES)
    assert scores.classified == 0
    assert (scores.top1, scores.speed, scores.comparison) == (None, None, None)


def test_confused_pairs_are_ordered_by_their_number() -> None:
    wrong = [(0, 1), (2, 3), (2, 3), (4, 4), (0, 6)]
    scores = scores_of([result(n, a, b) for n, (a, b) in enumerate(wrong)], NAMES)
    assert [(one.true, one.taken, one.count) for one in scores.confused] == [
        (2, 3, 2),
        (0, 1, 1),
        (0, 6, 1),
    ]
