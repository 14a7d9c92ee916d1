"""Jetson boards: which board, which Jetson Linux (L4T), which JetPack."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from runtime.control_groups import text
from runtime.doctor.finding import Finding
from runtime.doctor.place import Place

JETPACKS = {
    "39.2": "7.2",
    "38.4": "7.1",
    "38.2.1": "7.0",
    "38.2": "7.0",
    "36.4.4": "6.2.1",
    "36.4.3": "6.2",
    "36.4": "6.1",
    "36.3": "6.0",
    "39": "7",
    "38": "7",
    "36": "6",
    "35": "5",
    "32": "4",
}
"""JetPack by the release of Jetson Linux, or by its first number where the release is none of these
(NVIDIA's archives of JetPack and Jetson Linux)."""

_RELEASE = re.compile(r"# R(?P<major>\d+) \(release\), REVISION: (?P<minor>[\d.]+)", re.ASCII)

_PACKAGES = re.compile(
    r"nvidia-jetpack|nvidia-l4t-core|nvidia-l4t-cuda|libnvinfer\d+|libcudnn\d+(?:-cuda-\d+)?"
    r"|cuda-cudart-\d+-\d+|libcublas-\d+-\d+",
    re.ASCII,
)
"""Of dpkg: those that tell what ONNX Runtime and TensorRT find here."""

_KERNELS = {"6.8.": 38, "5.15.": 36, "5.10.": 35, "4.9.": 32}
"""Major release of Jetson Linux by the kernel it has."""

_WHEELS_FOR = {36: (3, 10)}
"""The Python that NVIDIA's wheels are for, by major release of Jetson Linux."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JetsonFacts:
    """A Jetson board.

    Attributes:
        board: As the device tree calls it; empty on other machines.
        release: Of Jetson Linux, e.g. "36.4.3"; empty where it is not told.
        jetpack: E.g. "6.2"; empty where it is not known.
        packages: Versions of NVIDIA's packages that are installed.
        kernel: Release of the kernel, if it is one for these boards.
    """

    board: str = ""
    release: str = ""
    jetpack: str = ""
    packages: Mapping[str, str] = field(default_factory=dict)
    kernel: str = ""

    @property
    def present(self) -> bool:
        """This is a Jetson."""
        return bool(self.board or self.release or self.kernel)

    @property
    def major(self) -> int:
        """Major release of Jetson Linux, in a container by the kernel; 0 where it is not known."""
        first = self.release.split(".")[0]
        if first.isdecimal():
            return int(first)
        return next(
            (major for start, major in _KERNELS.items() if self.kernel.startswith(start)), 0
        )


def jetson_facts(*, root: Path = Path("/")) -> JetsonFacts:
    """Those of this machine.

    Args:
        root: Folder that holds `etc`, `proc` and `var`; another one in tests.
    """
    board = text(root / "proc/device-tree/model").strip("\0\n ")
    kernel = text(root / "proc/sys/kernel/osrelease").strip()
    is_tegra = "tegra" in kernel or any(word in board for word in ("Jetson", "Tegra"))
    packages = installed_packages(text(root / "var/lib/dpkg/status"))
    release = linux_release(text(root / "etc/nv_tegra_release"))
    if not release and "nvidia-l4t-core" in packages:
        release = packages["nvidia-l4t-core"].split("-")[0]
    return JetsonFacts(
        board=board if is_tegra else "",
        release=release,
        jetpack=jetpack_of(release, packages),
        packages=packages,
        kernel=kernel if is_tegra else "",
    )


def linux_release(words: str) -> str:
    """Release in /etc/nv_tegra_release, e.g. "36.4.3"; empty when there is none."""
    found = _RELEASE.search(words)
    return f"{found['major']}.{found['minor']}" if found else ""


def installed_packages(status: str) -> dict[str, str]:
    """Versions of NVIDIA's packages in dpkg's list (/var/lib/dpkg/status)."""
    found = {}
    for paragraph in status.split("\n\n"):
        fields = {
            key: value.strip()
            for key, _, value in (line.partition(":") for line in paragraph.splitlines())
            if key in {"Package", "Version", "Status"}
        }
        name = fields.get("Package", "")
        if _PACKAGES.fullmatch(name) and fields.get("Status", "").endswith(" installed"):
            found[name] = fields.get("Version", "")
    return found


def jetpack_of(release: str, packages: Mapping[str, str]) -> str:
    """JetPack, by its package or else by the release of Jetson Linux; empty where neither tells."""
    if "nvidia-jetpack" in packages:
        return packages["nvidia-jetpack"].split("+")[0]
    major = release.split(".")[0]
    return JETPACKS.get(release.removesuffix(".0"), JETPACKS.get(major, ""))


def jetson_findings(
    facts: JetsonFacts, place: Place, *, python: tuple[int, int]
) -> Iterator[Finding]:
    """Judge them; nothing is found on other machines.

    Args:
        facts: Of the board.
        place: Of this installation.
        python: Version of the interpreter.
    """
    if not facts.present:
        return
    linux = f"Jetson Linux {facts.release}" if facts.release else "Jetson Linux of unknown release"
    jetpack = f"JetPack {facts.jetpack}" if facts.jetpack else "JetPack unknown"
    values = {
        "board": facts.board,
        "jetson_linux": facts.release,
        "jetpack": facts.jetpack,
        "packages": dict(facts.packages),
    }
    message = f"{facts.board or 'Jetson'}, {linux}, {jetpack}"
    if facts.major and facts.major < 36:
        yield Finding(
            name="jetson",
            status="warn",
            message=f"{message}: its engines are for Python 3.8 and older, edgecls needs 3.10;"
            " JetPack 6 has them",
            facts=values,
        )
        return
    yield Finding(name="jetson", status="ok", message=message, facts=values)
    wanted = _WHEELS_FOR.get(facts.major)
    if wanted is not None and python != wanted:
        version = ".".join(map(str, wanted))
        yield Finding(
            name="jetson python",
            status="warn",
            message=f"NVIDIA's builds for JetPack 6 are for Python {version},"
            f" this is {'.'.join(map(str, python))}: only the CPU can be used",
            fix=f"python{version} -m venv .venv",
            facts={"wanted": version},
        )
    if not place.container and not any(name.startswith("libnvinfer") for name in facts.packages):
        yield Finding(
            name="jetson libraries",
            status="warn",
            message="JetPack's CUDA, cuDNN and TensorRT are not installed",
            fix=place.system("nvidia-jetpack"),
            facts={"packages": dict(facts.packages)},
        )
