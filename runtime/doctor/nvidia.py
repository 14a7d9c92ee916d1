"""NVIDIA GPUs and their driver, as the kernel and nvidia-smi tell them."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from runtime.control_groups import text
from runtime.doctor.finding import Finding
from runtime.doctor.pci import graphics_cards
from runtime.doctor.place import Place

_VENDOR = "0x10de"
_LIMIT_S = 20.0

Smi = Callable[[], "tuple[int, str] | None"]
"""Runs nvidia-smi: exit code and what it wrote, or None where it is not installed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """A GPU.

    Attributes:
        name: E.g. "NVIDIA RTX A2000".
        memory_mib: Its memory; None where it is not told, as on Jetson boards.
    """

    name: str
    memory_mib: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NvidiaFacts:
    """What there is of NVIDIA.

    Attributes:
        cards: PCI devices of NVIDIA that show pictures or compute.
        kernel_driver: Version of the driver that the kernel has loaded; empty without one.
        nodes: Device files are there, such as /dev/nvidia0.
        smi_code: Exit code of nvidia-smi; None where it is not installed.
        smi_words: What it said if it failed, else "".
        driver: Version of the driver as nvidia-smi tells it.
        gpus: As nvidia-smi tells them.
        jetson: This is a Jetson, whose GPU is no PCI device.
    """

    cards: int = 0
    kernel_driver: str = ""
    nodes: bool = False
    smi_code: int | None = None
    smi_words: str = ""
    driver: str = ""
    gpus: tuple[Gpu, ...] = ()
    jetson: bool = False

    @property
    def present(self) -> bool:
        """There is an NVIDIA GPU, with or without a driver."""
        return bool(self.cards or self.gpus or self.kernel_driver or self.nodes or self.jetson)


def nvidia_facts(
    *, root: Path = Path("/"), jetson: bool = False, smi: Smi | None = None
) -> NvidiaFacts:
    """Those of this machine.

    Args:
        root: Folder that holds `proc`, `sys` and `dev`; another one in tests.
        jetson: This is a Jetson.
        smi: None to run the program.
    """
    ran = (smi or run_smi)()
    code, words = (None, "") if ran is None else ran
    driver, gpus = parse_smi(words) if code == 0 else ("", ())
    loaded = re.search(
        r"(?:Kernel Module|Kernel Module for \S+)\s+(\d[\d.]+)",
        text(root / "proc/driver/nvidia/version"),
    )
    return NvidiaFacts(
        cards=graphics_cards(root).count(_VENDOR),
        kernel_driver=loaded[1] if loaded else "",
        nodes=(root / "dev/nvidia0").exists(),
        smi_code=code,
        smi_words="" if code == 0 else _first_line(words),
        driver=driver,
        gpus=gpus,
        jetson=jetson,
    )


def run_smi() -> tuple[int, str] | None:
    """Ask nvidia-smi for names, memory and driver; for nothing by which a card could be known."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    fields = "--query-gpu=name,memory.total,driver_version"
    try:
        done = subprocess.run(
            [program, fields, "--format=csv,noheader,nounits"],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=_LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return 1, f"no answer within {_LIMIT_S:.0f} s"
    except OSError as error:
        return 1, error.strerror or str(error)
    return done.returncode, (done.stdout or done.stderr).decode("utf-8", "replace")


def parse_smi(words: str) -> tuple[str, tuple[Gpu, ...]]:
    """Version of the driver, and the GPUs, of lines such as `NVIDIA L4, 23034, 550.54.15`."""
    driver, gpus = "", []
    for line in words.splitlines():
        name, *rest = (part.strip() for part in line.rsplit(",", 2))
        if len(rest) != 2 or not name:
            continue
        memory, version = rest
        driver = driver or (version if version[:1].isdigit() else "")
        gpus.append(Gpu(name=name, memory_mib=int(memory) if memory.isdecimal() else None))
    return driver, tuple(gpus)


def _first_line(words: str) -> str:
    lines = [line.strip() for line in words.splitlines() if line.strip()]
    return lines[0].rstrip(".") if lines else ""


def nvidia_findings(facts: NvidiaFacts, place: Place) -> Iterator[Finding]:
    """Judge them; nothing is found where there is nothing of NVIDIA."""
    if not facts.present and facts.smi_code is None:
        return
    driver = facts.driver or facts.kernel_driver
    values = {
        "gpus": [{"name": gpu.name, "memory_mib": gpu.memory_mib} for gpu in facts.gpus],
        "driver": driver,
        "cards": facts.cards,
    }
    if facts.gpus:
        names = ", ".join(
            gpu.name if gpu.memory_mib is None else f"{gpu.name} ({gpu.memory_mib / 1024:.0f} GiB)"
            for gpu in facts.gpus
        )
        message = f"{names}, driver {driver or 'of unknown version'}"
        yield Finding(name="nvidia", status="ok", message=message, facts=values)
    elif facts.jetson:
        message = "the GPU of this Jetson; its driver is part of Jetson Linux"
        yield Finding(name="nvidia", status="ok", message=message, facts=values)
    else:
        yield Finding(
            name="nvidia",
            status="warn",
            message=_trouble(facts),
            fix=_driver_fix(facts, place),
            facts=values,
        )


def _trouble(facts: NvidiaFacts) -> str:
    said = f" (nvidia-smi: {facts.smi_words})" if facts.smi_words else ""
    if facts.kernel_driver:
        reach = "is loaded, but this process does not reach the GPU"
        return f"the NVIDIA driver {facts.kernel_driver} {reach}{said}"
    if facts.cards:
        return f"there is an NVIDIA GPU, but its driver is not loaded{said}"
    return f"NVIDIA's tools are installed, but no GPU answers{said}"


def _driver_fix(facts: NvidiaFacts, place: Place) -> str:
    if place.container:
        return "docker run --gpus all …"
    if facts.kernel_driver:
        return "sudo reboot  # after an update, kernel and libraries of the driver differ"
    return place.system("nvidia-driver", "akmod-nvidia")
