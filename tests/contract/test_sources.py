"""What every kind of source owes its readers; a new kind adds one line to `EXAMPLES`."""

from __future__ import annotations

import itertools
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from models.errors import SourceError
from runtime.recording.recorded import RecordedSource
from runtime.recording.recorder import Recorder
from runtime.sources import (
    SOURCES,
    FrameSource,
    SourceKind,
    camera,
    check_source,
    only_frames,
    open_source,
)
from tests.fakes import FakeSource
from tests.pauses import Pauses
from tests.recordings import opening, shown
from tests.stream_servers import http_process, rtsp_process
from tests.unit.test_runtime_sources_camera import OpenCvCamera
from tests.video_files import Encoding, encode_video, numbered_picture, write_numbered


def _demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    return "demo"


def _camera(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "video7").touch()
    plugged = OpenCvCamera(opens=True)
    plugged.permits.release(8)
    monkeypatch.setattr(camera, "_DEVICES", tmp_path)
    monkeypatch.setattr(cv2, "VideoCapture", lambda *args: plugged)
    return "camera7"


def _csi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    plugged = OpenCvCamera(opens=True)
    plugged.permits.release(8)
    monkeypatch.setattr(cv2.videoio_registry, "hasBackend", lambda api: True)
    monkeypatch.setattr(cv2, "VideoCapture", lambda *args: plugged)
    return "csi0"


def _rtsp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    return rtsp_process()


