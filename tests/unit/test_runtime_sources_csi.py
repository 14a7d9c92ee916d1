"""With stand-ins for OpenCV's captures: there was no Jetson."""

from __future__ import annotations

import itertools

import cv2
import pytest

from models.errors import SourceError
from runtime.sources import SourceOptions, csi
from runtime.sources.options import CameraOptions
from tests.unit.test_runtime_sources_camera import OpenCvCamera


@pytest.mark.parametrize(
    ("uri", "claimed"),
    [("csi0", True), ("csi3", True), ("csi", False), ("csi10", False), ("csi٣", False),
     ("csi0.mp4", False), ("./csi0", False)],
)  # fmt: skip
def test_names(uri: str, claimed: bool) -> None:
    assert csi.SOURCE.claims(uri) == claimed


def test_the_pipeline() -> None:
    assert csi.csi_pipeline(1, size=(1920, 1080), fps=30.0) == (
        "nvarguscamerasrc sensor-id=1"
        " ! video/x-raw(memory:NVMM),width=1920,height=1080,format=NV12,framerate=30/1"
        " ! nvvidconv ! video/x-raw,format=BGRx ! videoconvert ! video/x-raw,format=BGR"
        " ! appsink drop=true max-buffers=1 sync=false"
    )
    assert "framerate=29970/1000" in csi.csi_pipeline(0, size=(640, 480), fps=29.97)


def test_an_opencv_without_gstreamer_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2.videoio_registry, "hasBackend", lambda api: api != cv2.CAP_GSTREAMER)
    with pytest.raises(SourceError, match="csi0 needs an OpenCV with GStreamer") as caught:
        csi.open_csi("csi0", SourceOptions())
    assert cv2.__version__ in caught.value.message
    assert "pip uninstall opencv-python" in caught.value.hint


def test_a_camera_that_opens(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[object, ...]] = []
    device = OpenCvCamera(opens=True)
    device.permits.release(2)

    def capture(*args: object) -> OpenCvCamera:
        asked.append(args)
        return device

    monkeypatch.setattr(cv2.videoio_registry, "hasBackend", lambda api: True)
    monkeypatch.setattr(cv2, "VideoCapture", capture)
    options = SourceOptions(camera=CameraOptions(size=(640, 360), fps=15.0))
    with csi.open_csi("csi2", options) as source:
        assert source.description == "csi2 (640x360, 15 fps)"
        assert (source.fps, source.live) == (15.0, True)
        assert [frame.index for frame in itertools.islice(source, 2)] == [0, 1]
    assert asked == [(csi.csi_pipeline(2, size=(640, 360), fps=15.0), cv2.CAP_GSTREAMER)]


def test_a_camera_that_does_not_open(monkeypatch: pytest.MonkeyPatch) -> None:
    device = OpenCvCamera(opens=False)
    monkeypatch.setattr(cv2.videoio_registry, "hasBackend", lambda api: True)
    monkeypatch.setattr(cv2, "VideoCapture", lambda *args: device)
    with pytest.raises(SourceError, match="csi0 cannot be opened at 1280x720, 30 fps") as caught:
        csi.open_csi("csi0", SourceOptions())
    assert "nvargus-daemon" in caught.value.hint
    assert device.released.is_set()


def test_it_has_no_pixel_formats() -> None:
    with pytest.raises(SourceError, match="no pixel formats to choose from") as caught:
        csi.open_csi("csi0", SourceOptions(camera=CameraOptions(pixel_format="MJPG")))
    assert "--camera-format" in caught.value.hint
