"""What is done with the files of a case: in a process of its own, by the real entry points."""

from __future__ import annotations

import importlib
import io
import json
import os
import pkgutil
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.fuzz.cases import KINDS, Case, Written, write_case
from tests.fuzz.seeds import Seeds

Report = Callable[[dict[str, Any]], None]

EXTRA_BYTES = 3 << 30
"""Memory that a case may take, on top of what the libraries take already."""

LOG = "log"
_CODE_EVENTS = (
    *("os.system", "subprocess.Popen", "os.exec", "os.posix_spawn", "os.fork", "pty.spawn"),
    *("socket.connect", "socket.bind", "ftplib.connect", "urllib.Request", "webbrowser.open"),
)
"""Audit events of Python that reading a file never needs."""


_LIBRARIES = (
    *("asyncio", "cv2", "numpy.fft", "onnx", "onnx.inliner", "onnx.version_converter", "openvino"),
    *("platformdirs", "pydantic.type_adapter", "rich._emoji_codes", "rich.panel", "rich.progress"),
    *("rich.table", "typer._adapters", "yaml"),
)
_OURS = ("models", "runtime", "edge_cli")


def load_libraries(*, paddle: bool) -> None:
    """Import everything that a case may need, so that its process need not."""
    from models.extras import import_onnxruntime
    from runtime.cpu import cpu_info

    import_onnxruntime()
    cpu_info()  # may ask `uname`, once
    ours = [
        found.name
        for package in _OURS
        for found in pkgutil.iter_modules(importlib.import_module(package).__path__, f"{package}.")
        if not found.ispkg and not found.name.endswith("__main__")
    ]
    convert = ("convert.isolated", "convert.pipeline", "runtime.backends")
    for name in (*_LIBRARIES, *ours, *convert, *(("paddle", "paddle2onnx") if paddle else ())):
        importlib.import_module(name)
    if paddle:
        from convert.families import all_families

        all_families()


def play(case: Case, seeds: Seeds, folder: Path, report: Report) -> None:
    """Make the files of a case and give them to the product.

    Reports "written" with what must not happen, then what the product says, then "code" for
    every audit event that must not come.
    """
    written = write_case(case, seeds, folder)
    report({"event": "written", "refused": written.refused, "files": _listing(folder)})
    _settle(folder)
    _listen(report)
    if KINDS[case.kind].process == "conversion":
        _convert(written, folder, report)
    else:
        _use(case, written, folder, report)


def _listing(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def _settle(folder: Path) -> None:
    """Own temporary folder and cache, output into a log, limited memory, no core dumps."""
    import resource
    import tempfile

    scratch = folder / "scratch"
    scratch.mkdir()
    os.environ.update(TMPDIR=str(scratch), XDG_CACHE_HOME=str(folder / "cache"), NO_COLOR="1")
    tempfile.tempdir = None
    os.environ.update(COLUMNS="80", TERM="dumb")
    log = os.open(folder / LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    sys.stdout = io.TextIOWrapper(io.FileIO(1, "w", closefd=False), "utf-8")
    sys.stderr = io.TextIOWrapper(io.FileIO(2, "w", closefd=False), "utf-8", "backslashreplace")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    limit = _data_bytes() + EXTRA_BYTES
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def _data_bytes() -> int:
    """What `RLIMIT_DATA` counts so far."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmData:"):
            return int(line.split()[1]) * 1024
    return 0


def _listen(report: Report) -> None:
    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event in _CODE_EVENTS:
            report({"event": "code", "what": f"{event} {arguments!r:.200}"})

    sys.addaudithook(hook)


def _convert(written: Written, folder: Path, report: Report) -> None:
    """What the child process of `convert.isolated` does."""
    from convert.isolated import attempt
    from convert.request import ConvertRequest

    request = ConvertRequest(
        source=written.path, output=folder / "made" / "bundle", **written.flags
    )
    attempt(request, report, limit_bytes=EXTRA_BYTES)


_RUN = ("run", "{}", "-s", "demo", "--max-windows", "1")
_COMMANDS: dict[str, tuple[tuple[str, ...], ...]] = {
    "card.json": (
        ("inspect", "{}"),
        ("inspect", "{}", "--json"),
        ("inspect", "{}", "--diff", "builtin"),
        ("verify", "{}", "--backend", "cpu"),
        (*_RUN, "--format", "jsonl"),
    ),
    "graph": (("verify", "{}"), (*_RUN, "--backend", "cpu"), (*_RUN, "--format", "csv")),
    "ir": (
        ("verify", "{}", "--backend", "openvino"),
        (*_RUN, "--backend", "openvino", "--precision", "int8"),
    ),
    "stage": (
        ("verify", "{}"),
        (*_RUN, "--backend", "cpu", "--reuse", "exact"),
        (*_RUN, "--backend", "openvino", "--reuse", "exact"),
    ),
    "probe": (("verify", "{}"), ("verify", "{}", "--json", "--backend", "cpu")),
}
"""What reads each file of a bundle."""


def _use(case: Case, written: Written, folder: Path, report: Report) -> None:
    """The commands that read a bundle in the user's own process."""
    for words in _COMMANDS[case.kind]:
        filled = [word.format(written.path) for word in words]
        report({"event": "command", "words": filled})
        code, said = _command(filled, folder)
        report({"event": "exit", "code": code, "said": said})


def _command(words: list[str], folder: Path) -> tuple[Any, str]:
    """Exit code, and what was new in the log."""
    from edge_cli.app import main

    log = folder / LOG
    before = log.stat().st_size
    with _flushed():
        try:
            main(words)
        except SystemExit as stopped:
            code = stopped.code
        except BaseException:
            traceback.print_exc()
            code = "raised"
    return code, log.read_bytes()[before:].decode("utf-8", "replace")[-2000:]


@contextmanager
def _flushed() -> Iterator[None]:
    yield
    sys.stdout.flush()
    sys.stderr.flush()


def report_to(descriptor: int) -> Report:
    """A function that writes events to a pipe, one per line."""

    def report(event: dict[str, Any]) -> None:
        os.write(descriptor, (json.dumps(event) + "\n").encode())

    return report
