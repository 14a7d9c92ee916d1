"""Processor, memory, GPUs, boards and cameras, from made-up /proc, /sys and /dev trees."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.doctor.cameras import CameraFacts, camera_facts, camera_findings
from runtime.doctor.engines import last_words
from runtime.doctor.jetson import (
    JetsonFacts,
    installed_packages,
    jetpack_of,
    jetson_facts,
    jetson_findings,
    linux_release,
)
from runtime.doctor.libraries import missing_library
from runtime.doctor.memory import MemoryFacts, memory_facts, memory_findings
from runtime.doctor.nvidia import (
    Gpu,
    NvidiaFacts,
    nvidia_facts,
    nvidia_findings,
    parse_smi,
    run_smi,
)
from runtime.doctor.place import Place, container_kind, this_place
from runtime.doctor.processor import (
    ProcessorFacts,
    cpu_flags,
    processor_facts,
    processor_findings,
)
from runtime.doctor.render_nodes import NodeFacts, node_facts, node_findings
from runtime.doctor.system import PACKAGES, SystemFacts, system_facts, system_findings

BOX = Place(packages="apt")
DOCKER = Place(packages="apt", root=True, container="docker")


def tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


SYSTEM = SystemFacts(
    python=(3, 11, 7),
    implementation="CPython",
    bits=64,
    executable="/venv/bin/python",
    own_environment=True,
    system="Debian GNU/Linux 12",
    kernel="Linux 6.1.0",
    machine="x86_64",
    c_library="glibc 2.36",
    container="",
    edgecls="0.1.0",
    homes=dict.fromkeys(PACKAGES, "/venv/lib"),
)


@pytest.mark.parametrize(
    ("facts", "status", "words"),
    [
        (SYSTEM, "ok", "CPython 3.11.7, 64 bit, /venv/bin/python"),
        (replace(SYSTEM, python=(3, 8, 10)), "fail", "needs Python 3.10 to 3.13"),
        (replace(SYSTEM, python=(3, 14, 0)), "fail", "needs Python 3.10 to 3.13"),
        (replace(SYSTEM, bits=32), "warn", "no builds for 32 bit"),
        (replace(SYSTEM, own_environment=False), "note", "environment of its own"),
        (replace(SYSTEM, own_environment=False, container="docker"), "ok", "CPython"),
    ],
)
def test_python(facts: SystemFacts, status: str, words: str) -> None:
    python, system, edgecls = system_findings(facts)
    assert (python.status, words in python.message) == (status, True)
    assert (system.status, edgecls.status) == ("ok", "ok")


def test_packages_hidden_by_others() -> None:
    homes = {**SYSTEM.homes, "models": "/elsewhere", "convert": ""}
    *_, edgecls = system_findings(replace(SYSTEM, homes=homes))
    assert edgecls.status == "fail"
    assert "others hide models (/elsewhere), convert (not found)" in edgecls.message


def test_this_system(tmp_path: Path) -> None:
    tree(tmp_path, {"etc/os-release": 'NAME=x\nPRETTY_NAME="Toy OS 1"\n', ".dockerenv": ""})
    facts = system_facts(root=tmp_path)
    assert (facts.system, facts.container) == ("Toy OS 1", "docker")
    assert len(set(facts.homes.values())) == 1


@pytest.mark.parametrize(
    ("files", "kind"),
    [
        ({}, ""),
        ({"run/.containerenv": ""}, "podman"),
        ({"proc/self/cgroup": "0::/kubepods/pod1\n"}, "kubernetes"),
        ({"proc/1/cgroup": "12:cpu:/docker/abc\n"}, "docker"),
    ],
)
def test_containers(files: dict[str, str], kind: str, tmp_path: Path) -> None:
    assert container_kind(root=tree(tmp_path, files)) == kind


X86 = ProcessorFacts(
    model="Intel(R) N100",
    machine="x86_64",
    flags=frozenset({"sse4_2", "avx2", "avx_vnni"}),
    cpus=4,
    allowed=4,
    quota=None,
    usable=4,
)


@pytest.mark.parametrize(
    ("facts", "status", "words"),
    [
        (X86, "ok", "Intel(R) N100: AVX2, VNNI"),
        (replace(X86, flags=frozenset({"avx2"})), "note", "without VNNI, INT8"),
        (replace(X86, flags=frozenset({"sse4_2"})), "warn", "without AVX2"),
        (replace(X86, flags=frozenset()), "note", "not told"),
        (
            replace(X86, machine="aarch64", flags=frozenset({"fp", "asimddp", "asimdhp"})),
            "ok",
            "dotprod, fp16",
        ),
        (replace(X86, machine="aarch64", flags=frozenset({"fp"})), "note", "without dotprod"),
        (
            replace(X86, flags=frozenset({"avx2", "avx512f", "avx512_vnni", "amx_int8"})),
            "ok",
            "AVX2, AVX-512, VNNI, AMX",
        ),
    ],
)
def test_features(facts: ProcessorFacts, status: str, words: str) -> None:
    features, cpus = processor_findings(facts)
    assert (features.status, words in features.message) == (status, True), features
    assert cpus.message == "4 of 4 CPUs may be used"


def test_limits_of_cpus() -> None:
    facts = replace(X86, cpus=64, allowed=8, quota=1.5, usable=2)
    _, cpus = processor_findings(facts)
    assert cpus.message == "2 of 64 CPUs may be used (affinity 8, control group 1.5)"
    assert cpus.status == "ok"
    _, cpus = processor_findings(replace(facts, quota=0.5, usable=1))
    assert cpus.status == "warn"
    assert "--cpus" in cpus.fix


def test_flags_that_all_processors_have(tmp_path: Path) -> None:
    cpuinfo = "Features\t: fp asimd asimddp\n\nFeatures\t: fp asimd\n"
    assert cpu_flags(cpuinfo) == {"fp", "asimd"}
    assert cpu_flags("") == frozenset()
    quota = {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "50000 100000\n"}
    facts = processor_facts(root=tree(tmp_path, {"proc/cpuinfo": cpuinfo, **quota}))
    assert (facts.flags, facts.quota, facts.usable) == (frozenset({"fp", "asimd"}), 0.5, 1)


def test_memory(tmp_path: Path) -> None:
    files = {
        "proc/meminfo": "MemTotal: 8000000 kB\nMemAvailable: 4000000 kB\n",
        "proc/self/cgroup": "0::/\n",
        "sys/fs/cgroup/memory.max": "300000000\n",
        "sys/fs/cgroup/memory.current": "100000000\n",
    }
    facts = memory_facts(root=tree(tmp_path, files))
    assert facts == MemoryFacts(total=8_192_000_000, limit=300_000_000, available=200_000_000)
    (finding,) = memory_findings(facts)
    assert finding.status == "warn"
    assert finding.message.startswith("200.0 MB free of 8.2 GB (control group 300.0 MB)")
    (finding,) = memory_findings(replace(facts, limit=None, available=2_000_000_000))
    assert (finding.status, finding.message) == ("ok", "2.0 GB free of 8.2 GB")
    (finding,) = memory_findings(memory_facts(root=tmp_path / "none"))
    assert finding.status == "note"


def test_limits_of_the_first_control_groups(tmp_path: Path) -> None:
    files = {
        "proc/self/cgroup": "4:memory:/box\n",
        "sys/fs/cgroup/memory/box/memory.limit_in_bytes": "9223372036854771712\n",
    }
    assert memory_facts(root=tree(tmp_path, files)).limit is None


SMI = "NVIDIA RTX A2000, 12282, 550.54.15\nGraphics, Odd, 2048, 550.54.15\n"
LOADED = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5 22:23:56 UTC 2024\n"
OPEN_MODULE = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86.10  Release Build\n"
CARD = {"sys/bus/pci/devices/1/vendor": "0x10de\n", "sys/bus/pci/devices/1/class": "0x030000\n"}


def test_nvidia_smi_is_read() -> None:
    assert parse_smi(SMI) == (
        "550.54.15",
        (
            Gpu(name="NVIDIA RTX A2000", memory_mib=12282),
            Gpu(name="Graphics, Odd", memory_mib=2048),
        ),
    )
    assert parse_smi("Orin (nvgpu), [N/A], [N/A]\n") == (
        "",
        (Gpu(name="Orin (nvgpu)", memory_mib=None),),
    )
    assert parse_smi("No devices were found\n") == ("", ())


@pytest.mark.parametrize(
    ("script", "ran"),
    [
        ("echo NVIDIA L4, 23034, 550.54.15", (0, "NVIDIA L4, 23034, 550.54.15\n")),
        ("echo broken >&2; exit 9", (9, "broken\n")),
    ],
)
def test_nvidia_smi_is_run(
    script: str, ran: tuple[int, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert run_smi() is None
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    assert run_smi() == ran


def test_no_nvidia(tmp_path: Path) -> None:
    facts = nvidia_facts(root=tmp_path, smi=lambda: None)
    assert (facts, facts.present) == (NvidiaFacts(), False)
    assert list(nvidia_findings(facts, BOX)) == []


def test_nvidia_gpus(tmp_path: Path) -> None:
    tree(tmp_path, {"proc/driver/nvidia/version": LOADED, "dev/nvidia0": "", **CARD})
    facts = nvidia_facts(root=tmp_path, smi=lambda: (0, SMI))
    assert (facts.cards, facts.kernel_driver, facts.nodes) == (1, "550.54.15", True)
    (finding,) = nvidia_findings(facts, BOX)
    assert finding.status == "ok"
    assert finding.message == ("NVIDIA RTX A2000 (12 GiB), Graphics, Odd (2 GiB), driver 550.54.15")


def test_nvidia_without_a_driver(tmp_path: Path) -> None:
    facts = nvidia_facts(root=tree(tmp_path, CARD), smi=lambda: None)
    (finding,) = nvidia_findings(facts, BOX)
    assert (finding.status, finding.fix) == ("warn", "sudo apt-get install nvidia-driver")
    (finding,) = nvidia_findings(facts, DOCKER)
    assert finding.fix == "docker run --gpus all …"


def test_nvidia_with_two_versions_of_the_driver(tmp_path: Path) -> None:
    said = "Failed to initialize NVML: Driver/library version mismatch\nmore\n"
    tree(tmp_path, {"proc/driver/nvidia/version": OPEN_MODULE})
    facts = nvidia_facts(root=tmp_path, smi=lambda: (18, said))
    assert facts.kernel_driver == "570.86.10"
    (finding,) = nvidia_findings(facts, BOX)
    assert finding.status == "warn"
    assert "570.86.10 is loaded, but this process does not reach the GPU" in finding.message
    assert "Driver/library version mismatch)" in finding.message
    assert finding.fix.startswith("sudo reboot")


def test_tools_of_nvidia_without_a_gpu(tmp_path: Path) -> None:
    facts = nvidia_facts(root=tmp_path, smi=lambda: (0, "No devices were found\n"))
    (finding,) = nvidia_findings(facts, BOX)
    assert "no GPU answers" in finding.message


def test_render_nodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {
        "dev/dri/renderD128": "",
        "sys/class/drm/renderD128/device/vendor": "0x8086\n",
        "dev/accel/accel0": "",
        "sys/class/accel/accel0/device/vendor": "0x8086\n",
    }
    tree(tmp_path, files)
    (tmp_path / "drivers/i915").mkdir(parents=True)
    (tmp_path / "sys/class/drm/renderD128/device/driver").symlink_to(tmp_path / "drivers/i915")
    gpu, npu = node_findings(node_facts(root=tmp_path), BOX)
    assert (gpu.name, npu.name) == ("renderD128", "accel0")
    assert (gpu.status, gpu.message) == ("ok", "Intel GPU, /dev/dri/renderD128, driver i915")
    assert npu.message == "Intel NPU, /dev/accel/accel0"
    monkeypatch.setattr(os, "access", lambda *_: False)
    facts = node_facts(root=tmp_path)
    gpu, _ = node_findings(facts, BOX)
    assert gpu.status == "warn"
    assert gpu.fix.startswith(f"sudo usermod -aG {facts.nodes[0].group} ")
    gpu, _ = node_findings(facts, DOCKER)
    assert gpu.fix.startswith("docker run --group-add ")


def test_an_intel_gpu_without_a_node(tmp_path: Path) -> None:
    files = {"sys/bus/pci/devices/0/vendor": "0x8086", "sys/bus/pci/devices/0/class": "0x030000"}
    facts = node_facts(root=tree(tmp_path, files))
    assert facts == NodeFacts(intel_cards=1)
    (finding,) = node_findings(facts, DOCKER)
    assert (finding.status, "--device /dev/dri" in finding.fix) == ("note", True)


TEGRA = "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64, DATE: Wed\n"
DPKG = """Package: nvidia-jetpack
Status: install ok installed
Version: 6.2+b77

