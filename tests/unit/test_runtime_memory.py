"""Memory that is left, from made-up /proc and /sys trees."""

from __future__ import annotations

import platform
import sys
from pathlib import Path

import psutil
import pytest

from runtime.memory import available_bytes, give_back

MEMINFO = (
    "MemTotal: 9000 kB\nMemFree: 1 kB\nMemAvailable: 8000 kB\nSwapFree: 500 kB\nHugePages: 0\n"
)
V2 = "sys/fs/cgroup"
V1 = "sys/fs/cgroup/memory"
KIB = 1024


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, 8500 * KIB),
        ({"proc/self/cgroup": "0::/\n", f"{V2}/memory.max": "max\n"}, 8500 * KIB),
        (
            {
                "proc/self/cgroup": "0::/a/b\n",
                f"{V2}/a/memory.max": "3000000\n",
                f"{V2}/a/memory.current": "2000000\n",
                f"{V2}/a/memory.stat": "anon 5\nfile 400000\nslab 7\n",
                f"{V2}/a/b/memory.max": "max\n",
            },
            1_400_000 + 500 * KIB,
        ),
        (
            {
                "proc/self/cgroup": "4:memory:/docker/abc\n1:cpu:/x\n",
                f"{V1}/memory.limit_in_bytes": "9223372036854771712\n",
                f"{V1}/memory.usage_in_bytes": "5000000\n",
                f"{V1}/docker/abc/memory.limit_in_bytes": "2000000\n",
                f"{V1}/docker/abc/memory.usage_in_bytes": "1500000\n",
                f"{V1}/docker/abc/memory.stat": "cache 1\ntotal_cache 100000\n",
            },
            600_000 + 500 * KIB,
        ),
        (
            {
                "proc/self/cgroup": "0::/\n",
                "proc/meminfo": "MemAvailable: 8000 kB\n",
                f"{V2}/memory.max": "1000\n",
                f"{V2}/memory.current": "5000\n",
            },
            0,
        ),
        ({"proc/meminfo": "MemTotal: 9000 kB\n"}, None),
    ],
    ids=["no group", "no limit", "v2, a parent's", "v1", "nothing left", "old kernel"],
)
def test_what_is_left(tmp_path: Path, files: dict[str, str], expected: int | None) -> None:
    for name, content in ({"proc/meminfo": MEMINFO} | files).items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    assert available_bytes(root=tmp_path) == expected


def test_other_systems_do_not_tell(tmp_path: Path) -> None:
    assert available_bytes(root=tmp_path) is None


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
def test_this_machine() -> None:
    assert (available_bytes() or 0) > 1 << 20


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_what_was_freed_is_given_back() -> None:
    kept = [b"%d" % at * 50_000 for at in range(10, 610)]
    del kept[:-1]  # what lies above the holes is in use
    before = psutil.Process().memory_info().rss
    give_back()
    assert psutil.Process().memory_info().rss < before - 20_000_000


@pytest.mark.parametrize("system", ["linux", "darwin"])
def test_other_systems_keep_it(system: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", system)
    monkeypatch.setattr("ctypes.CDLL", lambda name: object())
    give_back()
