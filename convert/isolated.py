"""Run a conversion in a process of its own.

Paddle and its exporter are native code that prints to stdout as it pleases and dies on some
damaged files. In a child process neither can spoil the results on stdout or take the command
down; and its memory is given back at the end.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from convert.pipeline import Converted, OnStep
from convert.request import ConvertRequest
from models import errors
from models.bundle import open_bundle
from models.errors import ConversionError, EdgeclsError

_ROOT = Path(__file__).parent.parent
"""Where the child looks for modules first: a folder `models` where the user stands must not
shadow ours."""

_LOG_LINES = 8


class WorkerBug(Exception):
    """The child ended with an exception that is no `EdgeclsError`; the text is its traceback."""


def convert_isolated(request: ConvertRequest, on_step: OnStep) -> Converted:
    """Like `convert.pipeline.convert`, in a child process.

    Raises:
        EdgeclsError: What the conversion raised.
        ConversionError: The child was killed or crashed.
        WorkerBug: The conversion met a bug.
    """
    with tempfile.TemporaryFile() as log:
        child = subprocess.Popen(
            [sys.executable, "-m", "convert.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            encoding="utf-8",
            cwd=_ROOT,
        )
        try:
            assert child.stdin is not None
            assert child.stdout is not None
            with contextlib.suppress(BrokenPipeError):
                child.stdin.write(json.dumps(request.to_json_dict()))
                child.stdin.close()
            for event in _events(child.stdout):
                outcome = _outcome(event, request)
                if outcome is not None:
                    return outcome
                if event["event"] == "step":
                    on_step(event["title"], event["done"], event["total"])
            code = child.wait()
        finally:
            _end(child)
        log.seek(0)
        tail = log.read().decode("utf-8", "replace").strip().splitlines()[-_LOG_LINES:]
    how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
    last = f" Its last words: {tail[-1].strip()}" if tail else ""
    raise ConversionError(
        f"The converter process died with {how} while reading {request.source}.{last}",
        hint="The file is damaged, or the machine ran out of memory; run with --debug for more.",
    )


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
            child.wait(timeout=5)
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

    def report(event: str, **fields: Any) -> None:
        events.write(json.dumps({"event": event, **fields}) + "\n")
        events.flush()

    from convert.pipeline import convert

    try:
        request = ConvertRequest.from_json_dict(json.loads(sys.stdin.read()))
        done = convert(
            request,
            lambda title, finished, total: report("step", title=title, done=finished, total=total),
        )
        report("done", notes=list(done.notes))
    except EdgeclsError as error:
        report("error", kind=type(error).__name__, message=error.message, hint=error.hint)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(141)
    except Exception:
        import traceback

        report("bug", trace=traceback.format_exc())
