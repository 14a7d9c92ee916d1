from __future__ import annotations

import time
from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np
import pytest

from models.bundle import Bundle
from models.card import ModelCard
from models.errors import BackendError, UsageError
from models.spec import ClipSpec
from runtime import clip_classifier, preprocess
from runtime.clip_classifier import Decoding
from runtime.grid import grid_spec
from runtime.pipeline import FrameWatch
from runtime.preprocess import clip_tensor, prepare
from runtime.records import Frame, Prediction
from runtime.sampling import WindowSpec, segment_centres
from runtime.session import Tensor
from runtime.sources import Wanted
from tests import streams
from tests.fakes import FakeSession, FakeSource, frame_at, picture_of
from tests.streams import sliding, windowed
from tests.tiny_models import write_tiny_bundle

LABELS = ("still", "pan left", "pan right", "zoom in")


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> ModelCard:
    bundle: Bundle = write_tiny_bundle(tmp_path_factory.mktemp("bundle"), labels=LABELS)
    return bundle.card


def grey_of(tensor: Tensor, clip: ClipSpec) -> list[int]:
    """Grey value of each frame of a clip of `picture_of` pictures, [1, T, 3, S, S]."""
    assert tensor.shape == clip.input_shape()
    red = tensor[0, :, 0].mean((-1, -2)) * clip.std[0] + clip.mean[0]
    return [round(float(value) * 255) for value in red]


def constant(logits: tuple[float, ...] = (0.0, 3.0, 1.0, 2.0)) -> FakeSession:
    return FakeSession(lambda clips: np.array([logits] * len(clips), np.float32))


def grey_frames(count: int, *, fps: float = 25.0, decode_ms: float = 0.0) -> list[Frame]:
    return [frame_at(i / fps, i, picture=picture_of(i), decode_ms=decode_ms) for i in range(count)]


def classified(
    source: FakeSource, session: FakeSession, card: ModelCard, *, length_s: float, stride_s: float
) -> list[Prediction]:
    stream = windowed(source, card, WindowSpec(length_s, stride_s))
    return list(streams.classified(stream, session, card))


def test_every_window_sees_its_centre_frames(card: ModelCard) -> None:
    session = constant()
    found = classified(FakeSource(grey_frames(100)), session, card, length_s=2.0, stride_s=1.0)
    assert [(p.index, p.start_s, p.end_s) for p in found] == [(0, 0, 2), (1, 1, 3), (2, 2, 4)]
    centres = segment_centres(50, card.clip.frames)
    assert [grey_of(clip, card.clip) for clip in session.seen] == [
        [offset + i for i in centres] for offset in (0, 25, 50)
    ]
    assert [scored.label for scored in found[0].top] == ["pan left", "zoom in"]
    assert found[0].top[0].probability == pytest.approx(np.e**3 / sum(np.e**x for x in range(4)))


def test_tensor_is_exactly_the_shared_preprocessing(card: ModelCard) -> None:
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (48, 90, 3), dtype=np.uint8) for _ in range(25)]
    frames = [frame_at(i / 25, i, picture=picture) for i, picture in enumerate(pictures)]
    session = constant()
    classified(FakeSource(frames), session, card, length_s=1.0, stride_s=1.0)
    chosen = [pictures[i] for i in segment_centres(25, card.clip.frames)]
    expected = clip_tensor([prepare(picture, card.clip) for picture in chosen], card.clip)
    np.testing.assert_array_equal(session.seen[0], expected)


