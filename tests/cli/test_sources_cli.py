"""`edgecls sources` on machines with stand-ins for cameras."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from runtime.sources import SOURCES, v4l2
from runtime.sources.v4l2 import camera_devices
from tests.cli.in_process import Done, called
from tests.v4l2_driver import FakeCamera, FakeDrivers, FakeSize, webcam

Listed = Callable[..., Done]


@pytest.fixture
def listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Listed:
    def run(cameras: dict[int, FakeCamera], *words: str, link: str = "") -> Done:
        drivers = FakeDrivers(tmp_path, cameras)
        if link:
            drivers.link(link, 0)
        listing = partial(camera_devices, tmp_path, ask=drivers)
        monkeypatch.setattr(v4l2, "camera_devices", listing)
        done = called("sources", *words, monkeypatch=monkeypatch)
        assert (done.code, done.err) == (0, "")
        return done

    return run


def test_cameras_with_what_they_can_do(listed: Listed, tmp_path: Path) -> None:
    ranged = FakeSize(32, 32, ((1, 60), (1, 5)), up_to=(1920, 1080), between=True)
    cameras = {
        0: webcam("HD Webcam [left]"),
        2: FakeCamera(name="Scaler", formats={"NV12": (ranged,), "GREY": ()}),
        4: FakeCamera(fails=errno.EIO),
    }
    done = listed(cameras, link="usb-046d_HD_Webcam-video-index0")
    cameras_shown, kinds = done.out.split("\n\n")
    assert cameras_shown.splitlines() == [
        "camera0  HD Webcam [left]",
        f"    {tmp_path}/video0, uvcvideo, usb-0000:00:14.0-2",
        f"    {tmp_path}/v4l/by-id/usb-046d_HD_Webcam-video-index0",
        "    MJPG  1920x1080 at 30, 15 fps",
        "          1280x720 at 60, 30 fps",
        "    YUYV  640x480 at 30, 29.97 fps",
        "camera2  Scaler",
        f"    {tmp_path}/video2, uvcvideo, usb-0000:00:14.0-2",
        "    NV12  32x32 to 1920x1080 at 5 to 60 fps",
        "    GREY  ",
        f"camera4  {tmp_path}/video4",
        f"    cannot be asked: Input/output error (ls -l {tmp_path}/video4; groups)",
    ]
    for kind in SOURCES:
        assert kind.example in kinds
        assert kind.about[:20] in kinds


def test_no_camera(listed: Listed, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "no camera (/dev/video*)" in listed({}).out
    monkeypatch.setattr("sys.platform", "darwin")
    assert "listed on Linux only" in listed({}).out


def test_json(listed: Listed) -> None:
    value = json.loads(listed({0: webcam()}, "--json").out)
    (camera,) = value["cameras"]
    assert camera["source"] == "camera0"
    assert camera["formats"][0]["code"] == "MJPG"
    assert camera["formats"][0]["sizes"][0] == {
        "width": 1920,
        "height": 1080,
        "up_to": None,
        "fps": [30.0, 15.0],
        "fps_between": False,
    }
    for told, kind in zip(value["kinds"], SOURCES, strict=True):
        assert told == {"name": kind.name, "example": kind.example, "about": kind.about}
