from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.card import ModelCard
from models.errors import SourceError, UsageError
from models.spec import ClipSpec
from runtime import preprocess, whole_file
from runtime.preprocess import clip_tensor, prepare
from runtime.sampling import segment_centres
from runtime.sources import open_source
from runtime.whole_file import classify_whole
from tests.fakes import FakeSource
from tests.unit.test_runtime_pipeline import card, constant, grey_frames, grey_of
from tests.video_files import write_numbered

__all__ = ["card"]


def test_options_are_checked_before_the_file(card: ModelCard) -> None:
    with pytest.raises(UsageError):
        classify_whole("/nowhere.mp4", constant(), card, top_k=1, threshold=2.0)


@pytest.mark.parametrize("count", [1, 3, 4, 5, 8, 11, 31])
def test_whole_file_takes_the_frames_of_the_reference(
    card: ModelCard, tmp_path: Path, count: int
) -> None:
    path = write_numbered(tmp_path / "clip.avi", count)
    session = constant()
    found = classify_whole(str(path), session, card, top_k=1, threshold=0.0)
    assert (found.index, found.start_s) == (0, 0.0)
    assert found.end_s == pytest.approx(count / 25)
    with open_source(str(path)) as source:
        pictures = [frame.picture for frame in source]
    average = count // card.clip.frames
    chosen = [
        i * average + (average - 1) // 2 if average else i % count for i in range(card.clip.frames)
    ]
    expected = clip_tensor([prepare(pictures[i], card.clip) for i in chosen], card.clip)
    np.testing.assert_array_equal(session.seen[0], expected)


class CountingSources:
    """`open_source` for sources whose stated length is wrong, and a log of what they did."""

    def __init__(self, stated: int | None, lengths: list[int]) -> None:
        self.stated = stated
        self.lengths = lengths
        self.opened: list[FakeSource] = []

    def __call__(self, uri: str) -> FakeSource:
        source = FakeSource(grey_frames(self.lengths[len(self.opened)]))
        source.duration_s = None if self.stated is None else self.stated / 25.0
        self.opened.append(source)
        return source


@pytest.mark.parametrize(
    ("stated", "readings"),
    [
        (40, 1),  # right
        (41, 1),  # wrong, but the same frames are wanted
        (44, 2),  # wrong
        (4000, 2),
        (3, 2),
        (0, 2),
        (None, 2),
    ],
)
def test_whole_file_with_a_wrong_frame_count(
    card: ModelCard, monkeypatch: pytest.MonkeyPatch, stated: int | None, readings: int
) -> None:
    sources = CountingSources(stated, [40, 40])
    monkeypatch.setattr(whole_file, "open_source", sources)
    session = constant()
    found = classify_whole("clip.mp4", session, card, top_k=1, threshold=0.0)
    assert len(sources.opened) == readings
    assert all(source.closed for source in sources.opened)
    assert grey_of(session.seen[0], card.clip) == list(segment_centres(40, card.clip.frames))
    assert found.end_s == pytest.approx(1.6)


def test_whole_file_that_changes_between_the_readings(
    card: ModelCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(whole_file, "open_source", CountingSources(None, [40, 39]))
    with pytest.raises(SourceError, match="had 40 frames when read first, then 39"):
        classify_whole("clip.mp4", constant(), card, top_k=1, threshold=0.0)


def test_whole_file_without_a_frame(card: ModelCard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whole_file, "open_source", CountingSources(None, [0]))
    with pytest.raises(SourceError, match="holds no frame"):
        classify_whole("clip.mp4", constant(), card, top_k=1, threshold=0.0)


def test_whole_needs_a_file(card: ModelCard, monkeypatch: pytest.MonkeyPatch) -> None:
    camera = FakeSource([], live=True)
    monkeypatch.setattr(whole_file, "open_source", lambda uri: camera)
    with pytest.raises(UsageError, match="Uniform sampling needs a file") as caught:
        classify_whole("camera0", constant(), card, top_k=1, threshold=0.0)
    assert "--window" in caught.value.hint
    assert camera.closed


def test_whole_keeps_no_more_frames_than_the_clip_has(
    card: ModelCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = 0

    def counted(picture: np.ndarray, clip: ClipSpec) -> np.ndarray:
        nonlocal prepared
        prepared += 1
        return prepare(picture, clip)

    monkeypatch.setattr(preprocess, "prepare", counted)
    monkeypatch.setattr(whole_file, "open_source", CountingSources(200, [200]))
    classify_whole("clip.mp4", constant(), card, top_k=1, threshold=0.0)
    assert prepared == card.clip.frames
