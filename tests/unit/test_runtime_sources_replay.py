"""A recording of a faulty stream gives the windows and results of the live run, bit for bit."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.card import ModelCard
from models.errors import SourceError
from runtime.feed import FrameWatch, Stream
from runtime.grid import GapPolicy, grid_spec
from runtime.recording.entries import Asked, Ended, Happened
from runtime.recording.recorded import RecordedSource
from runtime.recording.recorder import Recorder
from runtime.recording.recording import Recording
from runtime.recording.recording_file import RecordingFile
from runtime.records import Frame, Prediction, SourceCounts, SourceEvent
from runtime.sampling import WindowSpec
from runtime.session import Tensor
from runtime.sources import FrameSource, Wanted, open_source, repeats_live
from runtime.sources.replay import ReplaySource
from tests.fakes import FakeSession, FakeSource
from tests.recordings import FaultyCamera, befell, opening, shown
from tests.streams import classified, sliding, windowed
from tests.tiny_models import write_tiny_bundle

Cut = Callable[[FrameSource], Stream]


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> ModelCard:
    return write_tiny_bundle(tmp_path_factory.mktemp("bundle")).card


def sums(clips: Tensor) -> Tensor:
    """Logits that depend on every frame of a clip."""
    weights = np.linspace(0.1, 1.0, clips.shape[1], dtype=np.float32)
    means = clips.mean(axis=(2, 3, 4)) @ weights
    return np.stack([means, means * 2, -means, means * means], axis=1).astype(np.float32)


class Told:
    """All that a run tells, in order."""

    def __init__(self, source: FrameSource, cut: Cut, card: ModelCard, *, most: int = 10_000):
        self.items: list[object] = []
        self.source = source
        stream = cut(source)
        watch = FrameWatch(
            on_frame=lambda frame, number: None,
            on_event=lambda event, number: self.items.append(event),
        )
        predictions = classified(stream, FakeSession(sums), card, watch=watch)
        try:
            for prediction in itertools.islice(predictions, most):
                self.items.append(_lasting(prediction))
        finally:
            predictions.close()
        self.account = stream.account
        self.counts = source.counts

    @property
    def windows(self) -> int:
        """Number of windows."""
        return sum(isinstance(one, tuple) for one in self.items)


def _lasting(prediction: Prediction) -> tuple[object, ...]:
    """A prediction without what depends on how long it took."""
    assert prediction.probabilities is not None
    latency = replace(prediction.latency, decode_ms=0, preprocess_ms=0, infer_ms=0)
    same = replace(prediction, latency=latency, frame_age_ms=None, probabilities=None)
    return repr(same), prediction.probabilities.tobytes()


def every(card: ModelCard, gap: GapPolicy) -> dict[str, Cut]:
    """Ways to cut a stream."""
    spec = replace(grid_spec(card.clip.frames, length_s=1.0), gap_after_s=0.8, gap=gap)
    return {
        "sliding": lambda source: sliding(source, card, spec),
        "windowed": lambda source: windowed(source, card, WindowSpec(1.0, 0.3)),
    }


def recorded(path: Path, source: FrameSource) -> RecordedSource:
    """A source that is recorded."""
    return RecordedSource(source, Recorder(path, opening()))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("gap", ["reset", "hold"])
@pytest.mark.parametrize("how", ["sliding", "windowed"])
def test_the_same_again(
    how: str, gap: GapPolicy, seed: int, card: ModelCard, tmp_path: Path
) -> None:
    cut = every(card, gap)[how]
    with recorded(tmp_path / "a.mkv", FaultyCamera(seed=seed)) as source:
        live = Told(source, cut, card)
    with open_source(f"replay:{tmp_path / 'a.mkv'}") as source:
        again = Told(source, cut, card)
    assert again.items == live.items
    assert live.windows > 8
    assert sum(isinstance(one, SourceEvent) for one in live.items) >= 4
    assert again.account == live.account
    assert again.counts == live.counts
    assert live.counts.dropped > 3


@pytest.mark.parametrize("most", [1, 4, 9])
def test_a_run_that_was_stopped(most: int, card: ModelCard, tmp_path: Path) -> None:
    cut = every(card, "reset")["sliding"]
    with recorded(tmp_path / "a.mkv", FaultyCamera()) as source:
        live = Told(source, cut, card, most=most)
    with open_source(f"replay:{tmp_path / 'a.mkv'}") as source:
        again = Told(source, cut, card)
        assert isinstance(source, ReplaySource)
        assert source.unfinished
    assert live.windows == most
    assert again.items == live.items


def test_a_recording_of_less_than_a_window_that_was_stopped(
    card: ModelCard, tmp_path: Path
) -> None:
    with recorded(tmp_path / "a.mkv", FaultyCamera(seconds=0.6)) as source:
        frames = source.frames()
        list(itertools.islice(frames, 9))
    with open_source(f"replay:{tmp_path / 'a.mkv'}") as source:
        assert Told(source, every(card, "reset")["windowed"], card).items == []


def test_a_recording_of_all_pictures_gives_what_the_source_itself_gives(
    card: ModelCard, tmp_path: Path
) -> None:
    cut = every(card, "reset")["sliding"]
    clean = [shown(index, index / 30) for index in range(90)]
    with recorded(tmp_path / "a.mkv", FakeSource(clean, live=True)) as camera:
        assert len(list(camera)) == 90
    live = Told(FakeSource(clean, live=True), cut, card)
    with open_source(f"replay:{tmp_path / 'a.mkv'}") as source:
        again = Told(source, cut, card)
    assert again.items == live.items
    assert again.counts == live.counts
    with open_source(f"replay:{tmp_path / 'a.mkv'}") as source:
        assert list(source.frames(lambda time_s: False)) == []
        assert source.counts == SourceCounts(received=90, skipped=90)


def test_what_somebody_else_wanted_is_given_again(card: ModelCard, tmp_path: Path) -> None:
    """A grid takes the next frame that comes when its own was lost, whoever wanted that one."""
    times_s = [index / 10 for index in range(40)]

    class Losing(FakeSource):
        def frames(self, wanted: Wanted | None = None) -> Iterator[Frame | SourceEvent]:
            for index, time_s in enumerate(times_s):
                needed = wanted is None or wanted(time_s)
                if index % 3 == 0 or (needed and index % 2):
                    yield shown(index, time_s)

    cut = every(card, "reset")["sliding"]
    spec = grid_spec(card.clip.frames, length_s=1.0)
    sampler = sliding(FakeSource([]), card, spec).sampler
    with recorded(tmp_path / "a.mkv", Losing([], live=True)) as camera:
        asked = itertools.count()
        stream = Stream(source=camera, sampler=sampler)
        watch = FrameWatch(
            on_frame=lambda frame, number: None, wants=lambda number: next(asked) % 3 == 0
        )
        live = [_lasting(one) for one in classified(stream, FakeSession(sums), card, watch=watch)]
    with open_source(f"replay:{tmp_path / 'a.mkv'}") as source:
        again = Told(source, cut, card)
    assert again.items == live
    assert len(live) > 5


def test_a_source_that_failed_fails_again(tmp_path: Path) -> None:
    class Failing(FakeSource):
        def frames(self, wanted: Wanted | None = None) -> Iterator[Frame | SourceEvent]:
            yield from super().frames(wanted)
            raise SourceError("the cable is out")

    with (
        recorded(tmp_path / "a.mkv", Failing([shown(0, 0.0)])) as camera,
        pytest.raises(SourceError),
    ):
        list(camera)
    with (
        open_source(f"replay:{tmp_path / 'a.mkv'}") as source,
        pytest.raises(SourceError, match="the cable is out"),
    ):
        list(source)


def test_other_windows_than_the_recorded_run_had_are_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with recorded(tmp_path / "a.mkv", FaultyCamera(seconds=1.0)) as source:
        list(source.frames(lambda time_s: False))
    caplog.set_level(logging.WARNING)
    with open_source(f"replay:{tmp_path / 'a.mkv'}") as source:
        assert list(source) == []
    assert "30 pictures that are wanted here were not recorded" in caplog.text


def test_a_recording_that_was_cut_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    recorder = Recorder(tmp_path / "a.mkv", opening(), limit_bytes=30_000)
    with RecordedSource(FaultyCamera(seconds=3.0), recorder) as source:
        list(source)
    with open_source(f"replay:{tmp_path / 'a.mkv'}") as source:
        assert len(list(source)) > 1
        assert isinstance(source, ReplaySource)
        assert source.unfinished
    assert "ends before its run did: it has reached 30.0 kB" in caplog.text


def test_a_recording_without_an_end_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    file = RecordingFile(tmp_path / "a.mkv", opening())
    for index in range(8):
        file.note(Asked(time_s=index / 2, answer="yes"))
        file.add(shown(index, index / 2), SourceCounts(received=index + 1))
    with open_source(f"replay:{tmp_path / 'a.mkv'}") as source:
        assert len(list(source)) > 4
        assert isinstance(source, ReplaySource)
        assert source.unfinished
    assert "never completed" in caplog.text


def test_damage_ends_the_replay_and_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    file = RecordingFile(tmp_path / "a.mkv", opening())
    file.note(Happened.of(befell("lost", 1.0, delivers=False, breaks=True)))
    file.note(Ended(how="ended"))
    file.close()
    content = (tmp_path / "a.mkv").read_bytes()
    (tmp_path / "a.mkv").write_bytes(content.replace(b'"entry":"event"', b'"entry":"other"'))
    with pytest.raises(SourceError, match="no recording"):
        open_source(f"replay:{tmp_path / 'a.mkv'}")


def test_it_waits_for_its_reader_and_repeats_a_live_source(tmp_path: Path) -> None:
    with recorded(tmp_path / "a.mkv", FaultyCamera(seconds=1.0)) as camera:
        list(camera)
    with Recording(tmp_path / "a.mkv") as recording:
        source = ReplaySource(recording)
        assert not source.live
        assert repeats_live(source)
        assert source.description == "a fake camera, recorded"
        frames = source.frames()
        next(frames)
        source.interrupt()
        assert list(frames) == []
