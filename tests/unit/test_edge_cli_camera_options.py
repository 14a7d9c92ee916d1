from __future__ import annotations

import math

import pytest

from edge_cli.camera_options import FROZEN_AFTER_S, CameraRequest, frozen_after
from models.errors import UsageError
from runtime.sources.options import CameraOptions, SourceOptions


def camera_asked(
    size: str | None = None, fps: float | None = None, pixel_format: str | None = None
) -> CameraOptions:
    return CameraRequest(size=size, fps=fps, pixel_format=pixel_format).options(["camera0"])


def test_nothing_is_asked_for_unasked() -> None:
    assert camera_asked() == CameraOptions() == SourceOptions().camera
    assert frozen_after(FROZEN_AFTER_S) == SourceOptions().frozen_after_s


@pytest.mark.parametrize(
    ("text", "size"), [("1280x720", (1280, 720)), (" 640 X 480 ", (640, 480)), ("16x16", (16, 16))]
)
def test_sizes(text: str, size: tuple[int, int]) -> None:
    assert camera_asked(text).size == size


@pytest.mark.parametrize("text", ["", "720p", "1280", "1280x", "0x480", "640x20000", "-640x480"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(UsageError, match="--camera-size takes width and height") as caught:
        camera_asked(text)
    assert repr(text) in caught.value.message


@pytest.mark.parametrize(
    ("text", "code"),
    [("MJPG", "MJPG"), ("mjpeg", "MJPG"), ("YUY2", "YUYV"), ("pRAA", "pRAA"), ("Y16", "Y16 ")],
)
def test_pixel_formats(text: str, code: str) -> None:
    assert camera_asked(pixel_format=text).pixel_format == code


@pytest.mark.parametrize("text", ["", "H.264", "MJ PG", "ÄÖÜß"])
def test_what_is_no_pixel_format(text: str) -> None:
    with pytest.raises(UsageError, match="--camera-format takes the four letters"):
        camera_asked(pixel_format=text)


@pytest.mark.parametrize("fps", [0.0, -1.0, math.nan, math.inf, 1001.0])
def test_what_is_no_rate(fps: float) -> None:
    with pytest.raises(UsageError, match="--camera-fps"):
        camera_asked(fps=fps)
    assert camera_asked(fps=29.97).fps == 29.97


def test_frozen_after() -> None:
    assert frozen_after(0) is None
    for wrong in (-1.0, math.nan, math.inf):
        with pytest.raises(UsageError, match="--frozen-after"):
            frozen_after(wrong)


@pytest.mark.parametrize("source", ["camera1", "/dev/v4l/by-id/usb-046d_Webcam", "csi0"])
def test_one_of_the_sources_has_to_be_a_camera(source: str) -> None:
    request = CameraRequest(size="640x480")
    assert request.options(["clip.mp4", source]).size == (640, 480)
    with pytest.raises(UsageError, match="--camera-size is about cameras") as caught:
        request.options(["clip.mp4", "demo"])
    assert "clip.mp4, demo" in caught.value.message
    assert CameraRequest().options(["demo"]) == CameraOptions()
