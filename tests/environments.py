"""Virtual environments made in a moment: links to what is installed here, and nothing else.

Each has the distributions that pip would install for edgecls with some extras, read off
`pyproject.toml` and the metadata of what is installed; an import sees no other.
"""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Environment:
    """A virtual environment.

    Attributes:
        folder: Where it is.
        packages: Its site-packages.
    """

    folder: Path
    packages: Path

    @property
    def python(self) -> Path:
        return self.folder / "bin/python"

    def add_metadata(self, name: str, version: str) -> None:
        """A distribution that is said to be installed, without files."""
        folder = self.packages / f"{name.replace('-', '_')}-{version}.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        )

    def add_module(self, name: str, code: str) -> None:
        (self.packages / f"{name}.py").write_text(code)

    def edgecls(self, *words: str, home: Path) -> subprocess.CompletedProcess[str]:
        """Run the command line in it, as a user with that home folder."""
        kept = {key: os.environ[key] for key in ("PATH", "TMPDIR", "LANG") if key in os.environ}
        return subprocess.run(
            [str(self.python), "-m", "edge_cli", *words],
            capture_output=True,
            text=True,
            check=False,
            cwd=self.folder,
            env={**kept, "HOME": str(home), "USER": home.name, "COLUMNS": "100", "NO_COLOR": "1"},
            timeout=90,
        )


def made_environment(
    folder: Path, *, extras: Sequence[str] = (), checkout: bool = True
) -> Environment:
    """Make one with edgecls and what some of its extras bring; skips where that is not here.

    Without `checkout` edgecls itself is left out.
    """
    venv.EnvBuilder(symlinks=True, with_pip=False).create(folder)
    packages = next(folder.glob("lib/python*/site-packages"))
    for distribution in _closure(extras):
        for name in _top_names(distribution):
            link = packages / name
            if not link.exists():
                link.symlink_to(str(distribution.locate_file(name)))
    made = Environment(folder=folder, packages=packages)
    if checkout:
        (packages / "edgecls.pth").write_text(f"{ROOT}\n")
        made.add_metadata("edgecls", "0.1.0")
    return made


def _top_names(distribution: metadata.Distribution) -> set[str]:
    """Files and folders of a distribution in the site-packages itself."""
    firsts = {file.parts[0] for file in distribution.files or ()}
    return firsts - {"..", "__pycache__", "bin"}


def _closure(extras: Sequence[str]) -> Iterator[metadata.Distribution]:
    """What edgecls needs, and what that needs."""
    waiting = list(_of_edgecls(extras))
    seen: set[tuple[str, str]] = set()
    while waiting:
        wanted = waiting.pop()
        for extra in ("", *wanted.extras):
            key = (canonicalize_name(wanted.name), extra)
            if key in seen:
                continue
            seen.add(key)
            try:
                found = metadata.distribution(wanted.name)
            except metadata.PackageNotFoundError:
                pytest.skip(f"{wanted.name} is not installed here")
            if not extra:
                yield found
            waiting += _wanted(found.requires or (), extra)


def _of_edgecls(extras: Sequence[str]) -> Iterator[Requirement]:
    declared = project()["project"]
    yield from _wanted(declared["dependencies"], "")
    for extra in extras:
        for one in _wanted(declared["optional-dependencies"][extra], ""):
            if one.name == "edgecls":
                yield from _of_edgecls(sorted(one.extras))
            else:
                yield one


def _wanted(lines: Sequence[str], extra: str) -> Iterator[Requirement]:
    """Requirements whose conditions hold here."""
    for line in lines:
        one = Requirement(line)
        if one.marker is None:
            if not extra:
                yield one
        elif one.marker.evaluate({"extra": extra}) and (
            not extra or not one.marker.evaluate({"extra": ""})
        ):
            yield one


def project() -> dict[str, Any]:
    words = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    return dict(tomllib.loads(words))
