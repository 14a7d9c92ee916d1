from __future__ import annotations

import logging
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from models.errors import SourceError, SourceNotFound
from runtime.sources import file, open_source
from runtime.video_file import VideoFile
from tests.video_files import (
    ARCHERY,
    Encoding,
    encode_video,
    moving_pictures,
    number_of,
    numbered_picture,
    rotate_metadata,
    set_frame_ticks,
    time_scale,
    write_numbered,
    write_video,
)

Video = Callable[[Path], Path]

LEVELS = 0 if platform.machine() == "x86_64" else 2
"""Two builds of FFmpeg may round differently elsewhere."""


@pytest.mark.parametrize("suffix", [".mp4", ".avi", ".mkv"])
def test_every_frame_in_order_with_its_time(tmp_path: Path, suffix: str) -> None:
    path = write_numbered(tmp_path / f"clip{suffix}", 30, fps=10)
    with open_source(str(path)) as source:
        assert not source.live
        assert source.fps == pytest.approx(10)
        assert source.duration_s == pytest.approx(3.0, abs=0.11)
        assert source.description == f"clip{suffix} (64x48, 10 fps)"
        frames = list(source)
        assert source.counts.dropped == 0
    assert [number_of(frame.picture) for frame in frames] == list(range(30))
    assert [frame.index for frame in frames] == list(range(30))
    assert [frame.time_s for frame in frames] == pytest.approx([i / 10 for i in range(30)])
    assert all(frame.decode_ms > 0 for frame in frames)


