"""Memory: of the machine, and what the container leaves of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from models.sizes import size_in_words
from runtime.control_groups import group_folders, text
from runtime.doctor.finding import Finding
from runtime.memory import available_bytes

SCARCE_BYTES = 500_000_000
"""A run of an 8-frame network on OpenVINO takes about this much."""

_NO_LIMIT = 1 << 60
"""Version 1 of control groups states a limit of about 2**63 where there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryFacts:
    """Memory in bytes; None where the system does not tell.

    Attributes:
        total: Of the machine.
        limit: Of the control group; None also without a limit.
        available: What this process may still take.
    """

    total: int | None
    limit: int | None
    available: int | None


def memory_facts(*, root: Path = Path("/")) -> MemoryFacts:
    """Those of this process.

    Args:
        root: Folder that holds `proc` and `sys`; another one in tests.
    """
    total = re.search(r"^MemTotal:\s+(\d+) kB", text(root / "proc/meminfo"), flags=re.MULTILINE)
    limits = []
    for version, folder in group_folders(root, "memory", mounts=("memory",)):
        name = "memory.limit_in_bytes" if version == 1 else "memory.max"
        content = text(folder / name).strip()
        if content.isdecimal() and int(content) < _NO_LIMIT:
            limits.append(int(content))
    return MemoryFacts(
        total=int(total[1]) * 1024 if total else None,
        limit=min(limits, default=None),
        available=available_bytes(root=root),
    )


def memory_findings(facts: MemoryFacts) -> Iterator[Finding]:
    """Judge them."""
    values = {"total": facts.total, "limit": facts.limit, "available": facts.available}
    if facts.available is None:
        message = "this system does not tell how much memory is free"
        yield Finding(name="memory", status="note", message=message, facts=values)
        return
    parts = [f"{size_in_words(facts.available)} free"]
    if facts.total is not None:
        parts.append(f"of {size_in_words(facts.total)}")
    if facts.limit is not None:
        parts.append(f"(control group {size_in_words(facts.limit)})")
    message, scarce = " ".join(parts), facts.available < SCARCE_BYTES
    if scarce:
        message += f"; a run takes about {size_in_words(SCARCE_BYTES)}"
    fix = "docker run --memory 2g …" if scarce and facts.limit is not None else ""
    yield Finding(
        name="memory",
        status="warn" if scarce else "ok",
        message=message,
        fix=fix,
        facts=values,
    )
