"""Films of live sources, which never end a run; and pictures that are old."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from runtime.annotate import AnnotatedVideo, interrupted
from runtime.sources import open_source
from tests.fakes import frame_at
from tests.unit.test_runtime_annotate import grey, left_behind, ramp, write_all

pytest.importorskip("av", reason="needs PyAV")


def test_a_picture_that_is_old_is_dim_and_says_why() -> None:
    before = grey(180, width=320, height=240)
    after = interrupted(before, "no picture for 5 s")
    assert (before == 180).all()
    assert (after[60:] == 60).all()
    assert after[:40].max() > 200
    assert not (interrupted(before, "x" * 500)[:, -3:] > 60).any()
    assert interrupted(np.zeros((8, 8, 3), np.uint8), "too small for words").shape == (8, 8, 3)


def test_a_live_film_ends_whole_before_the_disk_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = [10**9]
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=free[0]))
    with AnnotatedVideo(tmp_path / "out.mp4", 25.0, live=True) as video:
        frames = [frame_at(at / 25, at, picture=grey(at)) for at in range(200)]
        write_all(video, frames[:100])
        assert video.ended == ""
        free[0] = 5_000_000
        write_all(video, frames[100:])
        assert left_behind(tmp_path) == ["out.mp4"]  # already
    assert video.ended == f"{tmp_path}/out.mp4 ends after 5.1 s: only 5.0 MB are left on that disk"
    with open_source(str(tmp_path / "out.mp4")) as source:
        assert sum(1 for _ in source) == 128


def test_a_live_source_without_a_frame_is_no_error(tmp_path: Path) -> None:
    with AnnotatedVideo(tmp_path / "out.mp4", 25.0, live=True) as video:
        pass
    assert "no frame" in video.ended
    assert left_behind(tmp_path) == []


def test_a_live_film_whose_place_is_taken_stays_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "out.mp4"
    with AnnotatedVideo(path, 25.0, live=True) as video:
        write_all(video, ramp(10))
        path.mkdir()
        monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=1))
        write_all(video, list(ramp(50))[10:])
    (folder, film) = sorted(left_behind(tmp_path), key=len)
    assert folder == "out.mp4"
    assert film.endswith(".part.mp4")
    assert ".part.mp4: " in video.ended