Package: libnvinfer10
Status: install ok installed
Version: 10.3.0.30-1+cuda12.5

Package: libcudnn9-cuda-12
Status: deinstall ok config-files
Version: 9.3.0.75-1

Package: vim
Status: install ok installed
Version: 9
"""
ORIN = {
    "etc/nv_tegra_release": TEGRA,
    "proc/device-tree/model": "NVIDIA Jetson Orin Nano Developer Kit\0",
    "proc/sys/kernel/osrelease": "5.15.148-tegra\n",
    "var/lib/dpkg/status": DPKG,
}
ON_ORIN = Place(packages="apt", jetson_linux=36, nvidia=True, machine="aarch64")


def test_a_jetson(tmp_path: Path) -> None:
    facts = jetson_facts(root=tree(tmp_path, ORIN))
    assert (facts.release, facts.jetpack, facts.major) == ("36.4.3", "6.2", 36)
    assert facts.packages == {"nvidia-jetpack": "6.2+b77", "libnvinfer10": "10.3.0.30-1+cuda12.5"}
    (finding,) = jetson_findings(facts, ON_ORIN, python=(3, 10))
    assert finding.status == "ok"
    assert finding.message == (
        "NVIDIA Jetson Orin Nano Developer Kit, Jetson Linux 36.4.3, JetPack 6.2"
    )
    _, python = jetson_findings(facts, ON_ORIN, python=(3, 12))
    assert (python.status, python.fix) == ("warn", "python3.10 -m venv .venv")


def test_a_jetson_without_its_libraries() -> None:
    facts = JetsonFacts(board="NVIDIA Jetson AGX Orin", release="36.3", jetpack="6.0")
    _, libraries = jetson_findings(facts, ON_ORIN, python=(3, 10))
    assert (libraries.status, libraries.fix) == ("warn", "sudo apt-get install nvidia-jetpack")
    inside = replace(ON_ORIN, container="docker")
    assert len(list(jetson_findings(facts, inside, python=(3, 10)))) == 1


@pytest.mark.parametrize(
    ("kernel", "major"), [("5.15.148-tegra", 36), ("4.9.337-tegra", 32), ("5.99.1-tegra", 0)]
)
def test_a_container_on_a_jetson(kernel: str, major: int, tmp_path: Path) -> None:
    """It sees neither the release nor the name of the board."""
    facts = jetson_facts(root=tree(tmp_path, {"proc/sys/kernel/osrelease": kernel}))
    assert (facts.present, facts.major) == (True, major)


def test_an_old_jetson() -> None:
    facts = JetsonFacts(board="NVIDIA Jetson Nano", release="32.7.1", jetpack="4")
    (finding,) = jetson_findings(facts, ON_ORIN, python=(3, 10))
    assert (finding.status, "Python 3.8" in finding.message) == ("warn", True)


def test_no_jetson(tmp_path: Path) -> None:
    tree(tmp_path, {"proc/device-tree/model": "Raspberry Pi 5\0"})
    facts = jetson_facts(root=tmp_path)
    assert not facts.present
    assert list(jetson_findings(facts, BOX, python=(3, 11))) == []


@pytest.mark.parametrize(
    ("release", "jetpack"),
    [
        ("36.4.3", "6.2"),
        ("36.4.0", "6.1"),
        ("36.4.99", "6"),
        ("38.2.1", "7.0"),
        ("39.2.0", "7.2"),
        ("32.7.1", "4"),
        ("", ""),
        ("99.1", ""),
    ],
)
def test_jetpack_by_release(release: str, jetpack: str) -> None:
    assert jetpack_of(release, {}) == jetpack


def test_words_that_are_no_release() -> None:
    assert linux_release("nonsense") == ""
    assert installed_packages("Package\n\n:\n\nPackage: libnvinfer10\n") == {}


def test_cameras(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {
        "dev/video0": "",
        "dev/video1": "",
        "dev/video10": "",
        "dev/videoloop": "",
        "sys/class/video4linux/video0/name": "HD Webcam\n",
        "sys/class/video4linux/video0/index": "0\n",
        "sys/class/video4linux/video1/index": "1\n",
    }
    tree(tmp_path, files)
    first, second = camera_findings(camera_facts(root=tmp_path), BOX)
    assert (first.name, first.message) == ("camera0", "HD Webcam, /dev/video0")
    assert (second.name, second.message) == ("camera10", "a camera, /dev/video10")
    monkeypatch.setattr(os, "access", lambda *_: False)
    first, _ = camera_findings(camera_facts(root=tmp_path), BOX)
    assert first.status == "warn"
    assert "this user may not use it (group " in first.message
    assert first.fix.endswith('"$USER"  # then log in again')


def test_no_cameras(tmp_path: Path) -> None:
    (finding,) = camera_findings(camera_facts(root=tmp_path), DOCKER)
    assert (finding.status, "--device" in finding.fix) == ("note", True)
    (finding,) = camera_findings(CameraFacts(known=False), BOX)
    assert "cannot be listed on this system" in finding.message


@given(st.text(alphabet="aR36#,.:-_ \n0189(release)REVISION\tfeatures", max_size=200))
def test_whatever_files_and_programs_say(words: str) -> None:
    parse_smi(words)
    assert jetpack_of(linux_release(words), installed_packages(words)) is not None
    cpu_flags(words)
    assert missing_library(words) == ""
    assert "\n" not in last_words(words)


@pytest.mark.parametrize(
    ("tool", "packages", "line"),
    [
        ("usr/bin/apt-get", "apt", "apt-get install a"),
        ("usr/bin/dnf", "dnf", "dnf install b"),
        ("sbin/apk", "apk", "apk add c"),
        ("bin/other", "", ""),
    ],
)
def test_package_tools(tool: str, packages: str, line: str, tmp_path: Path) -> None:
    place = this_place(root=tree(tmp_path, {tool: ""}))
    assert place.packages == packages
    assert replace(place, root=True).system("a", "b", "c") == line
    assert replace(place, root=False).system("a", "b", "c") == (f"sudo {line}" if line else "")
