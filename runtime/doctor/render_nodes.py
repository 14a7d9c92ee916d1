"""GPUs and NPUs that OpenVINO and video codecs reach through a device file: mostly Intel's."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from runtime.control_groups import text
from runtime.doctor.finding import Finding
from runtime.doctor.pci import graphics_cards
from runtime.doctor.place import Place

_VENDORS = {"0x8086": "Intel", "0x1002": "AMD", "0x10de": "NVIDIA"}
INTEL = "0x8086"


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A device file.

    Attributes:
        path: E.g. "/dev/dri/renderD128".
        vendor: E.g. "0x8086"; empty where it is not told.
        driver: Name of the kernel's driver, e.g. "i915"; likewise.
        usable: This process may read and write it.
        group: The group that may; empty where it is not told.
    """

    path: str
    vendor: str = ""
    driver: str = ""
    usable: bool = True
    group: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFacts:
    """Device files of GPUs and NPUs.

    Attributes:
        nodes: Those that there are.
        intel_cards: Graphics cards of Intel on the PCI bus.
    """

    nodes: tuple[Node, ...] = ()
    intel_cards: int = 0


def node_facts(*, root: Path = Path("/")) -> NodeFacts:
    """Those of this machine.

    Args:
        root: Folder that holds `sys` and `dev`; another one in tests.
    """
    found = [
        (path, root / folder / path.name / "device")
        for pattern, folder in (
            ("dev/dri/renderD*", "sys/class/drm"),
            ("dev/accel/accel*", "sys/class/accel"),
        )
        for path in sorted(root.glob(pattern))
    ]
    return NodeFacts(
        nodes=tuple(
            Node(
                path=f"/{path.relative_to(root)}",
                vendor=text(device / "vendor").strip().lower(),
                driver=(device / "driver").resolve().name if (device / "driver").exists() else "",
                usable=os.access(path, os.R_OK | os.W_OK),
                group=group_of(path),
            )
            for path, device in found
        ),
        intel_cards=graphics_cards(root).count(INTEL),
    )


def group_of(path: Path) -> str:
    """Name of the group that a file belongs to, or its number; empty where it is not told."""
    try:
        number = path.stat().st_gid
    except OSError:
        return ""
    try:
        import grp

        return grp.getgrgid(number).gr_name
    except (ImportError, KeyError):
        return str(number)


def join_group(group: str, place: Place) -> str:
    """Lets this user use the device files of a group."""
    if place.container:
        return f"docker run --group-add {group} …"
    return f'sudo usermod -aG {group} "$USER"  # then log in again'


def node_findings(facts: NodeFacts, place: Place) -> Iterator[Finding]:
    """Judge them; nothing is found where there are none."""
    for node in facts.nodes:
        name = node.path.rpartition("/")[2]
        vendor = _VENDORS.get(node.vendor, node.vendor or "unknown")
        kind = "NPU" if node.path.startswith("/dev/accel") else "GPU"
        driver = f", driver {node.driver}" if node.driver else ""
        message = f"{vendor} {kind}, {node.path}{driver}"
        values = {
            "path": node.path,
            "vendor": vendor,
            "driver": node.driver,
            "usable": node.usable,
            "group": node.group,
        }
        if node.usable:
            yield Finding(name=name, status="ok", message=message, facts=values)
            continue
        yield Finding(
            name=name,
            status="warn",
            message=f"{message}: this user may not use it (group {node.group or 'unknown'})",
            fix=join_group(node.group, place) if node.group else "",
            facts=values,
        )
    if facts.intel_cards and not any(node.vendor == INTEL for node in facts.nodes):
        yield Finding(
            name="intel gpu",
            status="note",
            message="there is an Intel GPU, but no device file of it under /dev/dri",
            fix="docker run --device /dev/dri …" if place.container else "",
            facts={"intel_cards": facts.intel_cards},
        )
