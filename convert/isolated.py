"""Run a conversion in a process of its own.

Paddle and its exporter are native code that prints to stdout as it pleases and dies, hangs or asks
for absurd amounts of memory on some damaged files. In a child process none of this can spoil the
results on stdout or take the command down: the child's memory is limited, its silence too, what
it leaves behind is cleared away; and its memory is given back at the end.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from convert.bundle_writer import clear_away, missing_parents
from convert.memory_limit import limit_memory
from convert.pipeline import STEPS, Converted, OnStep
from convert.request import ConvertRequest
from models import errors
from models.bundle import open_bundle
from models.errors import CheckpointError, ConversionError, EdgeclsError, OutputError

_ROOT = Path(__file__).parent.parent
"""Where the child looks for modules first: a folder `models` where the user stands must not
shadow ours."""

_LOG_LINES = 8

QUIET_S, QUIET_BYTES_PER_S = 50.0, 5_000_000
"""How long reading, exporting and folding may each take: so long, and 1 s more per 5 MB."""

PATIENCE_S = 5.0
"""How long a child may take to clear up after itself."""

Report = Callable[[dict[str, Any]], None]
"""Takes one event of the child: a dict with its name under `event`."""


class WorkerBug(Exception):
    """The child ended with an exception that is no `EdgeclsError`; the text is its traceback."""


def convert_isolated(request: ConvertRequest, on_step: OnStep) -> Converted:
    """Like `convert.pipeline.convert`, in a child process.

    Raises:
        EdgeclsError: What the conversion raised.
        CheckpointError: Reading or exporting took longer than `quiet_limit_s`.
        ConversionError: The child was killed or crashed, or ran out of memory.
        WorkerBug: The conversion met a bug.
    """
    made = missing_parents(request.output)
    with _scratch() as (log, scratch):
        child = subprocess.Popen(
            [sys.executable, "-m", "convert.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            encoding="utf-8",
            cwd=_ROOT,
            env={**os.environ, "TMPDIR": scratch},
        )
        watch = _Watch(child, quiet_limit_s(request.source))
        try:
            assert child.stdin is not None
            assert child.stdout is not None
            with contextlib.suppress(BrokenPipeError):
                child.stdin.write(json.dumps(request.to_json_dict()))
                child.stdin.close()
            for event in _events(child.stdout):
                watch.heard(event)
                outcome = _outcome(event, request)
                if outcome is not None:
                    return outcome
                if event["event"] == "step":
                    on_step(event["title"], event["done"], event["total"])
            code = child.wait()
        finally:
            watch.stop()
            _end(child)
            if child.returncode < 0:  # it could not clear up itself
                clear_away(request.output, pid=child.pid, parents=made)
        log.seek(0)
        tail = log.read().decode("utf-8", "replace").strip().splitlines()[-_LOG_LINES:]
    if watch.overdue is not None:
        raise too_long(request.source, watch.overdue, watch.limit_s)
    raise died(request.source, code, last_words=tail[-1].strip() if tail else "")


@contextlib.contextmanager
def _scratch() -> Iterator[tuple[IO[bytes], str]]:
    """A file for the child's log, and a folder for its temporary files.

    Raises:
        OutputError: They cannot be made.
    """
    with contextlib.ExitStack() as stack:
        try:
            log = stack.enter_context(tempfile.TemporaryFile())
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="edgecls-"))
        except OSError as error:
            raise OutputError(
                f"There is no room for temporary files: {error.strerror or error}.",
                hint="Choose another folder for them: TMPDIR=/big/disk edgecls …",
            ) from error
        yield log, folder


def too_long(source: Path, step: str, limit_s: float) -> CheckpointError:
    """The error for a child that was silent for too long."""
    return CheckpointError(
        f"'{step}' had not come to an end after {limit_s:.0f} s, the limit for a file as large as"
        f" {source}.",
        hint="The file is damaged, or this machine is too busy: try again, or on a faster one.",
    )


def died(source: Path, code: int, *, last_words: str = "") -> ConversionError:
    """The error for a child that ended without a word; a negative code is that of a signal."""
    how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
    last = f" Its last words: {last_words}" if last_words else ""
    return ConversionError(
        f"The converter process died with {how} while reading {source}.{last}",
        hint="The file is damaged, or the machine ran out of memory; run with --debug for more.",
    )


def quiet_limit_s(source: Path) -> float:
    """How long a step of `is_limited` may take, by the size of the source.

    Of a file, those beside it whose names begin alike count too: they may be its weights.
    """
    total = 0
    with contextlib.suppress(OSError):  # what is wrong with the source, the child will say
        if source.is_dir():
            files = [*source.glob("*"), *source.glob("*/*")]
        else:
            files = [one for one in source.parent.iterdir() if one.name.startswith(source.stem)]
        total = sum(path.stat().st_size for path in files if path.is_file())
    return QUIET_S + total / QUIET_BYTES_PER_S


def is_limited(event: dict[str, Any]) -> bool:
    """Whether an event begins a stretch of limited length.

    Reading, exporting and folding are limited, once the libraries are loaded: those steps hang on
    some damaged files. Comparing takes as long as the model and the machine make it.
    """
    if event["event"] != "step" or event["title"] not in STEPS[:3]:
        return False
    return bool(event["title"] != STEPS[0] or event["done"])


class _Watch:
    """Kills a child that is silent for too long.

    Attributes:
        limit_s: How long that is.
        overdue: Title of the step that took longer; None while there is none.
    """

    def __init__(self, child: subprocess.Popen[str], limit_s: float) -> None:
        self.limit_s = limit_s
        self.overdue: str | None = None
        self._child = child
        self._timer: threading.Timer | None = None

    def heard(self, event: dict[str, Any]) -> None:
        """Start to count again, if need be."""
        self.stop()
        if is_limited(event):
            self._timer = threading.Timer(self.limit_s, self._expire, [event["title"]])
            self._timer.daemon = True
            self._timer.start()

    def stop(self) -> None:
        """Count no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _expire(self, title: str) -> None:
        self.overdue = title
        self._child.kill()


