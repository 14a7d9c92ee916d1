from __future__ import annotations

import itertools
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.errors import SourceError, SourceNotFound
from runtime.records import Frame, Picture, SourceEvent
from runtime.sources import SourceOptions, camera, camera_place, open_source
from runtime.sources.options import CameraOptions
from tests.usb_cameras import FakeUsb
from tests.v4l2_driver import FakeDrivers, webcam


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


def test_lasting_names_are_claimed() -> None:
    assert camera.SOURCE.claims("/dev/v4l/by-id/usb-046d_Webcam-video-index0")
    assert camera.SOURCE.claims("/dev/v4l/by-path/pci-0000:00:14.0-usb-0:2:1.0-video-index0")
    assert not camera.SOURCE.claims("/dev/v4l/by-id/")
    assert not camera.SOURCE.claims("/dev/v4l/by-id/../video0")


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


MJPG = int.from_bytes(b"MJPG", "little")
YUYV = int.from_bytes(b"YUYV", "little")


class Obedient(OpenCvCamera):
    """Does what it is asked for, one thing after the other, as far as it can.

    Args:
        refuses: Keys of OpenCV of what it does not change.
    """

    def __init__(self, *refuses: int) -> None:
        super().__init__(opens=True)
        self.asked: list[tuple[int, float]] = []
        self._refuses = refuses
        self._does = {3: 640.0, 4: 480.0, 5: 30.0, 6: float(YUYV)}

    def get(self, key: int) -> float:
        return self._does.get(key, 0.0)

    def set(self, key: int, value: float) -> bool:
        self.asked.append((key, value))
        if key in self._refuses:
            return False
        self._does[key] = value
        return True


@pytest.fixture
def plugged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setattr(camera, "_DEVICES", tmp_path)
    monkeypatch.setattr("sys.platform", "linux")
    (tmp_path / "video7").touch()
    return monkeypatch


def test_camera_that_opens(plugged: pytest.MonkeyPatch) -> None:
    import cv2

    asked: list[tuple[Any, ...]] = []

    def capture(*args: Any) -> OpenCvCamera:
        asked.append(args)
        return OpenCvCamera(opens=True)

    plugged.setattr(cv2, "VideoCapture", capture)
    with open_source("/dev/video7") as source:
        assert source.description == "camera7 (640x480, 30 fps)"
        assert source.fps == 30.0
        assert source.live
    assert asked == [(7, cv2.CAP_V4L2)]


WANTED = CameraOptions(size=(1280, 720), fps=60.0, pixel_format="MJPG")


@pytest.mark.parametrize(
    ("refuses", "described"),
    [
        ((), "camera7 (1280x720, MJPG, 60 fps)"),
        ((6,), "camera7 (1280x720, YUYV, 60 fps; asked for MJPG)"),
        ((3, 4, 5), "camera7 (640x480, MJPG, 30 fps; asked for 1280x720, 60 fps)"),
    ],
)
def test_what_a_camera_is_asked_for_and_what_it_does(
    plugged: pytest.MonkeyPatch, refuses: tuple[int, ...], described: str
) -> None:
    import cv2

    device = Obedient(*refuses)
    plugged.setattr(cv2, "VideoCapture", lambda *args: device)
    with open_source("camera7", SourceOptions(camera=WANTED)) as source:
        assert source.description == described
    # Formats have sizes of their own, and sizes rates.
    assert device.asked == [
        (cv2.CAP_PROP_BUFFERSIZE, 2),
        (cv2.CAP_PROP_FOURCC, MJPG),
        (cv2.CAP_PROP_FRAME_WIDTH, 1280),
        (cv2.CAP_PROP_FRAME_HEIGHT, 720),
        (cv2.CAP_PROP_FPS, 60.0),
    ]


def test_a_camera_asked_for_nothing_does_as_it_likes(plugged: pytest.MonkeyPatch) -> None:
    import cv2

    device = Obedient()
    plugged.setattr(cv2, "VideoCapture", lambda *args: device)
    with open_source("camera7") as source:
        assert source.description == "camera7 (640x480, YUYV, 30 fps)"
    assert device.asked == [(cv2.CAP_PROP_BUFFERSIZE, 2)]


def test_a_camera_by_its_lasting_name(plugged: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import cv2

    asked: list[int] = []

    def capture(number: int, api: int) -> OpenCvCamera:
        asked.append(number)
        return OpenCvCamera(opens=True)

    plugged.setattr(cv2, "VideoCapture", capture)
    drivers = FakeDrivers(tmp_path, {7: webcam(), 9: webcam()})
    name = "usb-046d_HD_Webcam-video-index0"
    for number in (7, 9):
        drivers.link(name, number)
        with open_source(f"/dev/v4l/by-id/{name}") as source:
            assert source.description == f"{name} (640x480, 30 fps)"
    assert asked == [7, 9]
    (tmp_path / "video9").unlink()
    for missing in (name, "usb-other"):
        with pytest.raises(SourceNotFound, match="There is no camera") as caught:
            open_source(f"/dev/v4l/by-id/{missing}")
        assert "edgecls sources" in caught.value.hint


def test_an_unplugged_camera_is_found_under_its_new_number(
    plugged: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import cv2

    usb = FakeUsb(tmp_path / "sys")
    usb.plug(7, "1-2", "046d", "0825", "A1")
    plugged.setattr(camera_place, "SYSFS", usb.listed)
    devices = {7: OpenCvCamera(opens=True), 8: OpenCvCamera(opens=True)}
    devices[7].permits.release(3)

    def capture(number: int, api: int) -> OpenCvCamera:
        if number == 8:
            devices[8].permits.release(3)
        return devices[number]

    plugged.setattr(cv2, "VideoCapture", capture)
    devices[7].closing = False
    with open_source("camera7") as source:
        items = source.frames()
        first = [next(items) for _ in range(3)]
        usb.unplug(7)
        (tmp_path / "video7").unlink()
        devices[7].closing = True
        lost = next(items)
        usb.plug(8, "1-2", "046d", "0825", "A1")
        (tmp_path / "video8").touch()
        back, frame = next(items), next(items)
        assert source.description == "camera7, now /dev/video8 (640x480, 30 fps)"
    assert all(isinstance(item, Frame) and item.epoch == 0 for item in first)
    assert isinstance(lost, SourceEvent)
    assert (lost.kind, lost.breaks) == ("lost", True)
    assert isinstance(back, SourceEvent)
    assert back.kind == "back"
    assert isinstance(frame, Frame)
    assert frame.epoch == 1
    assert devices[7].released.is_set()


def test_camera_that_is_busy(plugged: pytest.MonkeyPatch) -> None:
    import cv2

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
