"""The files of deploy/: what can be checked without Docker, and without systemd as process 1."""

from __future__ import annotations

import ast
import configparser
import json
import re
import shlex
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import yaml

from edge_cli.stream_settings import StreamSettings
from edge_cli.streams_file import streams_asked
from models import errors
from runtime.sources.options import SourceOptions
from tests.environments import ROOT, project

DEPLOY = ROOT / "deploy"
DOCKERFILES = sorted((DEPLOY / "docker").glob("*.Dockerfile"))
UNIT = DEPLOY / "systemd/edgecls.service"
DROP_INS = sorted((DEPLOY / "systemd/drop-ins").glob("*.conf"))


class Unit(configparser.RawConfigParser):
    """A unit file: names are case-sensitive; of names that occur twice the last counts."""

    def optionxform(self, optionstr: str) -> str:
        return optionstr


def unit() -> Unit:
    parsed = Unit(strict=False, delimiters="=", comment_prefixes="#", interpolation=None)
    parsed.read(UNIT)
    return parsed


def words_of_run(line: str) -> list[str]:
    """Options of `edgecls run` in a command."""
    return [word for word in shlex.split(line) if word.startswith("--")]


@cache
def options_of_run() -> frozenset[str]:
    command = [sys.executable, "-m", "edge_cli", "run", "--help"]
    said = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return frozenset(re.findall(r"--[a-z][a-z-]*", said))


def instructions(dockerfile: Path) -> list[tuple[str, str]]:
    """Instructions of a Dockerfile and what follows them, lines joined."""
    text = re.sub(r"^\s*#.*\n", "", dockerfile.read_text(), flags=re.MULTILINE)
    lines = text.replace("\\\n", " ").splitlines()
    return [(line.split()[0], line.split(maxsplit=1)[1].strip()) for line in lines if line.strip()]


@pytest.mark.parametrize("drop_in", [None, *DROP_INS], ids=lambda path: path and path.name)
def test_the_unit_is_what_systemd_takes(tmp_path: Path, drop_in: Path | None) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("needs systemd-analyze")
    here = tmp_path / UNIT.name
    # The program that it names is on the box only.
    here.write_text(UNIT.read_text().replace("/opt/edgecls/bin/edgecls", sys.executable))
    if drop_in is not None:
        (tmp_path / f"{UNIT.name}.d").mkdir()
        shutil.copy(drop_in, tmp_path / f"{UNIT.name}.d")
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", here], capture_output=True, text=True, check=False
    )
    assert [line for line in done.stderr.splitlines() if "edgecls" in line] == []


def test_the_unit_is_hardened() -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("needs systemd-analyze")
    command = ["systemd-analyze", "security", "--offline=true", "--json=short", "--threshold=20"]
    done = subprocess.run([*command, UNIT], capture_output=True, text=True, check=False)
    if "unrecognized option" in done.stderr:
        pytest.skip("this systemd-analyze rates no files")
    assert done.returncode == 0, done.stdout  # an exposure of at most 2.0 of 10
    exposed = {one["json_field"] for one in json.loads(done.stdout) if one["set"] is False}
    assert not exposed & {"NoNewPrivileges", "ProtectSystem", "UserOrDynamicUser", "ProtectHome"}


def test_the_unit_asks_for_what_the_run_does() -> None:
    service = unit()["Service"]
    assert (service["Type"], service["NotifyAccess"]) == ("notify", "main")
    usual = SourceOptions()
    patience_s = usual.open_timeout_s + usual.read_timeout_s
    assert float(service["WatchdogSec"].removesuffix("s")) > 2 * patience_s
    assert set(words_of_run(service["ExecStart"])) <= options_of_run()
    hopeless = {errors.UsageError, errors.MissingExtra, errors.BundleError}
    assert set(service["RestartPreventExitStatus"].split()) == {
        str(one.exit_code) for one in hopeless
    }
    made = {service["StateDirectory"], service["CacheDirectory"]}
    assert made == {"edgecls"}  # where XDG_STATE_HOME and XDG_CACHE_HOME lead


def test_the_streams_are_such(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAMERA_USER", "me")
    monkeypatch.setenv("CAMERA_PASSWORD", "secret")
    (stream,) = streams_asked(DEPLOY / "streams.example.yml", StreamSettings.given())
    assert stream.source == "rtsp://me:secret@192.168.1.20/stream1"


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.name)
def test_a_dockerfile_takes_what_is_there(dockerfile: Path) -> None:
    found = instructions(dockerfile)
    assert found[-1][0] == "CMD"
    asked = json.loads(found[-1][1])
    assert asked[0] == "run"
    assert set(words_of_run(shlex.join(asked))) <= options_of_run()
    assert ("USER", "10001:10001") in found
    (installed,) = [rest for _, rest in found if re.search(r"\.\[[a-z,]+\]", rest)]
    extras = re.findall(r"\.\[([a-z,]+)\]", installed)[0].split(",")
    assert set(extras) <= set(project()["project"]["optional-dependencies"])
    assert not {"cpu", "gpu"} <= set(extras)


def test_what_the_build_needs_is_not_ignored() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    taken = {line[1:] for line in lines if line.startswith("!")}
    build = project()["tool"]["hatch"]["build"]["targets"]["wheel"]
    about = project()["project"]
    needed = {*build["packages"], about["readme"], *about["license-files"], "pyproject.toml"}
    assert taken == needed
    assert all((ROOT / name).exists() for name in taken)


def test_the_services_of_compose() -> None:
    told = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    assert set(told["services"]) == {"edgecls", "cuda", "jetson"}
    for service in told["services"].values():
        assert (DEPLOY / service["build"]["context"]).resolve() == ROOT
        assert ROOT / service["build"]["dockerfile"] in DOCKERFILES
        assert set(words_of_run(shlex.join(service["command"]))) <= options_of_run()
        assert service["cap_drop"] == ["ALL"]


def health_check(dockerfile: Path) -> list[str]:
    (said,) = [rest for name, rest in instructions(dockerfile) if name == "HEALTHCHECK"]
    command: list[str] = json.loads(said.split("CMD", 1)[1])
    return command


def test_the_health_checks_are_python() -> None:
    for dockerfile in DOCKERFILES:
        python, option, code = health_check(dockerfile)
        assert (python.rstrip("3"), option) == ("python", "-c")
        ast.parse(code)


def test_the_health_check_asks_the_page() -> None:
    pytest.importorskip("uvicorn", reason="needs the extra serve")
    from runtime.serve.address import address_from_text
    from runtime.serve.server import WatchServer
    from tests.boards import board

    for token in (None, "a token that nobody has to know"):
        shown = board()
        with WatchServer(shown, address_from_text("0.0.0.0:0" if token else ":0"), token) as server:
            code = health_check(DOCKERFILES[0])[2].replace("8088", str(server.port))
            check = [sys.executable, "-c", code]
            assert subprocess.run(check, check=False).returncode == 0
            shown.source_state(0, ok=False, text="lost")
            assert subprocess.run(check, check=False, capture_output=True).returncode != 0
