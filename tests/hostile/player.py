"""Plays cases, each in a fork of this process, which has loaded the libraries.

Reads them as JSON, and writes a line of JSON about each.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import io
import json
import os
import pkgutil
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typer.main import get_command

from edge_cli import app

_LARGEST_FILE = 256 << 20
_BROKEN = 199


@dataclass(frozen=True, kw_only=True)
class _Running:
    case: dict[str, Any]
    log: Path
    started_s: float


def play(cases: list[dict[str, Any]], *, at_once: int) -> Iterator[dict[str, Any]]:
    """Play all, several at a time."""
    built: Any = get_command(app.build_app())
    # It is always the same, and takes most of the time of a command.
    app.build_app = lambda: built
    _warm_up()
    waiting = list(reversed(cases))
    running: dict[int, _Running] = {}
    while waiting or running:
        while waiting and len(running) < at_once:
            pid, one = _started(waiting.pop())
            running[pid] = one
        pid, status, usage = os.wait4(-1, os.WNOHANG)
        if pid:
            yield _told(running.pop(pid), os.waitstatus_to_exitcode(status), usage.ru_maxrss)
            continue
        time.sleep(0.004)
        for pid, one in running.items():
            if time.monotonic() - one.started_s > one.case["limit_s"] + 2:
                os.kill(pid, signal.SIGKILL)


def _warm_up() -> None:
    """Let everything be made that is made once, when a command is first run."""
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(io.StringIO()):
        streams = Path(folder) / "s.yml"
        streams.write_text("streams: [{source: nope, top: 0}]")
        for words in (
            ("record", "-s", "nope", "-o", "nope"),
            ("run", "--streams", str(streams)),
            ("run", "--top", "x"),
        ):
            with contextlib.suppress(SystemExit):
                app.main(list(words))
    # What is there is not written to, and so shared by all.
    gc.freeze()


def _started(case: dict[str, Any]) -> tuple[int, _Running]:
    log = Path(tempfile.mkdtemp(prefix="played-"))
    pid = os.fork()
    if pid == 0:
        code = _BROKEN
        try:
            _settle(case, log)
            app.main(list(case["words"]))
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else _BROKEN
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            # Threads may be left in native code, as at the end of the real program.
            os._exit(code)
    return pid, _Running(case=case, log=log, started_s=time.monotonic())


def _settle(case: dict[str, Any], log: Path) -> None:
    """Own folder, and streams that are files, encoded as those of a terminal are."""
    os.chdir(case["home"])
    (log / "cache").mkdir()
    os.environ.update(XDG_CACHE_HOME=str(log / "cache"), XDG_STATE_HOME=str(log / "state"))
    os.environ.update(TMPDIR=case["home"], NO_COLOR="1", COLUMNS="80", TERM="dumb")
    tempfile.tempdir = None
    os.dup2(os.open(case["stdin"] or os.devnull, os.O_RDONLY), 0)
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(log / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), number)
    sys.stdin = io.TextIOWrapper(io.FileIO(0, "r", closefd=False), "utf-8")
    sys.stdout = io.TextIOWrapper(io.FileIO(1, "w", closefd=False), "utf-8", "surrogateescape")
    sys.stderr = io.TextIOWrapper(io.FileIO(2, "w", closefd=False), "utf-8", "backslashreplace")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (_LARGEST_FILE, _LARGEST_FILE))


def _told(one: _Running, code: int, peak_kib: int) -> dict[str, Any]:
    home = Path(one.case["home"])
    left = sorted(str(path.relative_to(home)) for path in home.rglob("*") if path.is_file())
    told = {
        "name": one.case["name"],
        "code": code,
        "out": (one.log / "out").read_bytes().decode("latin-1"),
        "err": (one.log / "err").read_bytes().decode("latin-1"),
        "left": [name for name in left if name not in one.case["files"]],
        "peak_bytes": peak_kib * 1024,
        "seconds": time.monotonic() - one.started_s,
    }
    shutil.rmtree(one.log)
    shutil.rmtree(home)
    return told


def _load_libraries() -> None:
    """Import what cases need, so that their processes need not."""
    for package in ("models", "runtime", "runtime.sources", "runtime.recording", "edge_cli"):
        for found in pkgutil.iter_modules(importlib.import_module(package).__path__, f"{package}."):
            if not found.ispkg and not found.name.endswith("__main__"):
                importlib.import_module(found.name)
    for name in ("av", "cv2", "pydantic.type_adapter", "typer._adapters", "yaml"):
        importlib.import_module(name)


def main() -> None:
    """Play what stdin asks for."""
    cases = json.load(sys.stdin)
    _load_libraries()
    for told in play(cases, at_once=int(sys.argv[1])):
        print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
