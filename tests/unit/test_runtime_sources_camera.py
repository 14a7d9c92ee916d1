from __future__ import annotations

import itertools
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.errors import SourceError, SourceNotFound
from runtime.records import Picture
from runtime.sources import camera, open_source


class FakeCapture:
    """What OpenCV gives for a camera: one picture per permit, then it waits."""

    def __init__(self) -> None:
        self.permits = threading.Semaphore(0)
        self.released = threading.Event()
        self.closing = False
        self._count = 0

    def grab(self) -> bool:
        while not self.permits.acquire(timeout=0.02):
            if self.closing:
                return False
        self._count += 1
        return True

    def retrieve(self) -> tuple[bool, Picture | None]:
        bgr = np.zeros((4, 6, 3), np.uint8)
        bgr[:, :, 0] = self._count
        return True, bgr

    def release(self) -> None:
        self.released.set()


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
