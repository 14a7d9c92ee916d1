"""The processor: what it can do that engines make use of, and how much of it there is."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from runtime.control_groups import text
from runtime.cpu import allowed_cpus, cpu_info, cpu_quota, usable_cpus
from runtime.doctor.finding import Finding

FEATURES = {
    "AVX2": ("avx2",),
    "AVX-512": ("avx512f",),
    "VNNI": ("avx512_vnni", "avx_vnni"),
    "AMX": ("amx_int8", "amx_bf16"),
    "dotprod": ("asimddp",),
    "i8mm": ("i8mm",),
    "fp16": ("asimdhp",),
    "bf16": ("avx512_bf16", "bf16"),
    "SVE": ("sve",),
}
"""Names for people, and those of /proc/cpuinfo of which one is enough."""

_X86 = {"x86_64", "amd64", "i686"}
_ARM = {"aarch64", "arm64"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessorFacts:
    """The processor of this machine.

    Attributes:
        model: As the system calls it.
        machine: E.g. "x86_64".
        flags: Features as /proc/cpuinfo calls them; empty where they are not told.
        cpus: Of the machine.
        allowed: Of those, on how many this process may run.
        quota: CPUs' worth of time that the container may use; None without a limit.
        usable: How many the engines are given.
    """

    model: str
    machine: str
    flags: frozenset[str]
    cpus: int
    allowed: int
    quota: float | None
    usable: int


def processor_facts(*, root: Path = Path("/")) -> ProcessorFacts:
    """Those of this machine.

    Args:
        root: Folder that holds `proc` and `sys`; another one in tests.
    """
    return ProcessorFacts(
        model=cpu_info(root=root).model,
        machine=platform.machine(),
        flags=cpu_flags(text(root / "proc/cpuinfo")),
        cpus=os.cpu_count() or 1,
        allowed=allowed_cpus(),
        quota=cpu_quota(root=root),
        usable=usable_cpus(root=root),
    )


def cpu_flags(cpuinfo: str) -> frozenset[str]:
    """What every processor of /proc/cpuinfo can do: on some Arm chips they differ."""
    sets = [
        frozenset(value.split())
        for key, _, value in (line.partition(":") for line in cpuinfo.splitlines())
        if key.strip().lower() in {"flags", "features"}
    ]
    return frozenset.intersection(*sets) if sets else frozenset()


def processor_findings(facts: ProcessorFacts) -> Iterator[Finding]:
    """Judge them."""
    yield _features(facts)
    yield _count(facts)


def _features(facts: ProcessorFacts) -> Finding:
    has = [name for name, flags in FEATURES.items() if facts.flags.intersection(flags)]
    values = {"model": facts.model, "machine": facts.machine, "features": has}
    machine = facts.machine.lower()
    if not facts.flags:
        message = f"{facts.model}; its features are not told by this system"
        return Finding(name="processor", status="note", message=message, facts=values)
    message = f"{facts.model}: {', '.join(has) or 'none of the features that engines use'}"
    if machine in _X86 and "AVX2" not in has:
        message += "; without AVX2 the engines are slow"
        return Finding(name="processor", status="warn", message=message, facts=values)
    slow = (machine in _X86 and "VNNI" not in has) or (machine in _ARM and "dotprod" not in has)
    if slow:
        lacking = "VNNI" if machine in _X86 else "dotprod"
        message += f"; without {lacking}, INT8 may be no faster than fp32"
        return Finding(name="processor", status="note", message=message, facts=values)
    return Finding(name="processor", status="ok", message=message, facts=values)


def _count(facts: ProcessorFacts) -> Finding:
    limits = []
    if facts.allowed < facts.cpus:
        limits.append(f"affinity {facts.allowed}")
    if facts.quota is not None:
        limits.append(f"control group {facts.quota:g}")
    message = f"{facts.usable} of {facts.cpus} CPUs may be used"
    if limits:
        message += f" ({', '.join(limits)})"
    values = {
        "cpus": facts.cpus,
        "allowed": facts.allowed,
        "quota": facts.quota,
        "usable": facts.usable,
    }
    if facts.quota is not None and facts.quota < 1:
        message += "; that is less than one"
        fix = "docker run --cpus 2 …"
        return Finding(name="cpus", status="warn", message=message, fix=fix, facts=values)
    return Finding(name="cpus", status="ok", message=message, facts=values)
