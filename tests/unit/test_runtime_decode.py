from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from models.errors import BackendError, UsageError
from runtime.decode import softmax, top_labels

LABELS = ("a", "b", "c", "d")
logit_rows = arrays(np.float32, st.integers(1, 50), elements=st.floats(-1e4, 1e4, width=32))


@given(logit_rows)
def test_softmax_is_a_distribution(logits: np.ndarray) -> None:
    probabilities = softmax(logits)
    assert probabilities.dtype == np.float64
    assert probabilities.shape == logits.shape
    assert np.isfinite(probabilities).all()
    assert math.isclose(probabilities.sum(), 1.0, rel_tol=1e-12)
    assert probabilities[logits.argmax()] == probabilities.max()


@given(logit_rows, st.integers(-1000, 1000))
def test_softmax_ignores_a_common_offset(logits: np.ndarray, offset: int) -> None:
    wide = logits.astype(np.float64)
    np.testing.assert_allclose(softmax(wide + offset), softmax(wide), atol=1e-9)


def test_softmax_by_hand_and_by_rows() -> None:
    logits = np.log(np.array([[1.0, 2.0, 5.0], [3.0, 3.0, 4.0]]))
    np.testing.assert_allclose(softmax(logits), [[0.125, 0.25, 0.625], [0.3, 0.3, 0.4]])


def test_softmax_survives_float32_overflow() -> None:
    np.testing.assert_allclose(softmax(np.array([3e38, 3e38, -3e38], np.float32)), [0.5, 0.5, 0])


def test_best_first_threshold_and_top_k() -> None:
    logits = np.log(np.array([0.1, 0.6, 0.25, 0.05], dtype=np.float64)).astype(np.float32)
    top = top_labels(logits, LABELS, top_k=3, threshold=0.2)
    assert [scored.label for scored in top] == ["b", "c"]
    assert top[0].probability == pytest.approx(0.6, abs=1e-6)
    assert [s.label for s in top_labels(logits, LABELS, top_k=99, threshold=0.0)] == list("bcad")
    assert top_labels(logits, LABELS, top_k=4, threshold=0.99) == ()


def test_ties_go_to_the_smaller_class() -> None:
    logits = np.array([1.0, 2.0, 2.0, 2.0], dtype=np.float32)
    assert [s.label for s in top_labels(logits, LABELS, top_k=2, threshold=0.0)] == ["b", "c"]
    many = [str(i) for i in range(400)]
    logits = (np.arange(400) % 2).astype(np.float32)
    top = top_labels(logits, many, top_k=400, threshold=0.0)
    assert [s.label for s in top] == many[1::2] + many[0::2]


def test_order_survives_probabilities_that_vanish() -> None:
    # All but one probability underflow to 0 or nearly so; the logits still order them.
    logits = np.array([-3000.0, 900.0, -1000.0, -2000.0], dtype=np.float32)
    assert [s.label for s in top_labels(logits, LABELS, top_k=4, threshold=0.0)] == list("bcda")


@given(logit_rows, st.integers(1, 60), st.floats(0, 1))
def test_result_is_sorted_short_and_above_the_threshold(
    logits: np.ndarray, top_k: int, threshold: float
) -> None:
    labels = [str(i) for i in range(len(logits))]
    top = top_labels(logits, labels, top_k=top_k, threshold=threshold)
    values = [scored.probability for scored in top]
    assert len(top) <= min(top_k, len(labels))
    assert values == sorted(values, reverse=True)
    assert all(value >= threshold for value in values)
    everything = softmax(logits)
    assert len(top) == min(top_k, int((everything >= threshold).sum()))


def test_wrong_number_of_logits_names_both() -> None:
    with pytest.raises(BackendError, match=r"shape \[3\], the card lists 4 labels"):
        top_labels(np.zeros(3, np.float32), LABELS, top_k=1, threshold=0.0)
    with pytest.raises(BackendError, match="shape"):
        top_labels(np.zeros((1, 4), np.float32), LABELS, top_k=1, threshold=0.0)


def test_logits_that_are_not_finite_are_refused() -> None:
    with pytest.raises(BackendError, match="2 of 4 logits that are not finite"):
        top_labels(np.array([1, np.nan, np.inf, 0], np.float32), LABELS, top_k=1, threshold=0.0)


@pytest.mark.parametrize(
    ("top_k", "threshold", "words"),
    [(0, 0.0, "at least 1"), (1, -0.1, "0 to 1"), (1, 1.1, "0 to 1"), (1, math.nan, "0 to 1")],
)
def test_options_out_of_range(top_k: int, threshold: float, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        top_labels(np.zeros(4, np.float32), LABELS, top_k=top_k, threshold=threshold)


def test_probabilities_are_taken_as_they_are() -> None:
    shares = np.array([0.1, 0.6, 0.1, 0.2], np.float32)
    top = top_labels(shares, LABELS, top_k=2, threshold=0.0, output="probabilities")
    assert [(s.label, round(s.probability, 6)) for s in top] == [("b", 0.6), ("d", 0.2)]
