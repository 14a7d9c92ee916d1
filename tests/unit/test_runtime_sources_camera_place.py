from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from runtime.sources.camera_place import CameraPlace
from tests.usb_cameras import FakeUsb

Camera = tuple[str, str, str | None]
"""Vendor, product and serial number."""

ONE: Camera = ("046d", "0825", "A1")
TWIN: Camera = ("046d", "0825", "A1")
SISTER: Camera = ("046d", "0825", "B2")
NAMELESS: Camera = ("046d", "0825", None)
STRANGER: Camera = ("1d6c", "0103", None)


@pytest.fixture
def usb(tmp_path: Path) -> FakeUsb:
    return FakeUsb(tmp_path)


@pytest.fixture
def place(usb: FakeUsb) -> Callable[[int], CameraPlace]:
    def opened(number: int) -> CameraPlace:
        found = CameraPlace(number, sysfs=usb.listed)
        assert found.number() == number
        found.opened()
        assert found.number() == number
        return found

    return opened


Opened = Callable[[int], CameraPlace]


def test_without_the_kernels_list_the_number_counts(tmp_path: Path) -> None:
    found = CameraPlace(3, sysfs=tmp_path / "nowhere")
    found.opened()
    assert found.number() == 3


def test_unplugged_and_back_in_the_same_socket(usb: FakeUsb, place: Opened) -> None:
    usb.plug(0, "1-2", *ONE)
    found = place(0)
    usb.unplug(0)
    assert found.number() is None
    usb.plug(4, "1-2", *ONE)
    assert found.number() == 4
    # To be opened again does not change who is meant.
    found.opened()
    usb.unplug(4)
    usb.plug(0, "1-3", *STRANGER)
    assert found.number() is None


@pytest.mark.parametrize("camera", [ONE, NAMELESS])
def test_back_in_another_socket_though_another_camera_is_in_its_own(
    usb: FakeUsb, place: Opened, camera: Camera
) -> None:
    usb.plug(0, "1-2", *camera)
    found = place(0)
    usb.unplug(0)
    usb.plug(0, "1-2", *STRANGER)
    usb.plug(1, "1-7", *camera)
    assert found.number() == 1


@pytest.mark.parametrize("successor", [SISTER, STRANGER])
def test_a_camera_that_replaces_it_in_its_socket(
    usb: FakeUsb, place: Opened, successor: Camera
) -> None:
    usb.plug(0, "1-2", *ONE)
    found = place(0)
    usb.unplug(0)
    usb.plug(1, "1-2", *successor)
    assert found.number() == 1


@pytest.mark.parametrize("camera", [TWIN, NAMELESS])
def test_of_two_alike_the_socket_decides(usb: FakeUsb, place: Opened, camera: Camera) -> None:
    usb.plug(0, "1-2", *camera)
    usb.plug(1, "1-3", *camera)
    found = place(0)
    usb.unplug(0)
    # The other one is not taken for it.
    assert found.number() is None
    usb.plug(2, "1-7", *camera)
    assert found.number() is None
    usb.plug(3, "1-2", *camera)
    assert found.number() == 3


def test_two_cameras_told_apart_by_their_serial_numbers(usb: FakeUsb, place: Opened) -> None:
    usb.plug(0, "1-2", *ONE)
    usb.plug(1, "1-3", *SISTER)
    first, second = place(0), place(1)
    usb.unplug(0)
    usb.unplug(1)
    usb.plug(0, "1-3", *ONE)
    usb.plug(1, "1-2", *SISTER)
    assert (first.number(), second.number()) == (0, 1)


def test_the_other_device_of_a_camera_is_not_taken_for_it(usb: FakeUsb, place: Opened) -> None:
    usb.plug(0, "1-2", *ONE)
    found = place(0)
    usb.unplug(0)
    usb.plug(0, "1-2", *ONE, index=1)
    assert found.number() is None


def test_a_camera_that_is_not_on_usb_is_known_by_its_place(tmp_path: Path) -> None:
    for number, device in ((0, "csi-left"), (1, "csi-right")):
        platform = tmp_path / "devices" / device
        platform.mkdir(parents=True)
        entry = tmp_path / "class" / f"video{number}"
        entry.mkdir(parents=True)
        (entry / "device").symlink_to(platform)
    found = CameraPlace(1, sysfs=tmp_path / "class")
    found.opened()
    assert found.number() == 1
    (tmp_path / "class" / "video1").rename(tmp_path / "class" / "video5")
    (tmp_path / "class" / "video-odd").mkdir()
    assert found.number() == 5
