"""Installed engines: which distributions, whether they are whole, and whether they clash."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Literal

from runtime.control_groups import text
from runtime.doctor.finding import Finding
from runtime.doctor.place import Place

Severity = Literal["warn", "fail"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """Distributions that unpack into the same folder, and so overwrite one another in silence.

    Attributes:
        folder: The package that all of them bring.
        names: Matches their names.
        severity: Of two of them. OpenCV's are builds of the same code, the engines' are not.
        keep: Which of them is kept where nothing speaks for another.
    """

    folder: str
    names: re.Pattern[str]
    severity: Severity
    keep: str


def _names(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.ASCII)


FAMILIES = (
    Family(
        folder="onnxruntime",
        names=_names(
            r"onnxruntime(?!-extensions|-genai|-web|-node)(-[a-z0-9-]+)?|ort(-gpu)?-nightly"
        ),
        severity="fail",
        keep="onnxruntime",
    ),
    Family(
        folder="openvino", names=_names(r"openvino(-nightly)?"), severity="fail", keep="openvino"
    ),
    Family(
        folder="paddle",
        names=_names(r"paddlepaddle(-gpu|-xpu|-npu|-rocm|-dcu)?"),
        severity="fail",
        keep="paddlepaddle",
    ),
    Family(
        folder="cv2",
        names=_names(r"opencv(-contrib)?-python(-headless)?"),
        severity="warn",
        keep="opencv-python",
    ),
)

SHOWN = re.compile(
    r"numpy|av|pillow|pydantic|typer|rich|onnx|paddle2onnx|nncf|tensorrt(-.*)?|torch"
    r"|nvidia-cudnn-cu\d+|nvidia-cuda-runtime(-cu\d+)?|nvidia-cublas(-cu\d+)?"
    r"|starlette|uvicorn|paho-mqtt|prometheus-client",
    re.ASCII,
)
"""Further distributions whose version a bug report needs."""

_GPU_NAME = re.compile(r"onnxruntime-gpu|ort-gpu-nightly", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """A distribution that is installed.

    Attributes:
        name: In small letters, with hyphens.
        version: Its version.
        folder: Where it is, such as a `site-packages`.
        files: How many files it says it has there; 0 where it does not tell, or was not asked.
        missing: How many of them are not there.
    """

    name: str
    version: str
    folder: str
    files: int = 0
    missing: int = 0

    @property
    def title(self) -> str:
        """E.g. "onnxruntime 1.23.2"."""
        return f"{self.name} {self.version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DistributionFacts:
    """What is installed.

    Attributes:
        installed: Of the `FAMILIES`, and those `SHOWN`, in the order of the import path.
        holds: Whose files lie in a shared folder, by folder, where the files tell:
            ("onnxruntime-gpu", "1.23.2").
    """

    installed: tuple[Installed, ...] = ()
    holds: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    def of(self, family: Family) -> tuple[Installed, ...]:
        """Those that unpack into the folder of a family."""
        return tuple(one for one in self.installed if family.names.fullmatch(one.name))


def distribution_facts(path: Sequence[str] | None = None) -> DistributionFacts:
    """Those of this environment.

    Args:
        path: Folders to look in; None for the import path of this process.
    """
    found = metadata.distributions() if path is None else metadata.distributions(path=list(path))
    installed: list[Installed] = []
    for one in found:
        entry = _installed(one)
        if entry is not None and entry not in installed:
            installed.append(entry)
    places = dict.fromkeys(one.folder for one in installed)
    holds = (onnxruntime_in(Path(place)) for place in places)
    first = next((one for one in holds if one is not None), None)
    return DistributionFacts(
        installed=tuple(installed), holds={} if first is None else {"onnxruntime": first}
    )


def _installed(found: metadata.Distribution) -> Installed | None:
    """None when it is of no interest."""
    name = normal_name(str(found.metadata["Name"] or ""))
    in_family = any(family.names.fullmatch(name) for family in FAMILIES)
    if not in_family and not SHOWN.fullmatch(name):
        return None
    folder = Path(str(found.locate_file("")))
    files = _recorded(found.read_text("RECORD") or "") if in_family else ()
    return Installed(
        name=name,
        version=str(found.version),
        folder=str(folder),
        files=len(files),
        missing=sum(1 for file in files if not (folder / file).exists()),
    )


def _recorded(record: str) -> tuple[str, ...]:
    """Files that a distribution brought, compiled modules and scripts apart.

    Scripts lie in another folder, and images are often made of site-packages alone. The record is
    read here because `Distribution.files` leaves out what is missing from Python 3.12 on.
    """
    paths = (row[0] for row in csv.reader(record.splitlines()) if row)
    return tuple(
        path for path in paths if not path.endswith(".pyc") and not path.startswith(("../", "/"))
    )


def normal_name(name: str) -> str:
    """A name as packaging tools compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def onnxruntime_in(folder: Path) -> tuple[str, str] | None:
    """Name and version of the ONNX Runtime whose files lie in a folder; without importing it."""
    words = text(folder / "onnxruntime/capi/build_and_package_info.py")
    found = dict(re.findall(r"^(\w+) = '([^']*)'", words, flags=re.MULTILINE))
    if "package_name" not in found:
        return None
    return normal_name(found["package_name"]), found.get("__version__", "")