def _http(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    return f"{http_process()}/video.mjpg"


def _file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    return str(write_numbered(tmp_path / "clip.mp4", 12))


def _replay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    recorder = Recorder(tmp_path / "out.mkv", opening())
    frames = [shown(index, index / 10) for index in range(12)]
    with RecordedSource(FakeSource(frames), recorder) as source:
        assert len(list(source)) == 12
    return f"replay:{tmp_path / 'out.mkv'}"


def _realtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    return f"realtime:{write_numbered(tmp_path / 'clip.mp4', 12, fps=100.0)}"


def _pipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    pictures = [numbered_picture(number) for number in range(12)]
    path = encode_video(tmp_path / "clip.mkv", pictures, Encoding())
    descriptor = os.open(path, os.O_RDONLY)
    stdin = SimpleNamespace(fileno=lambda: descriptor, isatty=lambda: False)
    monkeypatch.setattr(sys, "stdin", stdin)
    return "-"


def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    for name, count in (("9.mp4", 5), ("10.mp4", 7)):
        write_numbered(tmp_path / name, count)
    return str(tmp_path)


def _glob(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    return f"{_folder(tmp_path, monkeypatch)}/*.mp4"


def _list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    _folder(tmp_path, monkeypatch)
    (tmp_path / "clips.txt").write_text("10.mp4\n9.mp4\n")
    return str(tmp_path / "clips.txt")


def _pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    for number in range(12):
        cv2.imwrite(str(tmp_path / f"img_{number:03d}.png"), numbered_picture(number))
    return str(tmp_path / "img_%03d.png")


EXAMPLES: dict[str, Callable[[Path, pytest.MonkeyPatch], str]] = {
    "demo": _demo,
    "replay": _replay,
    "realtime": _realtime,
    "camera": _camera,
    "rtsp": _rtsp,
    "http": _http,
    "csi": _csi,
    "pipe": _pipe,
    "folder": _folder,
    "glob": _glob,
    "pictures": _pictures,
    "list": _list,
    "file": _file,
}


@pytest.fixture(params=SOURCES, ids=lambda kind: kind.name)
def kind(request: pytest.FixtureRequest) -> SourceKind:
    found: SourceKind = request.param
    return found


@pytest.fixture
def uri(kind: SourceKind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    return EXAMPLES[kind.name](tmp_path, monkeypatch)


@pytest.fixture
def source(uri: str) -> Iterator[FrameSource]:
    with open_source(uri) as opened:
        yield opened


def test_names_are_distinct_and_every_kind_has_an_example() -> None:
    names = [kind.name for kind in SOURCES]
    assert len(set(names)) == len(names)
    assert set(names) == set(EXAMPLES)
    assert names[-1] == "file"


def test_claims_its_own_example_first(kind: SourceKind) -> None:
    first = next(other for other in SOURCES if other.claims(kind.example))
    assert first is kind


def test_claiming_touches_nothing(kind: SourceKind) -> None:
    for odd in ("", "\0", "x" * 10_000, "/nowhere/at/all"):
        assert kind.claims(odd) in (True, False)


def test_frames_are_rgb_with_growing_indices_and_times(source: FrameSource) -> None:
    frames = list(itertools.islice(source, 8))
    assert len(frames) == 8
    for frame in frames:
        assert frame.picture.dtype == np.uint8
        assert frame.picture.ndim == 3
        assert frame.picture.shape == (*frames[0].picture.shape[:2], 3)
        assert frame.decode_ms >= 0
    indices = [frame.index for frame in frames]
    times_s = [frame.time_s for frame in frames]
    assert indices == sorted(set(indices))
    assert times_s == sorted(times_s)
    assert times_s[0] >= 0


def test_frames_own_their_pictures(source: FrameSource) -> None:
    first, second = itertools.islice(source, 2)
    before = second.picture.copy()
    assert not np.shares_memory(first.picture, second.picture)
    if first.picture.flags.writeable:
        first.picture[:] = 255
    np.testing.assert_array_equal(second.picture, before)


def test_unwanted_frames_are_left_out(source: FrameSource) -> None:
    asked: list[float] = []

    def every_second(time_s: float) -> bool:
        asked.append(time_s)
        return len(asked) % 2 == 0

    frames = list(itertools.islice(only_frames(source.frames(every_second)), 3))
    assert len(frames) == 3
    # In order, each once, and at least as far as the frames that came.
    assert asked == sorted(set(asked))
    assert set(asked[1::2]) >= {frame.time_s for frame in frames}
    if not source.live:
        assert [frame.index for frame in frames] == [1, 3, 5]
        assert [frame.time_s for frame in frames] == asked[1:6:2]
    assert source.counts.skipped >= len(frames)


def test_reading_on_takes_up_what_is_wanted_now(source: FrameSource) -> None:
    first = next(only_frames(source.frames()))
    # A source may have read ahead: these are asked for too.
    second = next(only_frames(source.frames(lambda time_s: time_s > first.time_s)))
    assert second.index > first.index
    assert second.time_s > first.time_s


def test_accounts_for_every_picture_once_it_is_closed(source: FrameSource) -> None:
    asked = itertools.count()
    list(itertools.islice(only_frames(source.frames(lambda time_s: next(asked) % 2 == 1)), 2))
    source.close()
    counts = source.counts
    assert counts.delivered == 2
    assert counts.skipped > 0
    assert counts.received == counts.delivered + counts.skipped + counts.dropped + counts.broken


def test_interrupting_ends_the_iteration_within_0_3_s(source: FrameSource) -> None:
    frames = source.frames()
    next(frames)
    with Pauses() as pauses:
        source.interrupt()
        started_s = time.monotonic()
        assert len(list(frames)) <= 1
        assert time.monotonic() - started_s < 0.3 + pauses.lost_s


def test_describes_itself(source: FrameSource) -> None:
    assert source.description
    assert "\n" not in source.description
    assert source.fps is None or source.fps > 0
    assert source.counts.dropped == 0 or source.live
    assert source.duration_s is None or (source.duration_s > 0 and not source.live)


def test_early_break_then_close_ends_everything(uri: str) -> None:
    threads = threading.active_count()
    opened = open_source(uri)
    with opened:
        for _ in opened:
            break
    assert threading.active_count() == threads
    assert list(opened) == []
    opened.close()


def test_an_exception_in_the_reader_releases_too(uri: str) -> None:
    threads = threading.active_count()
    opened = open_source(uri)

    def interrupted() -> None:
        with opened:
            next(iter(opened))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert threading.active_count() == threads
    assert list(opened) == []


@pytest.mark.parametrize(
    "wrong",
    ["/nowhere/clip.mp4", "camera998", "replay:/nowhere/out.mkv", "realtime:/nowhere/clip.mp4", ""],
)
def test_what_is_not_there_is_a_source_error(wrong: str) -> None:
    with pytest.raises(SourceError) as caught:
        open_source(wrong)
    assert caught.value.message
    assert caught.value.exit_code == 4


def test_a_glance_finds_nothing_wrong(uri: str) -> None:
    check_source(uri)


@pytest.mark.parametrize(
    "wrong",
    ["/nowhere/clip.mp4", "realtime:/nowhere/clip.mp4", "", "gopher://a"],
)
def test_a_glance_tells_what_opening_would(wrong: str) -> None:
    with pytest.raises(SourceError) as opened:
        open_source(wrong)
    with pytest.raises(SourceError) as seen:
        check_source(wrong)
    assert type(seen.value) is type(opened.value)
    assert seen.value.message
