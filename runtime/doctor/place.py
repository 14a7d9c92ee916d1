"""What a command that fixes something depends on, and such commands."""

from __future__ import annotations

import os
import platform
import shlex
import sys
from dataclasses import dataclass
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Literal

from runtime.control_groups import text

Packages = Literal["apt", "dnf", "apk", ""]

JETSON_WHEELS = {36: "https://pypi.jetson-ai-lab.io/jp6/cu126"}
"""Where NVIDIA's builds for Jetson are, by the major release of Jetson Linux. JetPack 6 is 36."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """This installation and machine, as far as commands depend on it.

    Attributes:
        python: Path of the interpreter.
        has_pip: The environment has pip; those made by uv have not.
        packages: Package tool of the system; empty when it is none of those known.
        root: The user may install system packages without sudo.
        jetson_linux: Major release of Jetson Linux, e.g. 36; 0 on other machines.
        nvidia: An NVIDIA GPU is built in.
        container: E.g. "docker"; empty outside of containers.
        machine: E.g. "x86_64", "aarch64".
    """

    python: str = "python"
    has_pip: bool = True
    packages: Packages = "apt"
    root: bool = False
    jetson_linux: int = 0
    nvidia: bool = False
    container: str = ""
    machine: str = "x86_64"

    def pip(self, *words: str) -> str:
        """A pip command for exactly this environment, e.g. `pip("install", "'edgecls[cpu]'")`."""
        if self.has_pip:
            yes = ["--yes"] if words[0] == "uninstall" else []
            return " ".join((quoted(self.python), "-m pip", words[0], *yes, *words[1:]))
        return " ".join(("uv pip", words[0], "--python", quoted(self.python), *words[1:]))

    def here(self, hint: str) -> str:
        """A hint such as "pip install X" as a command for exactly this environment."""
        first, *rest = hint.split(" ")
        return self.pip(*rest) if first == "pip" and rest else hint

    def system(self, apt: str, dnf: str = "", apk: str = "") -> str:
        """Installs a system package, named as each tool calls it; empty where it has none."""
        package = {"apt": apt, "dnf": dnf, "apk": apk, "": ""}[self.packages]
        if not package:
            return ""
        verb = {"apt": "apt-get install", "dnf": "dnf install", "apk": "apk add"}[self.packages]
        return f"{'' if self.root else 'sudo '}{verb} {package}"

    def onnxruntime(self, distribution: str = "onnxruntime", version: str = "") -> str:
        """Installs ONNX Runtime; on a Jetson always NVIDIA's own build of it.

        Args:
            distribution: Name of the package.
            version: Exactly this one; empty for the newest. Not on a Jetson.
        """
        if self.jetson_linux:
            index = JETSON_WHEELS.get(self.jetson_linux, "NVIDIA'S_WHEELS_FOR_THIS_JETPACK")
            return self.pip("install", "--no-deps", "onnxruntime-gpu", f"--index-url {index}")
        exactly = f"{distribution}=={version}" if version else distribution
        return self.pip("install", "--no-deps", exactly)

    def engine(self, extra: str) -> str:
        """Installs the engines of an extra."""
        if self.jetson_linux:  # the extra would put another onnxruntime over NVIDIA's
            return self.onnxruntime()
        return self.pip("install", f"'edgecls[{extra}]'")


def quoted(path: str) -> str:
    """A path for a shell; a leading `~` stays what it is."""
    return path if path.startswith("~/") and " " not in path else shlex.quote(path)


def this_place(
    *, root: Path = Path("/"), jetson_linux: int = 0, nvidia: bool = False, container: str = ""
) -> Place:
    """The place of this process.

    Args:
        root: Folder that holds `usr`; another one in tests.
        jetson_linux: Major release of Jetson Linux; 0 on other machines.
        nvidia: An NVIDIA GPU is built in.
        container: E.g. "docker"; empty outside of containers.
    """
    tools: tuple[tuple[str, Packages], ...] = (
        ("usr/bin/apt-get", "apt"),
        ("usr/bin/dnf", "dnf"),
        ("sbin/apk", "apk"),
    )
    return Place(
        python=sys.executable,
        # On the path alone: setuptools has a finder of its own for pip, which warns.
        has_pip=PathFinder.find_spec("pip") is not None,
        packages=next((name for path, name in tools if (root / path).exists()), ""),
        root=hasattr(os, "geteuid") and os.geteuid() == 0,
        jetson_linux=jetson_linux,
        nvidia=nvidia,
        container=container,
        machine=platform.machine(),
    )


def container_kind(*, root: Path = Path("/")) -> str:
    """What kind of container this process is in; empty when it seems to be in none."""
    if (root / ".dockerenv").exists():
        return "docker"
    if (root / "run/.containerenv").exists():
        return "podman"
    groups = text(root / "proc/1/cgroup") + text(root / "proc/self/cgroup")
    for word, kind in (("kubepods", "kubernetes"), ("docker", "docker"), ("lxc", "lxc")):
        if word in groups:
            return kind
    return ""
