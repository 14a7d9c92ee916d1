"""The help of every command: it fits, its example holds, and shells complete commands."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from models.catalog import published
from tests.cli.command import ROOT
from tests.cli.in_process import called
from tests.commands import COMMANDS, PAGES


def _help(command: tuple[str, ...], columns: int, monkeypatch: pytest.MonkeyPatch) -> str:
    done = called(*command, "--help", monkeypatch=monkeypatch, columns=columns)
    assert (done.code, done.err) == (0, "")
    return done.out


@pytest.mark.parametrize("command", PAGES, ids=" ".join)
def test_help_fits(command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """In 80 columns and in 100: nothing is cut, and no line of the text is broken."""
    for columns in (80, 100):
        shown = _help(command, columns, monkeypatch)
        lines = shown.splitlines()
        assert max(len(line) for line in lines) <= columns
        assert "…" not in shown
        assert "<bool>" not in shown
        told = (PAGES[command].help or "").split("\n\n", 1)[1:]
        written = [line.strip() for line in "".join(told).splitlines() if line.strip()]
        assert [line for line in written if line not in {one.strip() for one in lines}] == []


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_example_is_understood(command: tuple[str, ...]) -> None:
    """Options that do not exist, values out of range or a missing argument would be errors."""
    written = [line.strip() for line in (COMMANDS[command].help or "").splitlines()]
    (example,) = (line for line in written if line.startswith("Example: "))
    program, *words = shlex.split(example.removeprefix("Example: "))
    assert (program, *words[: len(command)]) == ("edgecls", *command)
    context = COMMANDS[command].make_context(" ".join(command), words[len(command) :])
    if command == ("models", "pull"):
        assert published(context.params["name"]).name in example


@pytest.mark.parametrize("arguments", [["--help"], ["data"]])
def test_groups_name_their_commands(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    shown = called(*arguments, monkeypatch=monkeypatch).out
    group = tuple(word for word in arguments if word != "--help")
    for name in PAGES[group].commands:
        assert f"│ {name} " in shown


# -- completion --------------------------------------------------------------------------------

INSTALLED = {
    "bash": (".bash_completions/edgecls.sh", ".bashrc"),
    "zsh": (".zfunc/_edgecls", ".zshrc"),
    "fish": (".config/fish/completions/edgecls.fish",),
}
ASK = {
    "bash": "source ~/.bashrc; COMP_WORDS=(edgecls verif); COMP_CWORD=1;"
    ' _edgecls_completion edgecls; echo "${COMPREPLY[@]}"',
    "zsh": "source ~/.zshrc; echo $_comps[edgecls]; zsh -n ~/.zfunc/_edgecls;"
    ' _EDGECLS_COMPLETE=complete_zsh _TYPER_COMPLETE_ARGS="edgecls verif" edgecls',
    "fish": 'complete -C "edgecls verif"',
}


@pytest.mark.parametrize("shell", INSTALLED)
def test_completion(shell: str, tmp_path: Path) -> None:
    """Installed into a home of its own, a new shell completes `edgecls verif` to `verify`."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    program = tmp_path / "bin" / "edgecls"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m edge_cli "$@"\n')
    program.chmod(0o755)
    surroundings = {
        "HOME": str(tmp_path),
        "PATH": f"{program.parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "TERM": "dumb",
    }

    def done_by(line: str) -> str:
        return subprocess.run(
            [shell, "-c", line],
            env=surroundings,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        ).stdout

    # `true` keeps the shell from becoming the program, which looks for the shell it runs in.
    said = done_by("edgecls --install-completion; true")
    assert f"{shell} completion installed in {tmp_path / INSTALLED[shell][0]}" in said
    assert all((tmp_path / file).is_file() for file in INSTALLED[shell])
    answer = done_by(ASK[shell])
    assert "verify" in answer
    assert "convert" not in answer
    if shell == "zsh":
        assert answer.startswith("_edgecls\n")
