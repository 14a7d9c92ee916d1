"""The wheel: pure Python, complete, and all that is needed to run."""

from __future__ import annotations

import configparser
import importlib.util
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.cli.command import NEEDS_ENGINES
from tests.environments import ROOT, made_environment, project

VERSION = project()["project"]["version"]

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("hatchling") is None, reason="needs hatchling"
)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel"]
    subprocess.run([*command, "--directory", folder], cwd=ROOT, check=True, capture_output=True)
    (built,) = folder.iterdir()
    return built


def test_it_fits_every_machine(wheel: Path) -> None:
    assert wheel.name == f"edgecls-{VERSION}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as archive:
        about = archive.read(f"edgecls-{VERSION}.dist-info/WHEEL").decode()
        native = [
            name for name in archive.namelist() if Path(name).suffix in {".so", ".pyd", ".dylib"}
        ]
    assert "Root-Is-Purelib: true" in about
    assert "Tag: py3-none-any" in about
    assert native == []


def test_it_has_every_file_of_the_packages_and_no_other(wheel: Path) -> None:
    packages = project()["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    expected = {
        str(file.relative_to(ROOT))
        for package in packages
        for file in (ROOT / package).rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    with zipfile.ZipFile(wheel) as archive:
        found = set(archive.namelist())
        words = archive.read(f"edgecls-{VERSION}.dist-info/entry_points.txt").decode()
    assert {name for name in found if ".dist-info/" not in name} == expected
    assert {"models/builtin/model.onnx", "runtime/serve/page/page.html"} <= expected
    assert f"edgecls-{VERSION}.dist-info/licenses/LICENSE" in found
    scripts = configparser.ConfigParser()
    scripts.read_string(words)
    assert dict(scripts["console_scripts"]) == {"edgecls": "edge_cli.app:main"}


@NEEDS_ENGINES
def test_it_runs_where_nothing_else_of_the_project_is(wheel: Path, tmp_path: Path) -> None:
    made = made_environment(tmp_path / "venv", extras=["cpu"], checkout=False)
    pip = [sys.executable, "-m", "pip", "--python", str(made.python), "--disable-pip-version-check"]
    install = [*pip, "install", "--no-deps", "--no-index", str(wheel)]
    subprocess.run(install, check=True, capture_output=True, cwd=tmp_path)
    done = made.edgecls("run", "--source", "demo", "--max-windows", "2", home=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 2
    script = made.folder / "bin/edgecls"
    told = subprocess.run([script, "--version"], check=True, capture_output=True, cwd=tmp_path)
    assert told.stdout.decode().split() == ["edgecls", VERSION]
