"""The processor: whose it is, and how much of it this process may use."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path

from runtime.control_groups import group_folders, text


@dataclass(frozen=True, slots=True, kw_only=True)
class CpuInfo:
    """Who made the processor.

    Attributes:
        vendor: "intel", "amd", "arm" or "unknown".
        model: Model name as the system reports it; never empty.
    """

    vendor: str
    model: str


_VENDORS = {
    "genuineintel": "intel",
    "authenticamd": "amd",
    "hygongenuine": "amd",
    "0x41": "arm",
    "apple": "arm",
}
"""What /proc/cpuinfo (`vendor_id` on x86, `CPU implementer` on Arm) or the platform calls them."""


def cpu_info(*, root: Path = Path("/")) -> CpuInfo:
    """Identify the processor of this machine.

    Args:
        root: Folder that holds `proc`; another one in tests.
    """
    fields: dict[str, str] = {}
    for line in text(root / "proc/cpuinfo").splitlines():
        key, _, value = line.partition(":")
        fields.setdefault(key.strip().lower(), value.strip())
    reported = platform.processor() or platform.machine()
    raw_vendor = fields.get("vendor_id") or fields.get("cpu implementer") or reported
    vendor = _VENDORS.get(raw_vendor.lower()) or next(
        (name for word, name in _VENDORS.items() if word in raw_vendor.lower()), None
    )
    if vendor is None and platform.machine().lower() in {"aarch64", "arm64"}:
        vendor = "arm"
    model = fields.get("model name") or fields.get("hardware") or reported or "unknown"
    return CpuInfo(vendor=vendor or "unknown", model=model)


def usable_cpus(*, root: Path = Path("/")) -> int:
    """Number of CPUs that this process may keep busy, at least 1.

    The smallest of the CPUs of the machine, the affinity mask, and the CPU quota of the control
    group (v1 or v2) and of its parents, rounded up: a container with a quota of 150 % on a
    64-core host gives 2, not 64.

    Args:
        root: Folder that holds `proc` and `sys`; another one in tests.
    """
    allowed = allowed_cpus()
    quota = cpu_quota(root=root)
    if quota is not None:
        allowed = min(allowed, max(1, -int(-quota // 1)))
    return max(1, allowed)


def allowed_cpus() -> int:
    """Number of CPUs that this process may run on, at least 1; a quota of time does not count."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cpu_quota(*, root: Path = Path("/")) -> float | None:
    """CPUs' worth of time that the control group of this process may use; None without a limit.

    Args:
        root: Folder that holds `proc` and `sys`; another one in tests.
    """
    quotas: list[float] = []
    for version, folder in group_folders(root, "cpu", mounts=("cpu", "cpu,cpuacct")):
        quotas += _quota_v1(folder) if version == 1 else _quota_v2(folder)
    return min(quotas, default=None)


def _quota_v2(folder: Path) -> list[float]:
    """`cpu.max` holds "QUOTA PERIOD" in microseconds, or "max PERIOD"."""
    quota, _, period = text(folder / "cpu.max").strip().partition(" ")
    return _ratio(quota, period)


def _quota_v1(folder: Path) -> list[float]:
    """A quota of -1 means none."""
    return _ratio(text(folder / "cpu.cfs_quota_us"), text(folder / "cpu.cfs_period_us"))


def _ratio(quota: str, period: str) -> list[float]:
    try:
        quota_us, period_us = int(quota), int(period)
    except ValueError:
        return []
    return [quota_us / period_us] if quota_us > 0 and period_us > 0 else []
