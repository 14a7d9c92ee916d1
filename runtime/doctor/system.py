"""Python, the operating system, and whether the modules of edgecls are those of edgecls."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.machinery import PathFinder
from pathlib import Path

from models.version import edgecls_version
from runtime.control_groups import text
from runtime.doctor.finding import Finding
from runtime.doctor.place import container_kind

OLDEST, NEWEST = (3, 10), (3, 13)
"""Versions of Python that edgecls supports."""

PACKAGES = ("models", "runtime", "convert", "calibration", "edge_cli")


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemFacts:
    """What this process runs on.

    Attributes:
        python: Version of Python, e.g. (3, 11, 7).
        implementation: E.g. "CPython".
        bits: 32 or 64.
        executable: Path of the interpreter.
        own_environment: It is that of a virtual environment.
        system: Name of the distribution, e.g. "Debian GNU/Linux 12 (bookworm)".
        kernel: E.g. "Linux 6.1.0".
        machine: E.g. "x86_64".
        c_library: E.g. "glibc 2.36"; empty where there is none to name.
        container: Kind of container; empty outside.
        edgecls: Version of this program.
        homes: Folder of each of the `PACKAGES`; empty where one is not found.
    """

    python: tuple[int, int, int]
    implementation: str
    bits: int
    executable: str
    own_environment: bool
    system: str
    kernel: str
    machine: str
    c_library: str
    container: str
    edgecls: str
    homes: Mapping[str, str]


def system_facts(*, root: Path = Path("/")) -> SystemFacts:
    """Those of this process.

    Args:
        root: Folder that holds `etc` and `proc`; another one in tests.
    """
    return SystemFacts(
        python=sys.version_info[:3],
        implementation=platform.python_implementation(),
        bits=64 if sys.maxsize > 2**32 else 32,
        executable=sys.executable,
        own_environment=sys.prefix != sys.base_prefix,
        system=_release_name(root) or platform.platform(terse=True),
        kernel=f"{platform.system()} {platform.release()}",
        machine=platform.machine(),
        c_library=" ".join(word for word in platform.libc_ver() if word),
        container=container_kind(root=root),
        edgecls=edgecls_version(),
        homes={name: _home(name) for name in PACKAGES},
    )


def _release_name(root: Path) -> str:
    for line in text(root / "etc/os-release").splitlines():
        key, _, value = line.partition("=")
        if key == "PRETTY_NAME":
            return value.strip().strip('"')
    return ""


def _home(package: str) -> str:
    """The folder that holds a package's folder."""
    spec = PathFinder.find_spec(package)
    places = list(spec.submodule_search_locations or ()) if spec else []
    return str(Path(places[0]).parent) if places else ""


def system_findings(facts: SystemFacts) -> Iterator[Finding]:
    """Judge them."""
    yield _python(facts)
    where = f", in a container ({facts.container})" if facts.container else ""
    c_library = f", {facts.c_library}" if facts.c_library else ""
    yield Finding(
        name="system",
        status="ok",
        message=f"{facts.system}, {facts.kernel}, {facts.machine}{c_library}{where}",
        facts={
            "system": facts.system,
            "kernel": facts.kernel,
            "machine": facts.machine,
            "c_library": facts.c_library,
            "container": facts.container,
        },
    )
    yield _edgecls(facts)


def _python(facts: SystemFacts) -> Finding:
    version = ".".join(map(str, facts.python))
    found = f"{facts.implementation} {version}, {facts.bits} bit, {facts.executable}"
    values = {
        "version": version,
        "implementation": facts.implementation,
        "bits": facts.bits,
        "executable": facts.executable,
        "own_environment": facts.own_environment,
    }
    if not OLDEST <= facts.python[:2] <= NEWEST:
        return Finding(
            name="python",
            status="fail",
            message=f"{found}: edgecls needs Python 3.10 to 3.13",
            fix="python3.12 -m venv .venv",
            facts=values,
        )
    if facts.bits != 64:
        return Finding(
            name="python",
            status="warn",
            message=f"{found}: the engines have no builds for 32 bit",
            facts=values,
        )
    if not facts.own_environment and not facts.container:
        found += (
            "; not in an environment of its own, where other packages may replace what it needs"
        )
        return Finding(
            name="python", status="note", message=found, fix="python3 -m venv .venv", facts=values
        )
    return Finding(name="python", status="ok", message=found, facts=values)


def _edgecls(facts: SystemFacts) -> Finding:
    """The packages have generic names: another distribution may bring one of the same name."""
    homes = set(facts.homes.values())
    values = {"version": facts.edgecls, "homes": dict(facts.homes)}
    if len(homes) == 1 and homes != {""}:
        return Finding(
            name="edgecls",
            status="ok",
            message=f"edgecls {facts.edgecls}, {homes.pop()}",
            facts=values,
        )
    ours = facts.homes["runtime"]
    others = [f"{name} ({home or 'not found'})" for name, home in facts.homes.items()]
    strange = [one for one, home in zip(others, facts.homes.values(), strict=True) if home != ours]
    return Finding(
        name="edgecls",
        status="fail",
        message=f"edgecls {facts.edgecls} is in {ours}, but others hide {', '.join(strange)}",
        fix="python3 -m venv .venv  # an environment with nothing but edgecls in it",
        facts=values,
    )
