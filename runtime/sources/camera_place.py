"""Which device a camera is, also after it was unplugged and came back under another number."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SYSFS = Path("/sys/class/video4linux")


@dataclass(frozen=True, slots=True)
class _Known:
    """What the kernel tells of a device.

    Attributes:
        place: The socket that it is plugged into, and which of the camera's devices it is.
        model: Vendor, product, serial number and which of the camera's devices it is; None
            where nothing of that is known.
    """

    place: tuple[str, str]
    model: tuple[str, str, str, str, str] | None


class CameraPlace:
    """The number of a camera, now.

    At first it is the number that the user gave. Once that was opened, it is the number of the
    same camera: of the one of the same make and serial number, wherever it is plugged in, or else
    of what is plugged into the same socket. Where there were two alike to begin with, the socket
    decides.

    Args:
        number: N of /dev/videoN, as given by the user.
        sysfs: Where the kernel lists the devices; None for `SYSFS`. Where it does not, the number
            never changes.
    """

    def __init__(self, number: int, *, sysfs: Path | None = None) -> None:
        self._number = number
        self._sysfs = sysfs or SYSFS
        self._camera: _Known | None = None
        self._unique = False

    def opened(self) -> None:
        """The camera that has the number given by the user was opened: it is meant from now on."""
        known = dict(_devices(self._sysfs))
        if self._camera is None and self._number in known:
            self._camera = known[self._number]
            models = [one.model for one in known.values()]
            self._unique = models.count(self._camera.model) == 1

    def number(self) -> int | None:
        """N of /dev/videoN; None while the camera is not plugged in."""
        camera = self._camera
        if camera is None:
            return self._number
        known = dict(_devices(self._sysfs))
        alike = [number for number, one in known.items() if one.model == camera.model]
        there = [number for number, one in known.items() if one.place == camera.place]
        if camera.model is not None:
            same = [number for number in there if number in alike]
            if same or (self._unique and len(alike) == 1):
                return (same or alike)[0]
        return there[0] if there else None


def _devices(sysfs: Path) -> Iterator[tuple[int, _Known]]:
    """What is plugged in, by number."""
    for entry in sorted(sysfs.glob("video*")):
        digits = entry.name.removeprefix("video")
        if not digits.isdecimal():
            continue
        parent = (entry / "device").resolve()
        index = _text(entry / "index")
        usb = parent.parent
        model = (
            _text(usb / "idVendor"),
            _text(usb / "idProduct"),
            _text(usb / "serial"),
            _text(parent / "bInterfaceNumber"),
            index,
        )
        yield int(digits), _Known((str(parent), index), model if model[0] else None)


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace").strip()
    except OSError:
        return ""