def test_variable_frame_rate_keeps_each_frames_own_time(tmp_path: Path) -> None:
    path = write_numbered(tmp_path / "vfr.mp4", 8)
    scale = time_scale(path)
    lasting_ms = [40, 40, 500, 40, 100, 40, 40, 40]
    set_frame_ticks(path, [scale * ms // 1000 for ms in lasting_ms])
    with open_source(str(path)) as source:
        frames = list(source)
    expected = [sum(lasting_ms[:i]) / 1000 for i in range(8)]
    assert [frame.time_s for frame in frames] == pytest.approx(expected)
    assert [number_of(frame.picture) for frame in frames] == list(range(8))


def test_rotation_metadata_turns_the_picture(tmp_path: Path) -> None:
    path = write_numbered(tmp_path / "phone.mp4", 3)
    with open_source(str(path)) as source:
        upright = next(iter(source)).picture
    rotate_metadata(path)
    with open_source(str(path)) as source:
        assert "48x64" in source.description
        turned = next(iter(source)).picture
    assert upright.shape == (48, 64, 3)
    assert turned.shape == (64, 48, 3)


def test_pictures_are_rgb(tmp_path: Path) -> None:
    picture = numbered_picture(0)
    picture[:] = (220, 30, 60)
    path = write_video(tmp_path / "red.avi", [picture] * 3)
    with open_source(str(path)) as source:
        red, green, blue = next(iter(source)).picture.reshape(-1, 3).mean(axis=0)
    assert red > 190
    assert green < 70
    assert 30 < blue < 100


def test_paths_relative_home_and_with_odd_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_numbered(tmp_path / "plain.mp4", 2)
    (tmp_path / "plain.mp4").rename(tmp_path / "a:b %03d ü.mp4")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for uri in ("a:b %03d ü.mp4", "./a:b %03d ü.mp4", "~/a:b %03d ü.mp4"):
        with open_source(uri) as source:
            assert len(list(source)) == 2


def test_interlaced_video_is_a_picture(tmp_path: Path) -> None:
    pictures = [numbered_picture(i % 32) for i in range(12)]
    encoding = Encoding(options={"x264-params": "interlaced=1"})
    path = encode_video(tmp_path / "tv.ts", pictures, encoding)
    with open_source(str(path)) as source:
        assert [number_of(frame.picture) for frame in source] == list(range(12))


@pytest.mark.parametrize(
    ("codec", "name"), [("libsvtav1", "a.mp4"), ("libvpx-vp9", "a.webm"), ("libx265", "a.mkv")]
)
def test_newer_codecs(tmp_path: Path, codec: str, name: str) -> None:
    options = {"x265-params": "log-level=none"} if codec == "libx265" else {}
    pictures = [numbered_picture(i, width=128, height=96) for i in range(20)]
    path = encode_video(tmp_path / name, pictures, Encoding(codec=codec, options=options))
    with open_source(str(path)) as source:
        assert [number_of(frame.picture) for frame in source] == list(range(20))


def test_pictures_are_those_of_opencv(tmp_path: Path) -> None:
    """Models were trained and golden values taken with its reader; odd sizes show the filter."""
    for name, encoding, width in (
        ("a.mp4", Encoding(), 96),
        ("b.mkv", Encoding(codec="mpeg4"), 95),
        ("c.mkv", Encoding(pixels="yuv420p10le"), 96),
        ("d.avi", Encoding(codec="mjpeg", pixels="yuvj422p"), 96),
    ):
        path = encode_video(tmp_path / name, moving_pictures(8, width=width), encoding)
        capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
        with open_source(str(path)) as source:
            for frame in source:
                decoded, bgr = capture.read()
                assert decoded
                assert np.abs(frame.picture.astype(int) - bgr[:, :, ::-1]).max() <= LEVELS
        assert not capture.read()[0]


def test_a_change_of_size_begins_an_epoch(tmp_path: Path) -> None:
    small = write_video(tmp_path / "a.avi", [numbered_picture(i) for i in range(3)])
    large = [numbered_picture(i, width=80, height=60) for i in range(2)]
    sizes = [(64, 48)] * 3 + [(80, 60)] * 2
    with VideoFile(small) as video, VideoFile(write_video(tmp_path / "b.avi", large)) as other:
        frames = [*video.frames(), *other.frames()]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(video, "frames", lambda: iter(frames))
            with file.FileSource(video) as source:
                found = list(source)
    assert [frame.picture.shape[1::-1] for frame in found] == sizes
    assert [frame.epoch for frame in found] == [0, 0, 0, 1, 1]
    assert [frame.index for frame in found] == list(range(5))


# --- what cannot be used --------------------------------------------------------------------


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(SourceNotFound, match=r"There is no file .*nope\.mp4") as caught:
        open_source(str(tmp_path / "nope.mp4"))
    assert isinstance(caught.value, FileNotFoundError)
    assert "edgecls run --source demo" in caught.value.hint


def test_pipe_and_device(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    for path in (str(tmp_path / "pipe.mp4"), "/dev/null"):
        with pytest.raises(SourceError, match="is a pipe or device") as caught:
            open_source(path)
        assert caught.value.hint.endswith(f"edgecls run --source - < {path}")


def test_file_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(SourceError, match="cannot be read"):
        open_source(str(tmp_path / "file" / "clip.mp4"))


def test_name_that_is_no_path() -> None:
    with pytest.raises(SourceError, match="cannot be read"):
        open_source("nul\0byte.mp4")


def test_permission_denied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_numbered(tmp_path / "secret.mp4", 2)

    def refuse(self: Path, *args: Any, **options: Any) -> Any:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(SourceError, match="may not be read by this user") as caught:
        open_source(str(path))
    assert caught.value.hint == f"ls -l {path}"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_permission_denied_for_real(tmp_path: Path) -> None:
    path = write_numbered(tmp_path / "secret.mp4", 2)
    path.chmod(0)
    with pytest.raises(SourceError, match="may not be read by this user"):
        open_source(str(path))


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("empty.mp4", b"", "is empty"),
        ("notes.mp4", b"not a video\n" * 50, "is a text file"),
        ("notes.srt", "Übung macht den Meister\n".encode() * 300, "is a text file"),
        ("list.m3u8", b"#EXTM3U\nhttp://127.0.0.1/a.ts\n", "is a text file"),
        ("noise.mp4", bytes(range(256)) * 64, "is not a video that FFmpeg can read"),
        ("latin1.mp4", b"\xe9t\xe9 " * 900, "is not a video that FFmpeg can read"),
        ("model.onnx", b"\x08\x07\x12\x00" * 500, "is not a video that FFmpeg can read"),
    ],
)
def test_no_video(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(SourceError, match=words):
        open_source(str(path))


def test_raw_video_may_look_like_text(tmp_path: Path) -> None:
    path = tmp_path / "flat.y4m"
    header = b"YUV4MPEG2 W16 H16 F25:1 Ip A1:1 C420jpeg\n"
    path.write_bytes(header + (b"FRAME\n" + b"A" * 384) * 3)
    with open_source(str(path)) as source:
        assert [frame.picture.shape for frame in source] == [(16, 16, 3)] * 3


def test_container_that_states_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    video = VideoFile(write_numbered(tmp_path / "odd.mp4", 4))
    video.fps, video.stated_frames = None, 0
    monkeypatch.setattr(video, "time_s", lambda frame: None)
    with file.FileSource(video) as source:
        assert source.fps is None
        assert source.duration_s is None
        assert source.description == "odd.mp4 (64x48)"
        with caplog.at_level(logging.WARNING):
            frames = list(source)
    assert [frame.time_s for frame in frames] == pytest.approx([0.0, 0.04, 0.08, 0.12])
    assert [record.name for record in caplog.records] == ["runtime.timestamps"]


def test_text_cut_inside_a_character_is_still_text(tmp_path: Path) -> None:
    path = tmp_path / "long.srt"
    path.write_bytes(b"x" + "é".encode() * 4000)
    with pytest.raises(SourceError, match="is a text file"):
        open_source(str(path))


def test_mp4_without_its_index(tmp_path: Path) -> None:
    path = write_numbered(tmp_path / "cut.mp4", 20)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(SourceError, match="is not a video that FFmpeg can read"):
        open_source(str(path))


def test_video_that_opens_and_gives_no_frame(tmp_path: Path) -> None:
    path = write_numbered(tmp_path / "hollow.mp4", 20)
    data = bytearray(path.read_bytes())
    start = data.index(b"mdat") + 4
    end = data.index(b"moov") - 4
    data[start:end] = bytes(end - start)
    path.write_bytes(data)
    with (
        pytest.raises(SourceError, match="not one frame can be decoded") as caught,
        open_source(str(path)) as source,
    ):
        list(source)
    assert caught.value.hint


def test_video_with_a_hole_warns_with_the_count(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_numbered(tmp_path / "broken.mp4", 30)
    data = bytearray(path.read_bytes())
    start, end = data.index(b"mdat") + 4, data.index(b"moov") - 4
    middle = (start + end) // 2
    data[middle:end] = bytes(end - middle)
    path.write_bytes(data)
    with caplog.at_level(logging.WARNING), open_source(str(path)) as source:
        count = sum(1 for _ in source)
    assert 2 < count < 28
    assert f"only {count} of 30 frames can be decoded" in caplog.text


def test_whole_video_ends_without_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_numbered(tmp_path / "fine.avi", 30)
    with caplog.at_level(logging.WARNING), open_source(str(path)) as source:
        assert len(list(source)) == 30
    assert not caplog.records


# --- manners --------------------------------------------------------------------------------


def test_closing_ends_the_iteration_and_early_break_releases(tmp_path: Path) -> None:
    path = write_numbered(tmp_path / "clip.mp4", 20)
    with open_source(str(path)) as source:
        for frame in source:
            if frame.index == 4:
                break
        # Reading goes on where it was left.
        assert next(iter(source)).index == 5
    assert list(source) == []
    source.close()


def test_decoders_are_loaded_late_and_ffmpeg_keeps_quiet(tmp_path: Path) -> None:
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(bytes(range(256)) * 64)
    script = (
        "import sys, runtime.sources as s, runtime.whole_file, runtime.annotate\n"
        "from models.errors import SourceError\n"
        "heavy = {'av', 'cv2', 'PIL', 'onnxruntime', 'openvino'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "try:\n"
        "    s.open_source(sys.argv[1])\n"
        "except SourceError:\n"
        "    print('refused')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(bad)], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr, done.returncode) == ("refused\n", "", 0)


@pytest.mark.skipif(not ARCHERY.exists(), reason=f"{ARCHERY} is not on this machine")
def test_archery() -> None:
    with open_source(str(ARCHERY)) as source:
        assert source.description == "archery.avi (320x240, 25 fps)"
        assert source.duration_s == pytest.approx(5.24)
        frames = list(source)
    assert len(frames) == 131
    assert [f.time_s for f in frames] == pytest.approx([i / 25 for i in range(131)])


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="names are bytes on Linux only")
def test_a_name_that_is_not_utf_8_is_an_error_not_a_crash(tmp_path: Path) -> None:
    path = write_numbered(tmp_path / "clip.mp4", 3)
    named = path.rename(tmp_path / os.fsdecode(b"clip\xff.mp4"))
    with pytest.raises(SourceError, match="is not UTF-8"):
        open_source(str(named))
