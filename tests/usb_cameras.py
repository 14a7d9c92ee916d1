"""A stand-in for what the kernel tells of cameras on USB, in files as below /sys."""

from __future__ import annotations

import shutil
from pathlib import Path


class FakeUsb:
    """Cameras that are plugged in and out.

    Args:
        folder: Stands for /sys.

    Attributes:
        listed: Stands for /sys/class/video4linux.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.listed = folder / "class" / "video4linux"
        self.listed.mkdir(parents=True)

    def plug(
        self,
        number: int,
        socket: str,
        vendor: str,
        product: str,
        serial: str | None,
        *,
        index: int = 0,
    ) -> None:
        """Plug a camera in.

        Args:
            number: That it gets.
            socket: Such as "1-2".
            vendor: Of the camera.
            product: Likewise.
            serial: Likewise; None for none.
            index: Which of its devices it is.
        """
        usb = self._folder / "devices" / socket
        interface = usb / f"{socket}:1.0"
        entry = interface / "video4linux" / f"video{number}"
        entry.mkdir(parents=True)
        (usb / "idVendor").write_text(f"{vendor}\n")
        (usb / "idProduct").write_text(f"{product}\n")
        if serial is not None:
            (usb / "serial").write_text(f"{serial}\n")
        (interface / "bInterfaceNumber").write_text("00\n")
        (entry / "index").write_text(f"{index}\n")
        (entry / "device").symlink_to(interface)
        (self.listed / f"video{number}").symlink_to(entry)

    def unplug(self, number: int) -> None:
        """Plug it out."""
        entry = (self.listed / f"video{number}").resolve()
        (self.listed / f"video{number}").unlink()
        shutil.rmtree(entry.parents[2])
