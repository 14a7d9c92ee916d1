"""Several views, dense testing, and the frames and crops that the card asks for."""

from __future__ import annotations

import time

import numpy as np
import pytest

from models.card import ModelCard
from models.errors import UsageError
from models.spec import ClipSpec, Resize
from runtime import whole_file
from runtime.decode import softmax
from runtime.preprocess import Preparation
from runtime.records import Frame, Picture, Prediction
from runtime.sampling import WindowSpec, dense_frames, segment_frames
from runtime.session import Tensor
from runtime.views import Views
from runtime.whole_file import WholeSampling, classify_whole
from tests.fakes import FakeSession, FakeSource, frame_at
from tests.streams import classified, windowed
from tests.tiny_models import tiny_network, write_tiny_bundle

NETWORK = tiny_network()
KEPT_ASPECT = Resize(policy="keep_aspect", short_side=20, library="opencv")


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> ModelCard:
    """Pictures of 48x30 become 32x20, of which 16x16 is cut out."""
    bundle = write_tiny_bundle(tmp_path_factory.mktemp("bundle"))
    return with_clip(bundle.card, resize=KEPT_ASPECT)


def with_clip(card: ModelCard, **changes: object) -> ModelCard:
    clip = ClipSpec.model_validate({**card.clip.model_dump(), **changes})
    return card.model_copy(update={"clip": clip})


def noisy(count: int) -> list[Frame]:
    rng = np.random.default_rng(7)
    pictures = rng.integers(0, 256, (count, 30, 48, 3), dtype=np.uint8)
    return [frame_at(i / 25, i, picture=picture) for i, picture in enumerate(pictures)]


def network() -> FakeSession:
    return FakeSession(lambda clips: NETWORK.logits(clips) * 3)


class Sources:
    """`open_source` for one made-up file; keeps count of its readings.

    Args:
        count: Frames in the file.
        stated: Frames that the container states.
    """

    def __init__(self, count: int, stated: int) -> None:
        self.pictures = [frame.picture for frame in noisy(count)]
        self._frames, self._stated = noisy(count), stated
        self.readings = 0

    def __call__(self, uri: str) -> FakeSource:
        self.readings += 1
        source = FakeSource(self._frames)
        source.duration_s = self._stated / 25
        return source


def clips_of(pictures: list[Picture], clip: ClipSpec, views: Views) -> list[Tensor]:
    preparation = Preparation(clip=clip, views=views)
    return list(preparation.tensors([preparation.kept(picture) for picture in pictures]))


def averaged(clips: list[Tensor]) -> np.ndarray:
    """Probabilities of the mean of the logits, best first."""
    logits = np.concatenate([NETWORK.logits(clip) * 3 for clip in clips])
    return np.sort(softmax(logits.astype(np.float64).mean(axis=0)))[::-1]


def probabilities(prediction: Prediction) -> list[float]:
    return [scored.probability for scored in prediction.top]


