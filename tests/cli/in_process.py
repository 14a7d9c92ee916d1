"""Run the command line in this process, which takes a fraction of the time of a new one."""

from __future__ import annotations

import io
import signal
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass

import pytest

from edge_cli.app import main


@dataclass(frozen=True)
class Done:
    """What a command did."""

    code: int
    out: str
    err: str


def called(*words: object, monkeypatch: pytest.MonkeyPatch, columns: int = 80) -> Done:
    """Run a command as on a terminal of 80 columns without colours."""
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("NO_COLOR", "1")
    out, err = io.StringIO(), io.StringIO()
    before = signal.getsignal(signal.SIGTERM)
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as stopped:
        main([str(word) for word in words])
    signal.signal(signal.SIGTERM, before)
    assert "Traceback" not in err.getvalue()
    assert isinstance(stopped.value.code, int)
    return Done(code=stopped.value.code, out=out.getvalue(), err=err.getvalue())
