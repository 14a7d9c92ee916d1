"""Camera devices and who may use them; what they can do is for `edgecls sources` to tell."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from runtime.control_groups import text
from runtime.doctor.finding import Finding
from runtime.doctor.place import Place
from runtime.doctor.render_nodes import group_of, join_group

_NUMBERED = re.compile(r"video(\d+)", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Camera:
    """A device file of a camera.

    Attributes:
        number: N of /dev/videoN.
        name: As the kernel calls it; empty where it does not tell.
        usable: This process may read and write it.
        group: The group that may; empty where it is not told.
    """

    number: int
    name: str = ""
    usable: bool = True
    group: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraFacts:
    """The cameras of this machine.

    Attributes:
        cameras: By number. Most webcams have a second device, which gives no pictures; it is left
            out where the kernel tells which is which.
        known: This system lists cameras as device files.
    """

    cameras: tuple[Camera, ...] = ()
    known: bool = True


def camera_facts(*, root: Path = Path("/"), known: bool = True) -> CameraFacts:
    """Those of this machine.

    Args:
        root: Folder that holds `dev` and `sys`; another one in tests.
        known: This system lists cameras as device files, which Linux does.
    """
    found = sorted(
        (int(match[1]), path)
        for path in (root / "dev").glob("video*")
        if (match := _NUMBERED.fullmatch(path.name))
    )
    cameras = []
    for number, path in found:
        told = root / f"sys/class/video4linux/video{number}"
        if text(told / "index").strip() in ("", "0"):
            cameras.append(
                Camera(
                    number=number,
                    name=text(told / "name").strip(),
                    usable=os.access(path, os.R_OK | os.W_OK),
                    group=group_of(path),
                )
            )
    return CameraFacts(cameras=tuple(cameras), known=known)


def camera_findings(facts: CameraFacts, place: Place) -> Iterator[Finding]:
    """Judge them."""
    if not facts.known:
        message = "cameras cannot be listed on this system; try camera0, camera1, ..."
        yield Finding(name="cameras", status="note", message=message)
    elif not facts.cameras:
        fix = "docker run --device /dev/video0 …" if place.container else ""
        message = "no camera (/dev/video*)"
        yield Finding(name="cameras", status="note", message=message, fix=fix)
    for camera in facts.cameras:
        name = f"camera{camera.number}"
        values = {
            "path": f"/dev/video{camera.number}",
            "name": camera.name,
            "usable": camera.usable,
            "group": camera.group,
        }
        message = f"{camera.name or 'a camera'}, /dev/video{camera.number}"
        if camera.usable:
            yield Finding(name=name, status="ok", message=message, facts=values)
            continue
        yield Finding(
            name=name,
            status="warn",
            message=f"{message}: this user may not use it (group {camera.group or 'unknown'})",
            fix=join_group(camera.group, place) if camera.group else "",
            facts=values,
        )
