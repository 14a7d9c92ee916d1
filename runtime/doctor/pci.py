"""Graphics cards on the PCI bus, with or without a driver."""

from __future__ import annotations

from pathlib import Path

from runtime.control_groups import text

_CLASSES = ("0x03", "0x12")
"""Display controllers and processing accelerators."""


def graphics_cards(root: Path) -> list[str]:
    """Vendors of the graphics cards and accelerators, e.g. ["0x8086", "0x10de"].

    Args:
        root: Folder that holds `sys`.
    """
    devices = sorted((root / "sys/bus/pci/devices").glob("*"))
    return [
        text(device / "vendor").strip().lower()
        for device in devices
        if text(device / "class").strip().lower().startswith(_CLASSES)
    ]
