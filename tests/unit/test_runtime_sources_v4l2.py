from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from runtime.sources.v4l2 import FrameSize, camera_devices
from tests.v4l2_driver import (
    CAPTURE_PLANES,
    METADATA,
    FakeCamera,
    FakeDrivers,
    FakeSize,
    webcam,
)


def test_what_a_webcam_can_do(tmp_path: Path) -> None:
    drivers = FakeDrivers(tmp_path, {0: webcam("HD Pro Webcam C920")})
    link = drivers.link("usb-046d_HD_Pro_Webcam_C920-video-index0", 0)
    (found,) = camera_devices(tmp_path, ask=drivers)
    assert (found.number, found.path) == (0, str(tmp_path / "video0"))
    assert (found.name, found.driver, found.bus) == (
        "HD Pro Webcam C920",
        "uvcvideo",
        "usb-0000:00:14.0-2",
    )
    assert found.links == (str(link),)
    assert found.problem is None
    assert [(one.code, one.words) for one in found.formats] == [
        ("MJPG", "Motion-JPEG"),
        ("YUYV", "YUYV 4:2:2"),
    ]
    assert found.formats[0].sizes == (
        FrameSize(width=1920, height=1080, up_to=None, fps=(30.0, 15.0), fps_between=False),
        FrameSize(width=1280, height=720, up_to=None, fps=(60.0, 30.0), fps_between=False),
    )
    assert found.formats[1].sizes[0].fps == (30.0, 30000 / 1001)


def test_cameras_come_by_number_without_what_gives_no_pictures(tmp_path: Path) -> None:
    drivers = FakeDrivers(
        tmp_path,
        {
            10: webcam("tenth"),
            2: webcam("second"),
            # A webcam has a second device, for metadata; the abilities of both are named in each.
            3: FakeCamera(abilities=METADATA),
            4: FakeCamera(fails=errno.ENOTTY),
        },
    )
    (tmp_path / "video-other").touch()
    found = camera_devices(tmp_path, ask=drivers)
    assert [(one.number, one.name) for one in found] == [(2, "second"), (10, "tenth")]


def test_a_camera_with_every_size_and_rate_in_a_range(tmp_path: Path) -> None:
    camera = FakeCamera(
        abilities=CAPTURE_PLANES,
        formats={"NV12": (FakeSize(32, 16, ((1, 120), (1, 5)), up_to=(4056, 3040), between=True),)},
    )
    drivers = FakeDrivers(tmp_path, {0: camera})
    (found,) = camera_devices(tmp_path, ask=drivers)
    assert found.formats[0].sizes == (
        FrameSize(width=32, height=16, up_to=(4056, 3040), fps=(120.0, 5.0), fps_between=True),
    )


def test_drivers_that_tell_little(tmp_path: Path) -> None:
    camera = FakeCamera(formats={"GREY": (FakeSize(640, 400),), "XYZ1": ()}, own_abilities=False)
    drivers = FakeDrivers(tmp_path, {0: camera})
    (found,) = camera_devices(tmp_path, ask=drivers)
    assert [(one.code, one.sizes) for one in found.formats] == [
        ("GREY", (FrameSize(width=640, height=400, up_to=None, fps=(), fps_between=False),)),
        ("XYZ1", ()),
    ]


def test_cameras_that_cannot_be_asked_say_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drivers = FakeDrivers(tmp_path, {0: FakeCamera(fails=errno.EIO), 1: webcam()})
    opened = os.open

    def denied(path: Path, flags: int) -> int:
        if path.name == "video1":
            raise PermissionError(errno.EACCES, "Permission denied")
        return opened(path, flags)

    monkeypatch.setattr(os, "open", denied)
    found = camera_devices(tmp_path, ask=drivers)
    assert [(one.number, one.problem) for one in found] == [
        (0, "Input/output error"),
        (1, "Permission denied"),
    ]


def test_a_file_is_no_camera(tmp_path: Path) -> None:
    (tmp_path / "video0").write_text("not a device")
    # The real system call says so.
    assert camera_devices(tmp_path) == ()
    assert camera_devices(tmp_path / "nowhere") == ()


def test_a_driver_whose_list_never_ends(tmp_path: Path) -> None:
    class Endless(FakeCamera):
        def answer(self, request: int, value: bytes) -> bytes:
            if request == 0xC0405602:
                value = bytes(4) + value[4:]
            return super().answer(request, value)

    drivers = FakeDrivers(tmp_path, {0: Endless(formats={"GREY": ()})})
    (found,) = camera_devices(tmp_path, ask=drivers)
    assert len(found.formats) == 512
