"""Run the real command line, in a process of its own or in this one."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from edge_cli.app import main
from runtime.backends import backend_named

ROOT = Path(__file__).parents[2]
FRAMES = 75
"""Length of the test video."""

NEEDS_ENGINES = pytest.mark.skipif(
    not all(backend_named(name).probe().ok for name in ("openvino", "cpu")),
    reason="needs onnxruntime and openvino",
)


def environment() -> dict[str, str]:
    return {**os.environ, "COLUMNS": "80", "PYTHONPATH": str(ROOT), "NO_COLOR": "1"}


def edgecls(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "edge_cli", *map(str, words)],
        capture_output=True,
        text=True,
        env=environment(),
        check=False,
        timeout=60,
    )


def failing(*words: object, code: int) -> list[str]:
    """Lines on stderr of a command that must fail with that code and write nothing to stdout.

    It runs in this process, which takes a twentieth of the time of a new one.
    """
    out, err = io.StringIO(), io.StringIO()
    before = signal.getsignal(signal.SIGTERM)
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as stopped:
        main([str(word) for word in words])
    signal.signal(signal.SIGTERM, before)
    assert stopped.value.code == code, err.getvalue()
    assert out.getvalue() == ""
    assert "Traceback" not in err.getvalue()
    return err.getvalue().splitlines()
