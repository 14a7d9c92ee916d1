"""Clips classified through the runtime, with a fake engine and real files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from calibration.clip_list import ClipList, read_clips
from calibration.evaluate import Candidate, evaluate
from models.card import ModelCard
from models.errors import BackendError
from runtime.session import Tensor
from runtime.whole_file import classify_whole
from tests.fakes import FakeSession
from tests.tiny_models import LABELS, tiny_network, write_tiny_bundle
from tests.video_files import numbered_picture, write_numbered, write_video


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> ModelCard:
    return write_tiny_bundle(tmp_path_factory.mktemp("tiny")).card


@pytest.fixture
def clips(tmp_path: Path) -> ClipList:
    for place in range(3):
        write_video(
            tmp_path / f"{place}.avi", [numbered_picture((n * (place + 2)) % 32) for n in range(9)]
        )
    (tmp_path / "1.avi").write_bytes(b"\0no video")
    (tmp_path / "list.txt").write_text("0.avi 3\n1.avi 1\n2.avi 0\n")
    return read_clips(str(tmp_path / "list.txt"))


def candidate(card: ModelCard, seed: int = 0) -> Candidate:
    network = tiny_network(classes=len(LABELS), seed=seed)
    return Candidate(session=FakeSession(network.logits), card=card, sampling="uniform", views=1)


def test_answers_are_those_of_the_runtime(card: ModelCard, clips: ClipList) -> None:
    first, broken, last = evaluate(clips, candidate(card))
    assert (first.index, first.name, first.label) == (0, "0.avi", 3)
    assert broken.answer is None
    assert "1.avi is not a video" in broken.error
    for result, place in ((first, 0), (last, 2)):
        expected = classify_whole(
            clips.clips[place].source,
            candidate(card).session,
            card,
            top_k=5,
            threshold=0.0,
        )
        assert result.answer is not None
        assert [(card.labels[number], share) for number, share in result.answer.top] == [
            (one.label, one.probability) for one in expected.top
        ]
        assert result.elapsed_ms >= result.answer.decode_ms


def test_labels_that_occur_twice_are_told_apart(card: ModelCard, clips: ClipList) -> None:
    alike = card.model_copy(update={"labels": ("same",) * 4})
    (first, *_), (expected, *_) = (evaluate(clips, candidate(one)) for one in (alike, card))
    assert first.answer is not None
    assert expected.answer is not None
    assert first.answer.top == expected.answer.top
    assert sorted(number for number, _ in first.answer.top) == [0, 1, 2, 3]


def test_done_is_left_out(card: ModelCard, clips: ClipList) -> None:
    assert [one.index for one in evaluate(clips, candidate(card), done={0, 1})] == [2]


def test_reference_sees_the_same_clips(card: ModelCard, clips: ClipList) -> None:
    first, broken, _ = evaluate(clips, candidate(card), reference=candidate(card, seed=9))
    (alone, *_) = evaluate(clips, candidate(card, seed=9))
    assert first.reference is not None
    assert alone.answer is not None
    assert first.reference.top == alone.answer.top
    assert broken.reference is None


def test_damage_is_told(card: ModelCard, tmp_path: Path) -> None:
    whole = write_numbered(tmp_path / "whole.mkv", 32)
    (tmp_path / "cut.mkv").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    (result,) = evaluate(read_clips(str(tmp_path / "cut.mkv")), candidate(card))
    assert result.answer is not None
    assert len(result.warnings) == 1
    assert "frames can be decoded" in result.warnings[0]


def test_an_engine_that_fails_ends_the_evaluation(card: ModelCard, clips: ClipList) -> None:
    def broken(batch: Tensor) -> Tensor:
        return np.full((len(batch), 4), np.nan, np.float32)

    failing = Candidate(session=FakeSession(broken), card=card, sampling="uniform", views=1)
    with pytest.raises(BackendError, match="not finite"):
        list(evaluate(clips, failing))
