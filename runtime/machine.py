"""What a choice of engine and graph depends on, besides the model."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

from runtime.backends import BACKENDS
from runtime.cache_folder import cache_folder
from runtime.choice_cache import ChoiceCache
from runtime.control_groups import text
from runtime.cpu import CpuInfo, cpu_info
from runtime.race import Clock
from runtime.session import Backend

_GRAPHICS = ("0x03", "0x12")
"""Classes of PCI devices: display controllers, processing accelerators."""


def gpu_models(*, root: Path = Path("/")) -> str:
    """The graphics cards and their driver; the same text again only for the same ones.

    E.g. "10de:20b0; NVRM version: NVIDIA UNIX x86_64 Kernel Module 550.54". PCI devices of every
    maker by their numbers, a Jetson, whose GPU is none, by its board; the driver where it is
    NVIDIA's. No library is loaded for it.

    Args:
        root: Folder that holds `proc`, `sys` and `etc`; another one in tests.

    Returns:
        Empty where there is none.
    """
    facts = []
    for device in sorted((root / "sys/bus/pci/devices").glob("*")):
        if text(device / "class").strip().startswith(_GRAPHICS):
            maker, model = (text(device / name).strip()[2:] for name in ("vendor", "device"))
            facts.append(f"{maker}:{model}")
    board = text(root / "proc/device-tree/model").strip("\0\n ")
    if "Jetson" in board or "Tegra" in board:
        facts += [board, _first_line(root / "etc/nv_tegra_release")]
    facts.append(_first_line(root / "proc/driver/nvidia/version"))
    return "; ".join(filter(None, facts))


def _first_line(path: Path) -> str:
    """With single blanks."""
    return " ".join(text(path).partition("\n")[0].split())


def remembered_races() -> ChoiceCache:
    """Of this user."""
    return ChoiceCache(cache_folder() / "backend-choices.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """This machine, or one made up in tests.

    Attributes:
        backends: Engines in order of preference.
        cpu: The processor.
        gpus: Graphics cards and accelerators, see `gpu_models`.
        clock: Monotonic seconds.
        cache: Remembers races.
    """

    backends: tuple[Backend, ...] = BACKENDS
    cpu: CpuInfo = field(default_factory=cpu_info)
    gpus: str = field(default_factory=gpu_models)
    clock: Clock = time.perf_counter
    cache: ChoiceCache = field(default_factory=remembered_races)
