"""Frames chosen out of a file equal those of the same file read through."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from runtime import chosen_frames as module
from runtime.chosen_frames import chosen_frames
from runtime.records import Frame
from runtime.sampling import segment_centres
from runtime.sources import chosen_frames as chosen_of
from runtime.sources import open_source
from runtime.video_file import VideoFile
from tests.video_files import (
    ARCHERY,
    Encoding,
    encode_video,
    moving_pictures,
    rotate_metadata,
    set_frame_ticks,
    write_numbered,
)

GROUPS = {"g": "12", "bf": "3"}
QUIET = "log-level=none:pools=1:frame-threads=1"
COUNT = 60

CASES: dict[str, tuple[str, Encoding]] = {
    "one group": ("a.mp4", Encoding()),
    "B-frames": ("a.mp4", Encoding(options=GROUPS)),
    "matroska": ("a.mkv", Encoding(options=GROUPS)),
    "transport stream": ("a.ts", Encoding(options=GROUPS)),
    "open groups": ("a.mkv", Encoding(options={**GROUPS, "x264-params": "open-gop=1"})),
    "intra refresh": ("a.mkv", Encoding(options={"g": "12", "x264-params": "intra-refresh=1"})),
    "variable rate": (
        "a.mp4",
        Encoding(options=GROUPS, times_ms=[40 * i + i % 5 * 7 for i in range(COUNT)]),
    ),
    "MPEG-4": ("a.mp4", Encoding(codec="mpeg4", options=GROUPS)),
    "MPEG-4 in AVI": ("a.avi", Encoding(codec="mpeg4", options={"g": "12"})),
    "MPEG-2": ("a.ts", Encoding(codec="mpeg2video", options=GROUPS)),
    "MPEG-1": ("a.mpg", Encoding(codec="mpeg1video", options=GROUPS)),
    "Motion JPEG": ("a.avi", Encoding(codec="mjpeg", pixels="yuvj420p")),
    "HEVC": (
        "a.mp4",
        Encoding(codec="libx265", options={"x265-params": f"{QUIET}:keyint=12:open-gop=1"}),
    ),
    "VP9": ("a.webm", Encoding(codec="libvpx-vp9", options={"g": "12"})),
}
"""File name and encoding of what is not decoded as a whole."""

READ_THROUGH: dict[str, tuple[str, Encoding]] = {
    "no times": ("a.avi", Encoding(options=GROUPS)),
    "B-frames without times": ("a.avi", Encoding(codec="mpeg4", options=GROUPS)),
    "interlaced": ("a.ts", Encoding(options={"x264-params": "interlaced=1"})),
    "another codec": ("a.mkv", Encoding(codec="ffv1")),
    "hidden frames": ("a.webm", Encoding(codec="libvpx", options={"auto-alt-ref": "1"})),
}


def read_through(path: Path) -> list[Frame]:
    with open_source(str(path)) as source:
        return list(source)


def chosen(path: Path, positions: set[int]) -> tuple[int, dict[int, Frame]] | None:
    """Number of frames, and those at some positions; None where they had to be read through."""
    found = chosen_frames(path, lambda total: frozenset(positions & set(range(total))))
    if found is None:
        return None
    with found:
        frames = {frame.index: frame for frame in found.frames()}
        return (found.total, frames) if found.complete else None


def assert_same(path: Path, positions: set[int]) -> None:
    every = read_through(path)
    result = chosen(path, positions)
    assert result is not None
    total, found = result
    assert total == len(every)
    assert list(found) == sorted(positions)
    for position, frame in found.items():
        np.testing.assert_array_equal(frame.picture, every[position].picture)
        assert frame.time_s == pytest.approx(every[position].time_s)


@pytest.mark.parametrize("case", CASES)
def test_same_frames_as_reading_it_through(tmp_path: Path, case: str) -> None:
    name, encoding = CASES[case]
    path = encode_video(tmp_path / name, moving_pictures(COUNT), encoding)
    rng = random.Random(case)
    for positions in (
        set(segment_centres(COUNT, 8)),
        {0},
        {COUNT - 1},
        set(rng.sample(range(COUNT), 5)),
        set(range(COUNT)),
    ):
        assert_same(path, positions)


@pytest.mark.parametrize("case", READ_THROUGH)
def test_what_has_to_be_read_through(tmp_path: Path, case: str) -> None:
    name, encoding = READ_THROUGH[case]
    path = encode_video(tmp_path / name, moving_pictures(30), encoding)
    assert chosen(path, set(segment_centres(30, 8))) is None
    assert len(read_through(path)) == 30


def test_rotation_and_odd_times(tmp_path: Path) -> None:
    path = write_numbered(tmp_path / "phone.mp4", 20)
    rotate_metadata(path)
    assert_same(path, {3, 11})
    set_frame_ticks(path, [400 + 90 * (i % 4) for i in range(20)])
    assert_same(path, {0, 5, 19})


def decoded_packets(path: Path, positions: set[int], monkeypatch: pytest.MonkeyPatch) -> int:
    """Packets that were handed to the decoder."""
    handed = 0
    decode = VideoFile.decode

    def counted(self: VideoFile, packet: object) -> object:
        nonlocal handed
        handed += packet is not None
        return decode(self, packet)

    with monkeypatch.context() as patch:
        patch.setattr(VideoFile, "decode", counted)
        assert chosen(path, positions) is not None
    return handed


def test_no_more_is_decoded_than_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoding = Encoding(options={"g": "12", "bf": "0", "sc_threshold": "0"})
    path = encode_video(tmp_path / "a.mp4", moving_pictures(COUNT), encoding)
    assert decoded_packets(path, {2, 50}, monkeypatch) == 3 + 3
    pictures = encode_video(
        tmp_path / "a.avi", moving_pictures(COUNT), Encoding(codec="mjpeg", pixels="yuvj420p")
    )
    assert decoded_packets(pictures, {2, 30, 50}, monkeypatch) == 3


def test_large_files_are_read_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = encode_video(tmp_path / "a.mp4", moving_pictures(COUNT), Encoding(options=GROUPS))
    monkeypatch.setattr(module, "KEPT_BYTES", 1000)
    assert_same(path, set(segment_centres(COUNT, 8)))


@pytest.mark.parametrize("part", ["zeros", "cut", "flipped"])
def test_damage_is_left_to_reading_it_through(tmp_path: Path, part: str) -> None:
    path = encode_video(tmp_path / "a.mkv", moving_pictures(COUNT), Encoding())
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    if part == "zeros":
        data[middle : middle + len(data) // 8] = bytes(len(data) // 8)
    elif part == "cut":
        del data[middle:]
    else:
        for place in range(middle, len(data) - 600, 97):
            data[place] ^= 0x55
    path.write_bytes(data)
    assert chosen(path, set(segment_centres(COUNT, 8))) is None
    assert 0 < len(read_through(path)) <= COUNT


def test_what_cannot_be_opened_is_left_to_open_source(tmp_path: Path) -> None:
    text = tmp_path / "a.m3u8"
    text.write_text("#EXTM3U\nhttp://127.0.0.1/a.ts\n")
    for uri in (str(tmp_path / "nope.mp4"), str(tmp_path), str(text), "demo", "rtsp://x/y", "0"):
        assert chosen_of(uri, lambda total: frozenset()) is None


@pytest.mark.skipif(not ARCHERY.exists(), reason=f"{ARCHERY} is not on this machine")
def test_archery() -> None:
    assert_same(ARCHERY, set(segment_centres(131, 8)))