def test_logits_of_all_views_are_averaged_and_softmax_comes_once(
    card: ModelCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = Sources(31, 31)
    monkeypatch.setattr(whole_file, "open_source", sources)
    session = network()
    found = classify_whole("clip.mp4", session, card, top_k=4, threshold=0.0, views=10)
    chosen = [sources.pictures[i] for i in segment_frames(31, 4, rule="centre")]
    clips = clips_of(chosen, card.clip, 10)
    assert len(session.seen) == 10
    for seen, expected in zip(session.seen, clips, strict=True):
        np.testing.assert_array_equal(seen, expected)
    assert probabilities(found) == pytest.approx(averaged(clips), abs=1e-6)
    each = np.mean([softmax(NETWORK.logits(clip)[0] * 3) for clip in clips], axis=0)
    assert probabilities(found) != pytest.approx(np.sort(each)[::-1], abs=1e-3)
    assert (found.index, found.start_s) == (0, 0.0)
    assert found.end_s == pytest.approx(31 / 25)


def test_windows_with_ten_views(card: ModelCard) -> None:
    frames, session = noisy(50), network()
    stream = windowed(FakeSource(frames), card, WindowSpec(1.0, 0.5))
    found = list(classified(stream, session, card, views=10, top_k=4))
    assert [one.index for one in found] == [0, 1, 2]
    assert len(session.seen) == 30
    inside = [frame.picture for frame in frames[12:38] if 0.5 <= frame.time_s < 1.5]
    chosen = [inside[i] for i in segment_frames(len(inside), 4, rule="centre")]
    assert probabilities(found[1]) == pytest.approx(
        averaged(clips_of(chosen, card.clip, 10)), abs=1e-6
    )


@pytest.mark.parametrize(("stated", "readings"), [(131, 1), (400, 2), (20, 2), (0, 2)])
def test_dense_is_ten_clips_in_three_views(
    card: ModelCard, monkeypatch: pytest.MonkeyPatch, stated: int, readings: int
) -> None:
    sources = Sources(131, stated)
    monkeypatch.setattr(whole_file, "open_source", sources)
    session = network()
    found = classify_whole("clip.mp4", session, card, top_k=4, threshold=0.0, sampling="dense")
    assert sources.readings == readings
    expected = [
        tensor
        for positions in dense_frames(131, 4)
        for tensor in clips_of([sources.pictures[i] for i in positions], card.clip, 3)
    ]
    assert len(session.seen) == len(expected) == 30
    for seen, tensor in zip(session.seen, expected, strict=True):
        np.testing.assert_array_equal(seen, tensor)
    assert probabilities(found) == pytest.approx(averaged(expected), abs=1e-6)
    assert [found.start_s, found.end_s] == pytest.approx([0.0, 131 / 25])


@pytest.mark.parametrize(("sampling", "views", "most"), [("uniform", 10, 4), ("dense", 1, 40)])
def test_only_used_frames_are_kept_each_once_and_resized(
    card: ModelCard,
    monkeypatch: pytest.MonkeyPatch,
    sampling: WholeSampling,
    views: Views,
    most: int,
) -> None:
    kept: list[tuple[int, ...]] = []

    class Counted(Preparation):
        def kept(self, picture: Picture) -> Picture:
            small = super().kept(picture)
            kept.append(small.shape)
            return small

    monkeypatch.setattr(whole_file, "Preparation", Counted)
    monkeypatch.setattr(whole_file, "open_source", Sources(300, 300))
    classify_whole(
        "clip.mp4", network(), card, top_k=1, threshold=0.0, views=views, sampling=sampling
    )
    positions = {i for clip in dense_frames(300, 4) for i in clip}
    assert len(kept) == (len(positions) if sampling == "dense" else 4) <= most
    assert set(kept) == {(20, 32, 3)}


def test_latencies_are_sums_over_the_views(
    card: ModelCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(clips: Tensor) -> Tensor:
        time.sleep(0.002)
        return np.zeros((1, 4), np.float32)

    monkeypatch.setattr(whole_file, "open_source", Sources(40, 40))
    found = classify_whole("clip.mp4", FakeSession(slow), card, top_k=1, threshold=0.0, views=10)
    assert 20 <= found.latency.infer_ms < 1000
    assert 0 < found.latency.preprocess_ms < 1000


@pytest.mark.parametrize(
    "changes",
    [
        {"segment_frame": "left"},
        {"crop_offset": "down"},
        {"resize": KEPT_ASPECT.model_copy(update={"long_side": "nearest"})},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_the_card_decides(
    card: ModelCard, monkeypatch: pytest.MonkeyPatch, changes: dict[str, object]
) -> None:
    # 49x30 becomes 32x20 or 33x20 (32.7); with 19, 31x19, whose margin of 15 is halved to 8 or 7.
    def odd(uri: str) -> FakeSource:
        wide = [np.pad(f.picture, ((0, 0), (0, 1), (0, 0)), mode="wrap") for f in noisy(31)]
        return FakeSource(frame_at(i / 25, i, picture=one) for i, one in enumerate(wide))

    short = with_clip(card, resize=KEPT_ASPECT.model_copy(update={"short_side": 19}))
    base, other = (card, with_clip(card, **changes))
    if "crop_offset" in changes:
        base, other = short, with_clip(short, **changes)
    monkeypatch.setattr(whole_file, "open_source", odd)
    seen = []
    for one in (base, other):
        session = network()
        classify_whole("clip.mp4", session, one, top_k=1, threshold=0.0)
        window = WindowSpec(31 / 25, 1.0)
        list(classified(windowed(odd(""), one, window), session, one))
        whole, window_by_window = session.seen
        np.testing.assert_array_equal(whole, window_by_window)
        seen.append(whole)
    assert np.abs(seen[0] - seen[1]).max() > 0.1


def test_dense_needs_a_file(card: ModelCard, monkeypatch: pytest.MonkeyPatch) -> None:
    camera = FakeSource([], live=True)
    monkeypatch.setattr(whole_file, "open_source", lambda uri: camera)
    with pytest.raises(UsageError, match="Dense sampling needs a file"):
        classify_whole("camera0", network(), card, top_k=1, threshold=0.0, sampling="dense")
    assert camera.closed


def test_dense_clips_are_64_frames_long(card: ModelCard) -> None:
    many = with_clip(card, frames=65)
    with pytest.raises(UsageError, match="clips of 64 frames of the video, and tiny wants 65"):
        classify_whole("/nowhere.mp4", network(), many, top_k=1, threshold=0.0, sampling="dense")
