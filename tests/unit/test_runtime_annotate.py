from __future__ import annotations

import contextlib
import os
import resource
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest

from models.errors import OutputError
from runtime.annotate import AnnotatedVideo, annotated
from runtime.records import Frame, Picture, ScoredLabel
from runtime.sources import open_source
from runtime.video_coding import CODECS
from runtime.video_writer import CONTAINERS
from tests.fakes import frame_at

TOP = (
    ScoredLabel(label="archery", probability=0.83),
    ScoredLabel(label="throwing axe", probability=0.11),
)


def grey(value: int, *, width: int = 320, height: int = 240) -> Picture:
    return np.full((height, width, 3), value, dtype=np.uint8)


def ramp(count: int, *, fps: float = 25.0, width: int = 320, height: int = 240) -> Iterator[Frame]:
    for i in range(count):
        yield frame_at(i / fps, i, picture=grey(5 * i, width=width, height=height))


def left_behind(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# --- drawing --------------------------------------------------------------------------------


@pytest.mark.parametrize("background", [0, 128, 255])
@pytest.mark.parametrize(("width", "height"), [(320, 240), (1280, 720), (240, 426), (96, 96)])
def test_text_stands_out_from_any_background(background: int, width: int, height: int) -> None:
    before = grey(background, width=width, height=height)
    after = annotated(before, TOP)
    assert (before == background).all()
    line = max(14, height // 14)
    band = after[height - 2 * line - 2 * max(3, line // 4) :]
    text = (band.min(axis=2) > 200).mean()
    # White letters are there, on a band where nothing else comes near white.
    assert 0.002 < text < 0.4
    assert np.median(band.max(axis=2)) < 150
    # Above the band the picture is untouched.
    np.testing.assert_array_equal(after[: height // 3], before[: height // 3])


def test_bar_length_is_the_probability() -> None:
    # On the right of the name, so that no letter is counted.
    for probability, filled in ((0.0, False), (0.3, False), (0.9, True), (1.0, True)):
        top = (ScoredLabel(label="x", probability=probability),)
        row = annotated(grey(0), top)[-12, 200:240]
        assert bool((row[:, 2] > 60).all()) is filled


def test_text_grows_with_the_picture() -> None:
    def text_height(height: int) -> int:
        picture = grey(0, width=height * 4 // 3, height=height)
        white = annotated(picture, TOP[:1]).min(axis=2) > 200
        return int(white.any(axis=1).sum())

    assert text_height(1080) > 3 * text_height(240)


def test_long_names_are_cut_before_the_percentage() -> None:
    long = (ScoredLabel(label="very long name " * 20, probability=0.5),)
    short = (ScoredLabel(label="short", probability=0.5),)
    # The percentage at the right edge is the same whether the name was cut or not.
    np.testing.assert_array_equal(
        annotated(grey(0), long)[:, 288:], annotated(grey(0), short)[:, 288:]
    )


def test_nothing_is_drawn_without_a_class_or_without_room() -> None:
    np.testing.assert_array_equal(annotated(grey(9), ()), grey(9))
    tiny = grey(9, width=16, height=16)
    np.testing.assert_array_equal(annotated(tiny, TOP), tiny)


def test_more_classes_than_fit() -> None:
    top = tuple(ScoredLabel(label=str(i), probability=0.01) for i in range(100))
    assert annotated(grey(200, width=64, height=48), top).shape == (48, 64, 3)


@pytest.mark.parametrize("label", ["", "射箭", "ü" * 300, "tab\there", "%s {0}"])
def test_odd_names(label: str) -> None:
    top = (ScoredLabel(label=label, probability=0.5),)
    assert annotated(grey(0), top).shape == (240, 320, 3)


# --- writing --------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [*CONTAINERS, ".MP4"])
def test_file_plays_back_frame_by_frame(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out{suffix}"
    with AnnotatedVideo(path, 25.0) as video:
        for frame in ramp(40):
            video.write(frame, TOP)
            assert not path.exists()
    assert left_behind(tmp_path) == [path.name]
    with open_source(str(path)) as source:
        assert source.fps == pytest.approx(25)
        frames = list(source)
    assert len(frames) == 40
    # Above the bar, the grey ramp: order and content survived.
    levels = [float(frame.picture[:100].mean()) for frame in frames]
    assert levels == pytest.approx([5 * i for i in range(40)], abs=8)
    assert frames[0].picture[-40:].max() > 180


def test_odd_picture_sizes_and_a_size_that_changes(tmp_path: Path) -> None:
    path = tmp_path / "odd.mp4"
    with AnnotatedVideo(path, 25.0) as video:
        for i, (width, height) in enumerate([(321, 241), (321, 241), (640, 480), (100, 50)]):
            video.write(frame_at(i / 25, i, picture=grey(90, width=width, height=height)), TOP)
    with open_source(str(path)) as source:
        assert [frame.picture.shape for frame in source] == [(240, 320, 3)] * 4


def test_file_keeps_pace_with_the_frames_times(tmp_path: Path) -> None:
    path = tmp_path / "pace.avi"
    # Half a second missing after the second frame, then frames at twice the rate.
    times_s = [0.0, 0.1, 0.6, 0.65, 0.7, 0.75, 0.8]
    with AnnotatedVideo(path, 10.0) as video:
        for i, time_s in enumerate(times_s):
            video.write(frame_at(time_s, i, picture=grey(30 * i)), ())
    with open_source(str(path)) as source:
        levels = [round(float(frame.picture.mean()) / 30) for frame in source]
    assert levels[:7] == [0, 1, 1, 1, 1, 1, 2]
    # Of the five frames of the last 0.2 s, three fit.
    assert len(levels) == 9
    assert levels[7:] in ([4, 5], [3, 5], [4, 6])


def test_an_endless_gap_is_filled_for_ten_seconds_only(tmp_path: Path) -> None:
    path = tmp_path / "gap.avi"
    with AnnotatedVideo(path, 5.0) as video:
        for i, time_s in enumerate([0.0, 1e6, 1e6 + 0.2]):
            video.write(frame_at(time_s, i, picture=grey(30 * i, width=64, height=48)), ())
    with open_source(str(path)) as source:
        assert sum(1 for _ in source) == 1 + 50 + 1


def test_existing_file_is_replaced_only_on_success(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    path.write_bytes(b"old")
    video = AnnotatedVideo(path, 25.0)
    with pytest.raises(ZeroDivisionError), video:
        fail_after(video, ZeroDivisionError())
    assert path.read_bytes() == b"old"
    assert left_behind(tmp_path) == ["out.mp4"]
    with AnnotatedVideo(path, 25.0) as again:
        again.write(next(ramp(1)), TOP)
    assert path.stat().st_size > 3


def write_all(video: AnnotatedVideo, frames: Iterable[Frame]) -> None:
    for frame in frames:
        video.write(frame, TOP)


def fail_after(video: AnnotatedVideo, error: BaseException) -> None:
    write_all(video, ramp(10))
    raise error


def test_ctrl_c_keeps_what_was_recorded(tmp_path: Path) -> None:
    path = tmp_path / "live.mp4"
    video = AnnotatedVideo(path, 25.0)
    with pytest.raises(KeyboardInterrupt), video:
        fail_after(video, KeyboardInterrupt())
    with open_source(str(path)) as source:
        assert sum(1 for _ in source) == 10


def test_ctrl_c_before_the_first_frame_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), AnnotatedVideo(tmp_path / "live.mp4", 25.0):
        raise KeyboardInterrupt
    assert left_behind(tmp_path) == []


# --- what cannot be written -----------------------------------------------------------------


@pytest.mark.parametrize("name", ["out.webm", "out", "out.gif", ".mp4x"])
def test_unknown_extension(tmp_path: Path, name: str) -> None:
    with pytest.raises(OutputError, match=r"not one of \.mp4, \.mkv, \.avi") as caught:
        AnnotatedVideo(tmp_path / name, 25.0)
    assert caught.value.hint.startswith("--save ")
    assert isinstance(caught.value, OSError)


def test_folder_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="No such file") as caught:
        AnnotatedVideo(tmp_path / "none" / "out.mp4", 25.0)
    assert caught.value.hint == f"mkdir -p {tmp_path / 'none'}"


def test_target_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "out.mp4").mkdir()
    with pytest.raises(OutputError, match="is a folder"):
        AnnotatedVideo(tmp_path / "out.mp4", 25.0)


def test_folder_that_may_not_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, *args: Any, **options: Any) -> Any:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(OutputError, match="Permission denied") as caught:
        AnnotatedVideo(tmp_path / "out.mp4", 25.0)
    assert caught.value.hint == f"ls -ld {tmp_path}"


@pytest.mark.parametrize("fps", [0.0, -1.0, float("nan"), 1e6])
def test_impossible_rate(tmp_path: Path, fps: float) -> None:
    with pytest.raises(OutputError, match="frame rate"):
        AnnotatedVideo(tmp_path / "out.mp4", fps)


def test_no_frame_at_all(tmp_path: Path) -> None:
    with (
        pytest.raises(OutputError, match="there was no frame"),
        AnnotatedVideo(tmp_path / "out.mp4", 25.0),
    ):
        assert left_behind(tmp_path) == []
    assert left_behind(tmp_path) == []


def test_encoder_that_does_not_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.video_writer.usable_codec", lambda: ("h264_no_such", {}))
    video = AnnotatedVideo(tmp_path / "out.mp4", 25.0)
    with pytest.raises(OutputError, match=r"encoder does not start for 64x48"), video:
        video.write(frame_at(0.0, picture=grey(0, width=64, height=48)), TOP)
    assert left_behind(tmp_path) == []


@pytest.mark.parametrize("suffix", CONTAINERS)
def test_tiny_pictures(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out{suffix}"
    with AnnotatedVideo(path, 25.0) as video:
        for index in range(3):
            video.write(frame_at(index / 25, index, picture=grey(0, width=1, height=1)), TOP)
    with open_source(str(path)) as source:
        assert [frame.picture.shape for frame in source] == [(2, 2, 3)] * 3


@pytest.mark.parametrize("fps", [0.5, 7.0, 29.97, 240.0])
def test_rates(tmp_path: Path, fps: float) -> None:
    path = tmp_path / "out.mp4"
    with AnnotatedVideo(path, fps) as video:
        write_all(video, ramp(30, fps=fps))
    with open_source(str(path)) as source:
        times_s = [frame.time_s for frame in source]
    assert times_s == pytest.approx([index / fps for index in range(30)], abs=0.002)


def test_without_x264(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.video_coding.CODECS", CODECS[1:])
    with AnnotatedVideo(tmp_path / "out.mp4", 25.0) as video:
        write_all(video, ramp(30))
    with open_source(str(tmp_path / "out.mp4")) as source:
        assert sum(1 for _ in source) == 30


@pytest.mark.parametrize("suffix", CONTAINERS)
def test_kill_9_leaves_a_video_that_plays(tmp_path: Path, suffix: str) -> None:
    program = f"""
import pathlib, sys
from runtime.annotate import AnnotatedVideo
from tests.unit.test_runtime_annotate import TOP, grey
from tests.fakes import frame_at
with AnnotatedVideo(pathlib.Path({str(tmp_path)!r}) / "out{suffix}", 25.0) as video:
    for index in range(10**9):
        video.write(frame_at(index / 25, index, picture=grey(index % 256)), TOP)
        if index == 200:
            print(flush=True)
"""
    child = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
    )
    assert child.stdout is not None
    child.stdout.readline()
    child.kill()
    child.wait()
    child.stdout.close()
    (name,) = left_behind(tmp_path)
    assert name == f"out.{child.pid}.part{suffix}"
    count = 0
    with av.open(str(tmp_path / name)) as film, contextlib.suppress(av.FFmpegError):
        for _ in film.decode(video=0):
            count += 1
    assert count >= 150


def test_disk_that_is_nearly_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=5_000_000))
    video = AnnotatedVideo(tmp_path / "out.mp4", 25.0)
    with pytest.raises(OutputError, match=r"only 5\.0 MB are left"), video:
        video.write(next(ramp(1)), TOP)
    assert left_behind(tmp_path) == []


@pytest.fixture
def small_files_only() -> Iterator[None]:
    """Writing beyond 40 kB of a file fails, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("suffix", list(CONTAINERS))
@pytest.mark.usefixtures("small_files_only")
def test_disk_that_fills_up_while_writing(tmp_path: Path, suffix: str) -> None:
    rng = np.random.default_rng(0)
    path = tmp_path / f"out{suffix}"
    video = AnnotatedVideo(path, 25.0)
    noise = rng.integers(0, 256, (20, 120, 160, 3), dtype=np.uint8)
    frames = [frame_at(i / 25, i, picture=picture) for i, picture in enumerate(noise)]
    with pytest.raises(OutputError, match="could not be written completely"), video:
        write_all(video, frames)
    assert left_behind(tmp_path) == []


@pytest.mark.parametrize("suffix", list(CONTAINERS))
@pytest.mark.usefixtures("small_files_only")
def test_a_full_disk_ends_the_film_of_a_live_source(tmp_path: Path, suffix: str) -> None:
    rng = np.random.default_rng(0)
    path = tmp_path / f"out{suffix}"
    video = AnnotatedVideo(path, 25.0, live=True)
    noise = rng.integers(0, 256, (20, 120, 160, 3), dtype=np.uint8)
    with video:
        write_all(video, [frame_at(i / 25, i, picture=one) for i, one in enumerate(noise)])
    assert f"out{suffix} ends after 0." in video.ended
    assert video.ended.endswith("File too large")
    assert left_behind(tmp_path) == [path.name]
    with av.open(str(path)) as film, contextlib.suppress(av.FFmpegError):
        assert next(film.decode(video=0)).width == 160


def test_target_that_became_a_folder(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    video = AnnotatedVideo(path, 25.0)
    video.write(next(ramp(1)), TOP)
    path.mkdir()
    with pytest.raises(OutputError, match="cannot be written"), video:
        video.write(next(ramp(1)), TOP)
    assert left_behind(tmp_path) == ["out.mp4"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="names are bytes on Linux only")
def test_a_name_that_is_not_utf_8(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"out\xff.mp4")
    with AnnotatedVideo(path, 25.0) as video:
        write_all(video, ramp(5))
    path.rename(tmp_path / "out.mp4")
    with open_source(str(tmp_path / "out.mp4")) as source:
        assert sum(1 for _ in source) == 5
