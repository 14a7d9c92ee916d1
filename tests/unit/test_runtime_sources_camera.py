from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.errors import SourceError, SourceNotFound
from runtime.records import Picture
from runtime.sources import camera, live, open_source
from runtime.sources.live import LiveOptions, LiveSource

WAIT_S = 5.0
"""Upper bound of waits that end as soon as the other thread did its part."""


class StepClock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


class FakeCapture:
    """A camera that delivers one picture per permit, then either waits or ends."""

    def __init__(self, *, clock: StepClock | None = None, ends: bool = False) -> None:
        self.permits = threading.Semaphore(0)
        self.idle = threading.Event()
        self.released = threading.Event()
        self.closing = False
        self._clock = clock
        self._ends = ends
        self._count = 0

    def feed(self, count: int) -> None:
        """Let `count` pictures out and wait until all of them were drained."""
        for _ in range(count):
            self.idle.clear()
            self.permits.release()
            assert self.idle.wait(WAIT_S)

    def grab(self) -> bool:
        self.idle.set()
        while not self.permits.acquire(timeout=0.02):
            if self.closing:
                return False
        if self._clock is not None:
            self._clock.now_s += 0.1
        self._count += 1
        return not (self._ends and self._count == 4)

    def retrieve(self) -> tuple[bool, Picture | None]:
        bgr = np.zeros((4, 6, 3), np.uint8)
        bgr[:, :, 0] = self._count
        return True, bgr

    def release(self) -> None:
        self.released.set()


@pytest.fixture
def opened(request: pytest.FixtureRequest) -> Iterator[tuple[FakeCapture, LiveSource]]:
    clock = StepClock()
    capture = FakeCapture(clock=clock)
    source = LiveSource(
        capture,
        description="camera7",
        fps=30.0,
        options=LiveOptions(clock=clock, read_timeout_s=0.1, queue_length=3),
    )
    assert capture.idle.wait(WAIT_S)
    yield capture, source
    capture.closing = True
    source.close()


Opened = tuple[FakeCapture, LiveSource]


def test_frames_carry_arrival_times_and_rgb(opened: Opened) -> None:
    capture, source = opened
    capture.feed(2)
    frames = list(itertools.islice(source, 2))
    assert [frame.index for frame in frames] == [0, 1]
    assert [frame.time_s for frame in frames] == pytest.approx([0.1, 0.2])
    assert [frame.arrived_s for frame in frames] == pytest.approx([100.1, 100.2])
    assert frames[1].picture[0, 0].tolist() == [0, 0, 2]
    assert source.live
    assert source.duration_s is None
    assert source.counts.dropped == 0


def test_a_slow_reader_gets_the_newest_frames_and_the_rest_are_counted(opened: Opened) -> None:
    capture, source = opened
    capture.feed(10)
    assert source.counts.dropped == 7
    frames = list(itertools.islice(source, 3))
    assert [frame.index for frame in frames] == [7, 8, 9]
    # The time of a frame is when it arrived, not when it was read.
    assert [frame.time_s for frame in frames] == pytest.approx([0.8, 0.9, 1.0])
    capture.feed(1)
    assert next(iter(source)).index == 10
    assert source.counts.dropped == 7