def _events(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    for line in lines:
        with contextlib.suppress(ValueError):
            event = json.loads(line)
            if isinstance(event, dict) and "event" in event:
                yield event


def _outcome(event: dict[str, Any], request: ConvertRequest) -> Converted | None:
    if event["event"] == "done":
        card = open_bundle(request.output).card
        return Converted(path=request.output, card=card, notes=tuple(event["notes"]))
    if event["event"] == "error":
        kind = getattr(errors, event["kind"], EdgeclsError)
        raise kind(event["message"], hint=event["hint"])
    if event["event"] == "bug":
        raise WorkerBug(event["trace"])
    return None


def _end(child: subprocess.Popen[str]) -> None:
    """Let the child clean up after itself, then make sure that it is gone."""
    if child.poll() is None:
        child.send_signal(signal.SIGINT)
        try:
            child.wait(timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
    for pipe in (child.stdin, child.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()


def serve() -> None:
    """The child: read a request from stdin, convert, report events as JSON lines on stdout."""
    events = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever native code prints goes to the log, not among the events

    def report(event: dict[str, Any]) -> None:
        events.write(json.dumps(event) + "\n")
        events.flush()

    limit_bytes = limit_memory()
    try:
        request = ConvertRequest.from_json_dict(json.loads(sys.stdin.read()))
        attempt(request, report, limit_bytes=limit_bytes)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(141)


def attempt(request: ConvertRequest, report: Report, *, limit_bytes: int | None = None) -> None:
    """Convert in this process, and report whatever comes of it.

    Args:
        request: What to convert.
        report: Is given the events.
        limit_bytes: Memory that this process may take; None for no limit.
    """
    from convert.pipeline import convert

    def on_step(title: str, done: int, total: int) -> None:
        report({"event": "step", "title": title, "done": done, "total": total})

    try:
        done = convert(request, on_step)
        report({"event": "done", "notes": list(done.notes)})
    except EdgeclsError as error:
        report(_failure(error))
    except MemoryError:
        report(_failure(_out_of_memory(request.source, limit_bytes)))
    except BrokenPipeError:
        raise
    except Exception:
        import traceback

        report({"event": "bug", "trace": traceback.format_exc()})


def _failure(error: EdgeclsError) -> dict[str, Any]:
    kind = type(error).__name__
    return {"event": "error", "kind": kind, "message": error.message, "hint": error.hint}


def _out_of_memory(source: Path, limit_bytes: int | None) -> ConversionError:
    there = "there is" if limit_bytes is None else f"the {limit_bytes >> 20} MiB that are free"
    return ConversionError(
        f"Converting {source} takes more memory than {there}.",
        hint="The file is damaged, or needs a machine with more memory.",
    )
