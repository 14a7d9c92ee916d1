from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from models.errors import SourceError
from runtime.video_file import VideoFile, shown_size
from tests.video_files import Encoding, encode_video, moving_pictures, write_numbered


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_numbered(tmp_path / "clip.mp4", 12)


def test_what_is_stated(path: Path) -> None:
    with VideoFile(path) as video:
        assert (video.codec, video.size, video.fps) == ("mpeg4", (64, 48), 25.0)
        assert video.stated_frames == 12
        assert video.presented
        frames = list(video.frames())
        assert [shown_size(frame) for frame in frames] == [(64, 48)] * 12
        assert [video.time_s(frame) for frame in frames] == pytest.approx(
            [i / 25 for i in range(12)]
        )
        assert not video.damaged


def test_sound_without_pictures(tmp_path: Path) -> None:
    import av

    path = tmp_path / "sound.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        silence = np.zeros((1, 8000), np.float32)
        frame = av.AudioFrame.from_ndarray(silence, format="fltp", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with pytest.raises(SourceError, match=r"sound\.mkv holds no video"):
        VideoFile(path)


def test_times_count_from_the_stated_start(tmp_path: Path) -> None:
    # A transport stream begins at 1.4 s or so.
    path = encode_video(tmp_path / "a.ts", moving_pictures(5), Encoding())
    with VideoFile(path) as video:
        times_s = [video.time_s(frame) for frame in video.frames()]
    assert times_s == pytest.approx([i / 25 for i in range(5)])


def test_a_stream_that_begins_later_does_not_end_the_video(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with VideoFile(path) as video:
        packets = list(video.packets())
        parts: list[list[Any]] = [packets[:5], packets[5:]]

        def demux(stream: object) -> Iterator[Any]:
            yield from parts.pop(0)
            if parts:
                # What PyAV raises on a packet of a stream that it has not seen before.
                raise IndexError("list index out of range")

        monkeypatch.setattr(video, "_container", SimpleNamespace(demux=demux, close=lambda: None))
        assert [packet.pts for packet in video.packets()] == [packet.pts for packet in packets]
        assert not video.damaged


def test_a_picture_that_cannot_be_converted(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **options: object) -> None:
        raise ValueError("Invalid argument")

    with VideoFile(path) as video:
        frame = next(video.frames())
        monkeypatch.setattr(video, "_rgb", SimpleNamespace(picture=refuse))
        with pytest.raises(SourceError, match="64x48 in yuv420p cannot be converted to RGB"):
            video.picture(frame)


def test_closing_twice_is_fine(path: Path) -> None:
    video = VideoFile(path)
    video.close()
    video.close()