def test_each_frame_is_prepared_once_and_only_the_crop_is_kept(
    card: ModelCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    shapes: list[tuple[int, ...]] = []

    def counted(picture: np.ndarray, clip: ClipSpec) -> np.ndarray:
        shapes.append(picture.shape)
        return prepare(picture, clip)

    monkeypatch.setattr(preprocess, "prepare", counted)
    found = classified(FakeSource(grey_frames(100)), constant(), card, length_s=2.0, stride_s=0.2)
    assert len(found) == 11
    assert shapes == [(24, 32, 3)] * 100


def test_a_prediction_comes_before_the_frame_that_completed_it_is_shown(card: ModelCard) -> None:
    events: list[str] = []
    watch = FrameWatch(
        on_frame=lambda frame, stream: events.append(f"frame {frame.index} {frame.picture.shape}")
    )
    stream = windowed(FakeSource(grey_frames(60)), card, WindowSpec(1.0, 1.0))
    predictions = streams.classified(stream, constant(), card, watch=watch)
    for prediction in predictions:
        events.append(f"window {prediction.index}")
    assert [e.split(" (")[0] for e in events[24:27]] == ["frame 24", "window 0", "frame 25"]
    assert events.count("frame 30 (24, 32, 3)") == 1
    assert len(events) == 62


def test_latency_is_split_and_belongs_to_the_frames_since_the_window_before(
    card: ModelCard,
) -> None:
    def slow(clips: Tensor) -> Tensor:
        time.sleep(0.01)
        return np.zeros((1, 4), np.float32)

    frames = grey_frames(76, decode_ms=2.0)
    found = classified(FakeSource(frames), FakeSession(slow), card, length_s=1.0, stride_s=1.0)
    # Window 0 is completed by frame 25, so 26 frames were decoded for it; then 25 each.
    assert [p.latency.decode_ms for p in found] == [52.0, 50.0, 50.0]
    assert all(p.latency.infer_ms >= 10 for p in found)
    assert all(0 < p.latency.preprocess_ms < 1000 for p in found)
    assert all(p.frame_age_ms is None and p.dropped is None for p in found)


def test_live_predictions_tell_age_and_drops(
    card: ModelCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The clock stands at 1.5 s; the last frame of [0, 1) arrived at 0.96 s.
    clock = SimpleNamespace(monotonic=lambda: 1.5, perf_counter=time.perf_counter)
    monkeypatch.setattr(clip_classifier, "time", clock)
    source = FakeSource(grey_frames(26), live=True, dropped=7)
    (found,) = classified(source, constant(), card, length_s=1.0, stride_s=1.0)
    assert found.frame_age_ms == pytest.approx(540)
    assert found.dropped == 7


def test_short_source_gives_one_prediction_and_empty_none(card: ModelCard) -> None:
    session = constant()
    (found,) = classified(FakeSource(grey_frames(3)), session, card, length_s=9.0, stride_s=1.0)
    assert [found.start_s, found.end_s] == pytest.approx([0.0, 0.12])
    assert grey_of(session.seen[0], card.clip) == [0, 1, 2, 0]
    assert classified(FakeSource([]), constant(), card, length_s=1.0, stride_s=1.0) == []


def test_predictions_come_while_the_source_goes_on(card: ModelCard) -> None:
    read = 0

    class Endless(FakeSource):
        def frames(self, wanted: Wanted | None = None) -> Iterator[Frame]:
            nonlocal read
            while True:
                yield frame_at(read / 25, read, picture=picture_of(read))
                read += 1

    source = Endless([])
    stream = windowed(source, card, WindowSpec(1.0, 1.0))
    predictions = streams.classified(stream, constant(), card)
    assert next(predictions).index == 0
    assert read == 25
    assert next(predictions).index == 1
    assert read == 50


def test_bad_results_of_an_engine_are_errors(card: ModelCard) -> None:
    for logits in ((1.0, 2.0), (1.0, 2.0, np.nan, 0.0)):
        with pytest.raises(BackendError):
            classified(
                FakeSource(grey_frames(30)), constant(logits), card, length_s=1.0, stride_s=1.0
            )


@pytest.mark.parametrize(("top_k", "threshold"), [(0, 0.0), (1, 2.0), (1, -0.1)])
def test_options_are_checked(card: ModelCard, top_k: int, threshold: float) -> None:
    with pytest.raises(UsageError):
        Decoding(card=card, top_k=top_k, threshold=threshold)


def test_probabilities_are_of_all_classes(card: ModelCard) -> None:
    (found,) = classified(FakeSource(grey_frames(25)), constant(), card, length_s=1.0, stride_s=1.0)
    assert found.probabilities is not None
    assert found.probabilities.sum() == pytest.approx(1)
    assert found.probabilities[1] == found.top[0].probability


def test_frames_off_the_grid_are_neither_read_nor_prepared(
    card: ModelCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared: list[int] = []

    def counted(picture: np.ndarray, clip: ClipSpec) -> np.ndarray:
        prepared.append(int(picture[0, 0, 0]))
        return prepare(picture, clip)

    monkeypatch.setattr(preprocess, "prepare", counted)
    source, session = FakeSource(grey_frames(75)), constant()
    found = list(
        streams.classified(sliding(source, card, grid_spec(4, length_s=1.0)), session, card)
    )
    assert prepared == [0, 4, 10, 16, 22, 29, 35, 41, 47, 54, 60, 66, 72]
    assert source.counts.skipped == 75 - len(prepared)
    assert [p.index for p in found] == list(range(9))
    assert grey_of(session.seen[1], card.clip) == [10, 16, 22, 29]
    assert [(p.held, p.resets, p.batch, p.reused) for p in found] == [(0, 0, 1, None)] * 9


def test_who_watches_sees_every_frame_and_the_model_still_only_the_grid(card: ModelCard) -> None:
    seen: list[int] = []
    source, session = FakeSource(grey_frames(75)), constant()
    watch = FrameWatch(on_frame=lambda frame, stream: seen.append(frame.index))
    stream = sliding(source, card, grid_spec(4, length_s=1.0))
    found = list(streams.classified(stream, session, card, watch=watch))
    assert seen == list(range(75))
    assert len(found) == 9
    assert grey_of(session.seen[1], card.clip) == [10, 16, 22, 29]


def test_who_watches_may_want_some_frames_only(card: ModelCard) -> None:
    seen: list[int] = []
    watch = FrameWatch(
        on_frame=lambda frame, stream: seen.append(frame.index), wants=lambda stream: False
    )
    stream = sliding(FakeSource(grey_frames(30)), card, grid_spec(4, length_s=1.0))
    list(streams.classified(stream, constant(), card, watch=watch))
    assert seen == [0, 4, 10, 16, 22, 29]


def test_short_file_on_the_grid_is_one_clip_of_all_its_frames(card: ModelCard) -> None:
    session = constant()
    stream = sliding(FakeSource(grey_frames(20)), card, grid_spec(4, length_s=1.0), short=True)
    (found,) = streams.classified(stream, session, card)
    assert [found.start_s, found.end_s] == pytest.approx([0.0, 0.8])
    assert grey_of(session.seen[0], card.clip) == list(segment_centres(20, 4))
