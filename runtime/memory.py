"""Memory: how much of it this process may still take, and giving back what it does not use."""

from __future__ import annotations

import ctypes
import re
import sys
from pathlib import Path

from runtime.control_groups import group_folders, text

_KIB = 1024


def available_bytes(*, root: Path = Path("/")) -> int | None:
    """Memory that can still be taken without anything being killed, swap included.

    What Linux calls available, and the room that is left in the control group (v1 or v2) and in
    its parents, whichever is least. Pages of files that a group could drop count as room.

    Args:
        root: Folder that holds `proc` and `sys`; another one in tests.

    Returns:
        Bytes; None where the system does not tell, which is everywhere but on Linux.
    """
    system = _fields(root / "proc/meminfo", unit=_KIB)
    if "MemAvailable" not in system:
        return None
    swap = system.get("SwapFree", 0)
    rooms = [system["MemAvailable"] + swap]
    for version, folder in group_folders(root, "memory", mounts=("memory",)):
        room = _room_v1(folder) if version == 1 else _room_v2(folder)
        if room is not None:
            rooms.append(room + swap)
    return max(0, min(rooms))


def give_back() -> None:
    """Return memory that was freed to the system, where its C library can be told to (glibc).

    What comes and goes in many threads, such as decoders, otherwise leaves holes that are kept: the
    process seems to grow with each.
    """
    if not sys.platform.startswith("linux"):
        return
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (OSError, AttributeError):  # another C library
        return


def _room_v2(folder: Path) -> int | None:
    """`memory.max` is "max" where there is no limit."""
    limit, used = _number(folder / "memory.max"), _number(folder / "memory.current")
    if limit is None or used is None:
        return None
    return limit - used + _fields(folder / "memory.stat").get("file", 0)


def _room_v1(folder: Path) -> int | None:
    """Without a limit, version 1 states one of about 2**63."""
    limit = _number(folder / "memory.limit_in_bytes")
    used = _number(folder / "memory.usage_in_bytes")
    if limit is None or used is None:
        return None
    return limit - used + _fields(folder / "memory.stat").get("total_cache", 0)


def _fields(path: Path, *, unit: int = 1) -> dict[str, int]:
    """Numbers by name of lines such as `MemFree:  123 kB` or `file 123`."""
    found = re.findall(r"^(\w+):?\s+(\d+)", text(path), flags=re.MULTILINE)
    return {name: int(value) * unit for name, value in found}


def _number(path: Path) -> int | None:
    content = text(path).strip()
    return int(content) if content.isdecimal() else None