def distribution_findings(facts: DistributionFacts, place: Place) -> Iterator[Finding]:
    """Judge them."""
    for family in FAMILIES:
        members = facts.of(family)
        if len({one.name for one in members}) > 1:
            yield _clash(family, members, facts.holds.get(family.folder), place)
        elif len(members) > 1:
            yield _twice(members, place)
        elif members:
            yield _alone(members[0], facts.holds.get(family.folder), place)
    others = [one for one in facts.installed if SHOWN.fullmatch(one.name)]
    if others:
        yield Finding(
            name="distributions",
            status="ok",
            message=", ".join(one.title for one in sorted(others, key=lambda one: one.name)),
            facts={one.name: one.version for one in others},
        )


def _values(members: Sequence[Installed], holds: tuple[str, str] | None) -> dict[str, object]:
    return {
        "installed": [
            {
                "name": one.name,
                "version": one.version,
                "folder": one.folder,
                "files": one.files,
                "missing": one.missing,
            }
            for one in members
        ],
        "holds": None if holds is None else {"name": holds[0], "version": holds[1]},
    }


def _clash(
    family: Family, members: Sequence[Installed], holds: tuple[str, str] | None, place: Place
) -> Finding:
    titles = " and ".join(one.title for one in members)
    now = f"; what lies there now is of {' '.join(holds)}" if holds else ""
    return Finding(
        name=f"{family.folder} clash",
        status=family.severity,
        message=f"{titles} are both installed: they unpack into one folder, {family.folder}/, and"
        f" the last one overwrote the others{now}",
        fix=_only_one(family, members, place),
        facts=_values(members, holds),
    )


def kept(family: Family, members: Sequence[Installed], place: Place) -> Installed:
    """Which of several is to stay: that for the GPU where there is one to use."""
    gpu = next((one for one in members if _GPU_NAME.fullmatch(one.name)), None)
    if gpu is not None and (place.nvidia or place.jetson_linux):
        return gpu
    return next((one for one in members if one.name == family.keep), members[0])


def _only_one(family: Family, members: Sequence[Installed], place: Place) -> str:
    """All have to go: removing one takes files of the other along."""
    stays = kept(family, members, place)
    remove = place.pip("uninstall", *dict.fromkeys(one.name for one in members))
    if family.folder == "onnxruntime":
        return f"{remove} && {place.onnxruntime(stays.name, stays.version)}"
    return f"{remove} && {place.pip('install', '--no-deps', f'{stays.name}=={stays.version}')}"


def _twice(members: Sequence[Installed], place: Place) -> Finding:
    """The same distribution in two folders, or two versions of it in one."""
    name = members[0].name
    folders = dict.fromkeys(one.folder for one in members)
    versions = ", ".join(one.version for one in members)
    where = "in one folder" if len(folders) == 1 else f"in {' and '.join(folders)}"
    return Finding(
        name=f"{name} twice",
        status="warn",
        message=f"{name} is installed {len(members)} times ({versions}) {where}; the first is used",
        fix=f"{place.pip('uninstall', name)}  # once for each",
        facts=_values(members, None),
    )


def _alone(one: Installed, holds: tuple[str, str] | None, place: Place) -> Finding:
    values = _values([one], holds)
    exactly = f"{one.name}=={one.version}"
    again = place.pip("install", "--force-reinstall", "--no-deps", exactly)
    if place.jetson_linux and _GPU_NAME.fullmatch(one.name):
        again = place.onnxruntime().replace("install", "install --force-reinstall", 1)
    if one.missing:
        message = f"{one.title}: {one.missing} of its {one.files} files are missing in {one.folder}"
        name = f"{one.name} files"
        return Finding(name=name, status="fail", message=message, fix=again, facts=values)
    if holds is not None and holds != (one.name, one.version):
        return Finding(
            name=f"{one.name} files",
            status="warn",
            message=f"{one.title} is installed, but its folder holds {' '.join(holds)}",
            fix=again,
            facts=values,
        )
    if place.jetson_linux and one.name == "onnxruntime":
        return Finding(
            name="onnxruntime",
            status="warn",
            message=f"{one.title}: this build knows no GPU; NVIDIA's own for this Jetson does",
            fix=f"{place.pip('uninstall', 'onnxruntime')} && {place.onnxruntime()}",
            facts=values,
        )
    return Finding(name=one.name, status="ok", message=one.title, facts=values)
