"""Videos and raw pictures from stdin."""

from __future__ import annotations

import io
import logging
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from models.errors import SourceError
from runtime.records import Frame, SourceEvent
from runtime.sources import SourceOptions, open_source
from runtime.sources.pipe_bytes import PipeBytes
from runtime.sources.raw_video import RawVideo
from tests.pauses import Pauses
from tests.video_files import Encoding, encode_video, number_of, numbered_picture

RAW = RawVideo.read("64x48@10")


class Piped:
    """Stdin as a pipe, and the end that writes into it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        reads, self._writes = os.pipe()
        self._stdin = os.fdopen(reads, "r")
        self._open = True
        monkeypatch.setattr(sys, "stdin", self._stdin)

    def write(self, data: bytes) -> None:
        """Write, in a thread of its own as long as nobody reads."""
        threading.Thread(target=self._write, args=(data,), daemon=True).start()

    def _write(self, data: bytes) -> None:
        while data:
            data = data[os.write(self._writes, data) :]

    def all(self, data: bytes) -> None:
        """Write it, and end."""

        def write() -> None:
            self._write(data)
            self.end()

        threading.Thread(target=write, daemon=True).start()

    def end(self) -> None:
        if self._open:
            self._open = False
            os.close(self._writes)

    def close(self) -> None:
        self.end()
        self._stdin.close()


@pytest.fixture
def piped(monkeypatch: pytest.MonkeyPatch) -> Iterator[Piped]:
    pipe = Piped(monkeypatch)
    yield pipe
    pipe.close()


def raw_bytes(*numbers: int) -> bytes:
    return b"".join(numbered_picture(number).tobytes() for number in numbers)


@pytest.mark.parametrize("suffix", [".mkv", ".ts", ".avi", ".y4m"])
def test_a_container_gives_what_its_file_gives(tmp_path: Path, piped: Piped, suffix: str) -> None:
    pictures = [numbered_picture(i) for i in range(20)]
    codec = {".avi": "mjpeg", ".y4m": "rawvideo"}.get(suffix, "libx264")
    pixels = "yuvj420p" if suffix == ".avi" else "yuv420p"
    path = encode_video(tmp_path / f"a{suffix}", pictures, Encoding(codec=codec, pixels=pixels))
    with open_source(str(path)) as source:
        expected = list(source)
    piped.all(path.read_bytes())
    with open_source("-") as source:
        assert source.description == "stdin (64x48, 25 fps)"
        assert (source.live, source.duration_s, source.fps) == (False, None, 25.0)
        found = list(source.frames())
        assert source.counts.delivered == 20
    frames = [one for one in found if isinstance(one, Frame)]
    assert frames == found
    assert [number_of(frame.picture) for frame in frames] == list(range(20))
    assert [frame.time_s for frame in frames] == [frame.time_s for frame in expected]


def test_raw_pictures(piped: Piped, caplog: pytest.LogCaptureFixture) -> None:
    piped.all(raw_bytes(1, 2, 3) + b"cut off")
    with caplog.at_level(logging.WARNING), open_source("-", SourceOptions(raw=RAW)) as source:
        assert source.description == "stdin (64x48, 10 fps, rgb24)"
        frames = list(source)
    assert [number_of(frame.picture) for frame in frames] == [1, 2, 3]
    assert [frame.time_s for frame in frames] == pytest.approx([0.0, 0.1, 0.2])
    assert "stdin ended within a picture: its 7 bytes, of 9216, are left out." in caplog.text


def test_a_pipe_that_stalls_is_told_of_and_goes_on(piped: Piped) -> None:
    piped.write(raw_bytes(1, 2))
    options = SourceOptions(raw=RAW, read_timeout_s=0.3)
    with open_source("-", options) as source:
        items = source.frames()
        assert [one.index for one in (next(items), next(items)) if isinstance(one, Frame)] == [0, 1]
        silent = next(items)
        assert isinstance(silent, SourceEvent)
        assert (silent.kind, silent.delivers, silent.breaks) == ("silent", False, False)
        assert silent.text == "nothing came for 0.3 s"
        assert silent.time_s == pytest.approx(0.1)
        piped.all(raw_bytes(3))
        back, frame = next(items), next(items)
        assert isinstance(back, SourceEvent)
        assert isinstance(frame, Frame)
        assert (back.kind, back.delivers, back.breaks) == ("back", True, False)
        assert 0.3 <= (back.lasted_s or 0) < 5
        # The pictures follow each other as if nothing had been.
        assert frame.time_s == pytest.approx(0.2)
        assert list(items) == []


def test_interrupting_ends_a_blocked_read(piped: Piped) -> None:
    threads = threading.active_count()
    piped.write(raw_bytes(1))
    source = open_source("-", SourceOptions(raw=RAW))
    items = source.frames()
    next(items)
    with Pauses() as pauses:
        threading.Timer(0.1, source.interrupt).start()
        started_s = time.monotonic()
        assert list(items) == []
        assert time.monotonic() - started_s < 0.1 + 0.3 + pauses.lost_s
    source.close()
    assert threading.active_count() == threads


@pytest.mark.parametrize("raw", [None, RAW])
@pytest.mark.parametrize("data", [b"", b"\x1a\x45\xdf\xa3 the beginning of one"])
def test_stopping_ends_the_wait_for_a_first_picture(
    piped: Piped, raw: RawVideo | None, data: bytes
) -> None:
    piped.write(data)
    until_s = time.monotonic() + 0.2
    options = SourceOptions(raw=raw, stopping=lambda: time.monotonic() > until_s)
    with Pauses() as pauses, open_source("-", options) as source:
        assert time.monotonic() - until_s < 0.3 + pauses.lost_s
        assert source.description == "stdin"
        assert list(source.frames()) == []
        assert source.counts.received == 0


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "Nothing came through stdin"),
        (b"all the news\n" * 40, "is text, not a video"),
        (b"#EXTM3U\n#EXTINF:1,\n/etc/passwd\n", "is text, not a video"),
        (bytes(range(256)) * 64, "stdin is not a video that FFmpeg can read"),
    ],
)
def test_what_is_no_video(piped: Piped, data: bytes, words: str) -> None:
    piped.all(data)
    with pytest.raises(SourceError, match=words) as caught:
        open_source("-")
    assert "matroska" in caught.value.hint


def test_an_mp4_with_its_index_at_the_end_is_an_error(tmp_path: Path, piped: Piped) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (8, 240, 320, 3), dtype=np.uint8)
    path = encode_video(tmp_path / "a.mp4", list(noise), Encoding(options={"crf": "10"}))
    piped.all(path.read_bytes())
    with pytest.raises(SourceError, match=r"stdin .* not one frame can be decoded") as caught:
        list(open_source("-"))
    assert "an MP4 file mostly cannot" in caught.value.hint


def test_raw_pictures_that_never_become_complete(piped: Piped) -> None:
    piped.all(raw_bytes(1)[:-1])
    with pytest.raises(
        SourceError, match="stdin ended after 9215 bytes, and a picture of"
    ) as caught:
        open_source("-", SourceOptions(raw=RAW))
    assert "--raw" in caught.value.hint


def test_damage_in_the_middle_leaves_out_what_is_damaged(tmp_path: Path, piped: Piped) -> None:
    pictures = [numbered_picture(i) for i in range(30)]
    encoding = Encoding(options={"g": "5", "bf": "0"})
    data = bytearray(encode_video(tmp_path / "a.ts", pictures, encoding).read_bytes())
    middle = len(data) // 2 // 188 * 188
    data[middle : middle + 5 * 188] = bytes(range(188)) * 5
    piped.all(bytes(data))
    with open_source("-") as source:
        frames = list(source)
    assert 15 < len(frames) < 31
    assert number_of(frames[-1].picture) == 29


def test_what_is_no_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    for stdin in (None, io.StringIO("x")):
        monkeypatch.setattr(sys, "stdin", stdin)
        with pytest.raises(SourceError, match="There is no stdin to read a video from"):
            open_source("-")
    ours, theirs = os.openpty()
    with os.fdopen(theirs) as terminal:
        monkeypatch.setattr(sys, "stdin", terminal)
        with pytest.raises(SourceError, match="stdin is a terminal"):
            open_source("-")
    os.close(ours)


def test_a_pipe_cannot_be_played_again() -> None:
    with pytest.raises(SourceError, match="cannot be played again") as caught:
        open_source("-", SourceOptions(loop=True))
    assert "--loop" in caught.value.hint


def test_the_first_bytes_are_given_once_more(piped: Piped) -> None:
    piped.all(b"abcdefghij")
    stream = PipeBytes(sys.stdin.fileno(), stopping=lambda: False)
    assert stream.head(4) == b"abcd"
    assert stream.head(2) == b"abcd"
    assert stream.read(3) == b"abc"
    assert stream.read(9) == b"d"
    assert stream.read_all(4) == b"efgh"
    assert stream.read_all(9) == b"ij"
    assert stream.read(1) == b""
    assert not stream.over
    stream.interrupt()
    assert stream.over
