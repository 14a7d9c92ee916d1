"""What becomes of errors that nobody foresaw, and of what files say in them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from models.errors import BundleError
from tests.cli.command import environment, failing


def raising(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(path: Path | None) -> None:
        raise error

    monkeypatch.setattr("edgecls.loading.open_bundle", broken)


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (MemoryError(), "error: There is not enough memory for this."),
        (
            MemoryError("Unable to allocate 51.5 GiB"),
            "error: There is not enough memory for this: Unable to allocate 51.5 GiB.",
        ),
    ],
)
def test_no_memory_is_no_bug(monkeypatch: pytest.MonkeyPatch, error: Exception, line: str) -> None:
    raising(error, monkeypatch)
    said = failing("inspect", "x", code=1)
    assert said[0] == line
    assert said[1].startswith("hint: ")


def test_errors_are_one_line_and_do_not_steer_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    raising(BundleError("bad\x1b[2J name\r\nerror: all is well", hint="mend\x07"), monkeypatch)
    assert failing("inspect", "x", code=8) == [
        "error: bad [2J name  error: all is well",
        "hint: mend ",
    ]


LEFT_BEHIND = """
import atexit, sys, threading, time
from edge_cli.app import main
atexit.register(print, "the interpreter ended")
if sys.argv[1] == "left":
    threading.Thread(target=time.sleep, args=(30,), daemon=True).start()
sys.argv[1:] = ["--version"]
main()
"""


@pytest.mark.parametrize("left", [False, True])
def test_the_interpreter_does_not_end_under_threads_that_were_left_behind(left: bool) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LEFT_BEHIND, "left" if left else "none"],
        capture_output=True,
        text=True,
        env=environment(),
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("edgecls ")
    assert ("the interpreter ended" in done.stdout) != left
