"""The machine: its graphics cards, and where the user has no home folder."""

from __future__ import annotations

from pathlib import Path

import platformdirs
import pytest

from runtime.choice_cache import Outcome
from runtime.machine import Machine, gpu_models


def test_a_user_without_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object, **__: object) -> None:
        raise RuntimeError("could not determine the home directory")

    monkeypatch.setattr(platformdirs, "user_cache_path", none)
    cache = Machine().cache
    cache.put("key", Outcome(backend="cpu", file="model.onnx", speedup=None))
    assert cache.get("key") is None
    assert cache.clear() == 0


def write(root: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


def test_graphics_cards_and_their_driver(tmp_path: Path) -> None:
    gpu, network = "sys/bus/pci/devices/0000:01:00.0", "sys/bus/pci/devices/0000:00:1f.6"
    version = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5\nGCC version"
    files = {
        f"{gpu}/class": "0x030200\n",
        f"{gpu}/vendor": "0x10de\n",
        f"{gpu}/device": "0x20b0\n",
        f"{network}/class": "0x020000\n",
        f"{network}/vendor": "0x8086\n",
        "proc/driver/nvidia/version": version,
    }
    told = "10de:20b0; NVRM version: NVIDIA UNIX x86_64 Kernel Module 550.54.15 Tue Mar 5"
    assert gpu_models(root=write(tmp_path, files)) == told


def test_a_jetson(tmp_path: Path) -> None:
    files = {
        "proc/device-tree/model": "NVIDIA Jetson Orin Nano Developer Kit\0",
        "etc/nv_tegra_release": "# R36 (release), REVISION: 4.3\n# more",
    }
    told = "NVIDIA Jetson Orin Nano Developer Kit; # R36 (release), REVISION: 4.3"
    assert gpu_models(root=write(tmp_path, files)) == told


def test_no_graphics_card(tmp_path: Path) -> None:
    assert gpu_models(root=write(tmp_path, {"proc/device-tree/model": "Raspberry Pi 5\0"})) == ""
