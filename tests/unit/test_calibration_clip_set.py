from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from calibration.clip_choice import Wanted
from calibration.clip_list import ClipEntry
from calibration.clip_set import ClipSet, ClipStore, clips_from_videos, random_clips
from models.bundle import Bundle
from models.errors import SourceError
from runtime.preprocess import clip_tensor, prepare
from runtime.sampling import segment_frames
from runtime.sources import open_source
from tests.tiny_models import LABELS, write_tiny_bundle
from tests.video_files import numbered_picture, write_video

FPS = 25


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_tiny_bundle(tmp_path_factory.mktemp("tiny"), clip_length_s=1.0)


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> list[ClipEntry]:
    """A video of three seconds, and three of one."""
    folder = tmp_path_factory.mktemp("videos")
    entries = []
    for number, frames in enumerate((3 * FPS, FPS, FPS, FPS)):
        pictures = [numbered_picture((7 * number + frame) % 32) for frame in range(frames)]
        path = write_video(folder / f"{number}.mp4", pictures)
        entries.append(
            ClipEntry(name=path.name, source=str(path), label=number % 2, where="list:1")
        )
    return entries


def cut(entries: list[ClipEntry], bundle: Bundle, store: ClipStore, **wanted: int) -> ClipSet:
    numbers = {"calibration": 6, "held_out": 3, "seed": 0, **wanted}
    return clips_from_videos(
        entries, bundle.card, wanted=Wanted(**numbers), store=store, on_step=lambda *_: None
    )


def test_no_video_is_in_both_parts_and_the_choice_is_repeatable(
    videos: list[ClipEntry], bundle: Bundle
) -> None:
    with ClipStore(bundle.card.clip) as store:
        one, two = cut(videos, bundle, store), cut(videos, bundle, store)
        other = cut(videos, bundle, store, seed=5)
    names = [{clip.used.name for clip in part} for part in (one.calibration, one.held_out)]
    assert not names[0] & names[1]
    assert all(names)
    everything = [
        [clip.used for clip in (*made.calibration, *made.held_out)] for made in (one, two, other)
    ]
    assert everything[0] == everything[1]
    assert everything[0] != everything[2]
    assert {clip.used.label for clip in one.calibration} <= set(LABELS[:2])
    assert all(clip.used.sha256 for clip in one.calibration)


def test_a_clip_is_what_run_would_see(videos: list[ClipEntry], bundle: Bundle) -> None:
    spec = bundle.card.clip
    with ClipStore(spec) as store:
        made = cut(videos, bundle, store)
        for clip in (*made.calibration, *made.held_out):
            entry = next(one for one in videos if one.name == clip.used.name)
            with open_source(entry.source) as source:
                inside = [
                    frame
                    for frame in source
                    if clip.used.start_s - 1e-6 <= frame.time_s < clip.used.end_s - 1e-6
                ]
            chosen = segment_frames(len(inside), spec.frames, rule=spec.segment_frame)
            expected = clip_tensor([prepare(inside[i].picture, spec) for i in chosen], spec)
            np.testing.assert_array_equal(store.tensor(clip.place), expected)


def test_a_single_video_is_divided_in_time(videos: list[ClipEntry], bundle: Bundle) -> None:
    with ClipStore(bundle.card.clip) as store:
        made = cut(videos[:1], bundle, store)
    assert max(clip.used.start_s for clip in made.calibration) < min(
        clip.used.start_s for clip in made.held_out
    )


def test_one_clip_is_too_few(videos: list[ClipEntry], bundle: Bundle) -> None:
    with (
        ClipStore(bundle.card.clip) as store,
        pytest.raises(SourceError, match=r"1 clip of 1 s could be cut out of 1 video;"),
    ):
        cut(videos[1:2], bundle, store)


def test_videos_that_cannot_be_read_are_left_out_with_a_note(
    videos: list[ClipEntry], bundle: Bundle, tmp_path: Path
) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"\0\1\2" * 100)
    broken = ClipEntry(
        name="broken.mp4", source=str(tmp_path / "broken.mp4"), label=None, where="list:9"
    )
    with ClipStore(bundle.card.clip) as store:
        made = cut([*videos, broken], bundle, store, calibration=20, held_out=20)
        assert any("broken.mp4 was left out" in note for note in made.notes)
        assert any("40 clips were asked for" in note for note in made.notes)
        with pytest.raises(SourceError, match=r"broken\.mp4 was left out"):
            cut([broken], bundle, store)


def test_the_store_gives_back_what_was_put_in(bundle: Bundle) -> None:
    spec = bundle.card.clip
    shape = (spec.frames, spec.crop, spec.crop, 3)
    clips = np.random.default_rng(0).integers(0, 256, (5, *shape), dtype=np.uint8)
    with ClipStore(spec) as store:
        places = [store.add(list(clip)) for clip in clips]
        for place, clip in reversed(list(zip(places, clips, strict=True))):
            np.testing.assert_array_equal(store.tensor(place), clip_tensor(list(clip), spec))


def test_noise_is_named_and_differs_by_seed(bundle: Bundle) -> None:
    tensors = []
    with ClipStore(bundle.card.clip) as store:
        for seed in (0, 0, 1):
            wanted = Wanted(calibration=2, held_out=1, seed=seed)
            made = random_clips(bundle.card, wanted=wanted, store=store)
            assert [clip.used.name for clip in made.held_out] == ["random 2"]
            assert "noise" in made.notes[0]
            tensors.append(store.tensor(made.calibration[0].place))
    np.testing.assert_array_equal(tensors[0], tensors[1])
    assert not (tensors[0] == tensors[2]).all()