def test_unwanted_frames_are_neither_decoded_nor_dropped(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    capture, source = opened
    retrieved = 0
    retrieve = capture.retrieve

    def counted() -> tuple[bool, Picture | None]:
        nonlocal retrieved
        retrieved += 1
        return retrieve()

    monkeypatch.setattr(capture, "retrieve", counted)
    capture.feed(2)
    frames = source.frames(lambda time_s: round(time_s * 10) % 4 == 2)
    # Of the two that wait, one is wanted.
    assert next(frames).index == 1
    capture.feed(8)
    assert [frame.index for frame in itertools.islice(frames, 2)] == [5, 9]
    assert (retrieved, source.counts.skipped, source.counts.dropped) == (2 + 2, 1 + 6, 0)


def test_a_camera_none_of_whose_frames_is_wanted_is_alive(opened: Opened) -> None:
    capture, source = opened
    found: list[int] = []

    def read() -> None:
        found.append(next(source.frames(lambda time_s: time_s > 2.95)).index)

    reader = threading.Thread(target=read)
    reader.start()
    # Much longer than the timeout.
    for _ in range(30):
        capture.feed(1)
        reader.join(0.02)
    reader.join(WAIT_S)
    assert found == [29]


def test_silence_is_an_error_after_the_timeout(opened: Opened) -> None:
    _, source = opened
    with pytest.raises(SourceError, match=r"camera7 delivered no picture for 0\.1 s"):
        next(iter(source))


def test_close_joins_the_thread_and_releases_the_device(opened: Opened) -> None:
    capture, source = opened
    capture.feed(2)
    capture.closing = True
    source.close()
    assert capture.released.is_set()
    assert not source._thread.is_alive()
    assert list(source) == []
    source.close()


def test_context_manager_releases_on_early_break() -> None:
    capture = FakeCapture()
    capture.permits.release(2)
    with LiveSource(capture, description="camera7", fps=None) as source:
        for _ in source:
            capture.closing = True
            break
    assert capture.released.wait(WAIT_S)


def test_unplugged_camera_gives_what_it_has_then_an_error() -> None:
    capture = FakeCapture(ends=True)
    source = LiveSource(capture, description="camera7", fps=None)
    capture.permits.release(4)
    assert capture.released.wait(WAIT_S)
    assert [frame.index for frame in itertools.islice(source, 3)] == [0, 1, 2]
    with pytest.raises(SourceError, match=r"camera7 stopped delivering.*reported the end"):
        next(iter(source))
    source.close()


def test_an_exception_in_the_driver_reaches_the_reader() -> None:
    class Broken(FakeCapture):
        def retrieve(self) -> tuple[bool, Picture | None]:
            raise RuntimeError("bus reset")

    capture = Broken()
    capture.permits.release()
    with (
        LiveSource(capture, description="camera7", fps=None) as source,
        pytest.raises(SourceError, match="RuntimeError: bus reset"),
    ):
        next(iter(source))
    assert capture.released.is_set()


def test_pictures_that_do_not_decode_are_counted() -> None:
    class Spotty(FakeCapture):
        def retrieve(self) -> tuple[bool, Picture | None]:
            decoded, picture = super().retrieve()
            return (False, None) if self._count % 2 else (decoded, picture)

    capture = Spotty()
    source = LiveSource(capture, description="camera7", fps=None)
    capture.feed(4)
    assert [frame.index for frame in itertools.islice(source, 2)] == [1, 3]
    assert (source.counts.received, source.counts.broken, source.counts.dropped) == (4, 2, 0)
    capture.closing = True
    source.close()


def test_a_driver_that_hangs_does_not_hang_close(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(live, "_JOIN_TIMEOUT_S", 0.05)
    capture = FakeCapture()
    source = LiveSource(capture, description="camera7", fps=None)
    assert capture.idle.wait(WAIT_S)
    with caplog.at_level(logging.WARNING):
        source.close()
    assert "camera7 did not let go within 0.05 s" in caplog.text
    assert not capture.released.is_set()
    # Once the driver answers, the thread lets the device go by itself.
    capture.permits.release()
    assert capture.released.wait(WAIT_S)


# --- naming and opening ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("uri", "number"),
    [
        ("camera", 0), ("camera0", 0), ("camera12", 12), ("0", 0), ("3", 3),
        ("/dev/video2", 2), ("./0", None), ("camera.mp4", None), ("cameras", None),
        ("/dev/videos", None), ("0.mp4", None), ("", None), ("1234", None), ("٣", None),
    ],
)  # fmt: skip
def test_camera_number(uri: str, number: int | None) -> None:
    assert camera.camera_number(uri) == number
    assert camera.SOURCE.claims(uri) == (number is not None)


@pytest.mark.parametrize(
    ("present", "words"),
    [((), "no /dev/video* at all"), (("video0", "video2"), "video0, {}/video2")],
)
def test_absent_camera_lists_what_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, present: tuple[str, ...], words: str
) -> None:
    monkeypatch.setattr(camera, "_DEVICES", tmp_path)
    monkeypatch.setattr("sys.platform", "linux")
    for name in present:
        (tmp_path / name).touch()
    with pytest.raises(SourceNotFound, match="There is no camera 7") as caught:
        open_source("camera7")
    assert words.format(tmp_path) in caught.value.message
    assert "edgecls run --source demo" in caught.value.hint


def test_camera_without_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(camera, "_DEVICES", tmp_path)
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr("os.access", lambda path, mode: False)
    (tmp_path / "video7").touch()
    with pytest.raises(SourceError, match="may not be used by this user") as caught:
        open_source("camera7")
    assert "usermod" in caught.value.hint


class OpenCvCamera(FakeCapture):
    """What `cv2.VideoCapture(number)` gives when there is a camera."""

    def __init__(self, opens: bool) -> None:
        super().__init__()
        self._opens = opens
        self.closing = True

    def isOpened(self) -> bool:  # noqa: N802
        return self._opens

    def get(self, key: int) -> float:
        return {3: 640.0, 4: 480.0, 5: 30.0}.get(key, 0.0)

    def set(self, key: int, value: float) -> bool:
        return False


@pytest.fixture
def plugged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setattr(camera, "_DEVICES", tmp_path)
    (tmp_path / "video7").touch()
    return monkeypatch


def test_camera_that_opens(plugged: pytest.MonkeyPatch) -> None:
    import cv2

    asked: list[tuple[Any, ...]] = []

    def capture(*args: Any) -> OpenCvCamera:
        asked.append(args)
        return OpenCvCamera(opens=True)

    plugged.setattr("sys.platform", "linux")
    plugged.setattr(cv2, "VideoCapture", capture)
    with open_source("/dev/video7") as source:
        assert source.description == "camera7 (640x480, 30 fps)"
        assert source.fps == 30.0
        assert source.live
    assert asked == [(7, cv2.CAP_V4L2)]


def test_camera_that_is_busy(plugged: pytest.MonkeyPatch) -> None:
    import cv2

    plugged.setattr("sys.platform", "linux")
    plugged.setattr(cv2, "VideoCapture", lambda *args: OpenCvCamera(opens=False))
    with pytest.raises(SourceError, match="Camera 7 exists, but it cannot be opened"):
        open_source("camera7")


@pytest.mark.camera
@pytest.mark.skipif(not Path("/dev/video0").exists(), reason="this machine has no /dev/video0")
def test_real_camera() -> None:
    with open_source("camera0") as source:
        frames = list(itertools.islice(source, 5))
    assert [f.picture.ndim for f in frames] == [3] * 5
    assert frames[-1].time_s > frames[0].time_s
