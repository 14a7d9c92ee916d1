"""Play cases in forks of a process that has loaded the libraries, and judge what comes of them.

To load Paddle takes seconds; a fork takes milliseconds. Each case has its process, which may
crash, hang, and ask for any amount of memory.
"""

from __future__ import annotations

import json
import os
import selectors
import shutil
import signal
import time
import traceback
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from convert.bundle_writer import clear_away
from convert.isolated import is_limited
from models import errors
from models.errors import EdgeclsError
from tests.fuzz.cases import KINDS, Case
from tests.fuzz.child import LOG, play, report_to
from tests.fuzz.seeds import Seeds

CASE_S = 60.0
"""No case may take longer."""

QUIET_S = 50.0
"""`convert.isolated` ends a conversion that says nothing for so long while it reads."""

_BUG, _RAISED = 70, "raised"
_EXIT_NAMES = {
    one.exit_code: name
    for name, one in vars(errors).items()
    if isinstance(one, type) and issubclass(one, EdgeclsError) and EdgeclsError in one.__bases__
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a case.

    Attributes:
        case: Which.
        what: "success", the class of an error, or what must not be.
        allowed: Whether it may be.
        detail: More about it.
        seconds: How long it took.
        folder: Where its files are; removed if the outcome is allowed.
    """

    case: Case
    what: str
    allowed: bool
    detail: str
    seconds: float
    folder: Path


@dataclass(slots=True, kw_only=True)
class _Running:
    case: Case
    pid: int
    pipe: int
    folder: Path
    started_s: float
    heard_s: float
    pending: bytes = b""
    events: list[dict[str, Any]] = field(default_factory=list)
    stopped: str = ""

    def read(self) -> bool:
        """Take what there is; False at the end."""
        data = os.read(self.pipe, 1 << 16)
        *lines, self.pending = (self.pending + data).split(b"\n")
        for line in lines:
            self.events.append(json.loads(line))
            self.heard_s = time.monotonic()
        return bool(data)

    def stop_if_overdue(self, now_s: float) -> None:
        if self.stopped:
            return
        last = self.events[-1] if self.events else {"event": ""}
        if is_limited(last) and now_s - self.heard_s > QUIET_S:
            self.stopped = f"stopped in '{last['title']}'"
        elif now_s - self.started_s > CASE_S:
            self.stopped = "overdue"
        if self.stopped:
            os.kill(self.pid, signal.SIGKILL)


def play_all(cases: Iterable[Case], seeds: Seeds, folder: Path, *, jobs: int) -> Iterator[Outcome]:
    """Play cases, several at a time.

    Args:
        cases: In this order.
        seeds: Valid files.
        folder: Each case has a folder in it while it is played, and longer if its outcome must
            not be.
        jobs: How many at a time.
    """
    waiting = iter(cases)
    running: dict[int, _Running] = {}
    with selectors.DefaultSelector() as selector:
        while True:
            while len(running) < jobs and (case := next(waiting, None)) is not None:
                started = _start(case, seeds, folder)
                running[started.pipe] = started
                selector.register(started.pipe, selectors.EVENT_READ)
            if not running:
                return
            ready = {key.fd for key, _ in selector.select(timeout=0.5)}
            for pipe, one in list(running.items()):
                if pipe in ready and not one.read():
                    selector.unregister(pipe)
                    del running[pipe]
                    yield _finish(one)
                else:
                    one.stop_if_overdue(time.monotonic())


def _start(case: Case, seeds: Seeds, folder: Path) -> _Running:
    home = folder / str(case).replace("/", "-")
    home.mkdir()
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        _be_the_child(case, seeds, home, writing)
    os.close(writing)
    now_s = time.monotonic()
    return _Running(case=case, pid=pid, pipe=reading, folder=home, started_s=now_s, heard_s=now_s)


def _be_the_child(case: Case, seeds: Seeds, home: Path, pipe: int) -> None:
    """Never returns, and runs nothing that is for the end of the parent."""
    report = report_to(pipe)
    try:
        play(case, seeds, home, report)
    except BaseException:
        report({"event": "broken", "trace": traceback.format_exc()})
    finally:
        os._exit(0)


def _finish(one: _Running) -> Outcome:
    os.close(one.pipe)
    _, status = os.waitpid(one.pid, 0)
    code = os.waitstatus_to_exitcode(status)
    seconds = time.monotonic() - one.started_s
    conversion = KINDS[one.case.kind].process == "conversion"
    if conversion and code < 0:  # as the parent of a conversion does
        output = one.folder / "made" / "bundle"
        parents = tuple(path for path in (output.parent,) if path.exists())
        clear_away(output, pid=one.pid, parents=parents)
    what, allowed, detail = _judged(one, code, conversion=conversion)
    outcome = Outcome(
        case=one.case, what=what, allowed=allowed, detail=detail, seconds=seconds, folder=one.folder
    )
    if allowed:
        shutil.rmtree(one.folder)
    return outcome


def _judged(one: _Running, code: int, *, conversion: bool) -> tuple[str, bool, str]:
    """What it was, whether it may be, and more about it."""
    if (one.folder / "canary").exists():
        return "code executed", False, "the canary is there"
    if any(event["event"] == "code" for event in one.events):
        return "code executed", False, str([e["what"] for e in one.events if e["event"] == "code"])
    broken = next((event for event in one.events if event["event"] == "broken"), None)
    if broken or not one.events:
        return "the fuzzer itself", False, broken["trace"] if broken else f"status {code}"
    if one.stopped == "overdue":
        return f"over {CASE_S:.0f} s", False, _last(one)
    judge = _judged_conversion if conversion else _judged_commands
    what, allowed, detail = judge(one, code)
    left = _left_behind(one, what)
    if allowed and left:
        return "files left behind", False, f"{what}: {left}"
    if allowed and one.events[0]["refused"] and (what == "success" or _ran(one)):
        return "a hole", False, one.events[0]["refused"]
    return what, allowed, detail


def _judged_conversion(one: _Running, code: int) -> tuple[str, bool, str]:
    if one.stopped:
        return "CheckpointError (time)", True, one.stopped
    if code < 0:
        name = f"ConversionError ({signal.Signals(-code).name})"
        return name, True, _last(one)
    last = one.events[-1]
    if last["event"] == "error":
        return last["kind"], True, last["message"]
    if last["event"] == "done":
        return "success", True, ""
    if last["event"] == "bug":
        return "traceback", False, last["trace"]
    return f"ConversionError (exit {code})", True, _last(one)


def _judged_commands(one: _Running, code: int) -> tuple[str, bool, str]:
    """All commands must end well; the first error names the outcome."""
    if code != 0:
        how = signal.Signals(-code).name if code < 0 else f"exit {code}"
        return f"crash ({how})", False, _last(one)
    exits = [event for event in one.events if event["event"] == "exit"]
    for event in exits:
        if event["code"] in {_BUG, _RAISED} or "Traceback (most recent" in event["said"]:
            return "traceback", False, f"{_last(one, event)}\n{event['said']}"
        if event["code"] not in {0, *_EXIT_NAMES}:
            return "exit status", False, f"{event['code']}: {event['said']}"
    failed = next((event for event in exits if event["code"]), None)
    if failed is None:
        return "success", True, ""
    return _EXIT_NAMES[failed["code"]], True, failed["said"]


def _ran(one: _Running) -> bool:
    """Whether an engine took the graph, whatever it then computed."""
    pairs = zip(one.events, one.events[1:], strict=False)
    return any(
        event["event"] == "command" and event["words"][0] == "run" and after.get("code") == 0
        for event, after in pairs
    )


def _last(one: _Running, before: dict[str, Any] | None = None) -> str:
    """What was under way at the end, or before an event."""
    events = one.events[: one.events.index(before)] if before else one.events
    known = [event for event in events if event["event"] in {"step", "command"}]
    log = one.folder / LOG
    tail = log.read_text(errors="replace").splitlines()[-3:] if log.exists() else []
    return f"{known[-1] if known else 'nothing'} {tail}"[:1500]


def _left_behind(one: _Running, what: str) -> list[str]:
    """Files that were not there before, but for what is meant to be there."""
    known = set(one.events[0]["files"]) | {"scratch", LOG}
    if what == "success":
        known |= {"made", "made/bundle"}
        known |= {f"made/bundle/{name}" for name in _BUNDLE_FILES}
    conversion = KINDS[one.case.kind].process == "conversion"
    return [
        name
        for name in sorted(str(path.relative_to(one.folder)) for path in one.folder.rglob("*"))
        if name not in known
        and not (conversion and name.startswith("scratch/"))  # its parent removes that folder
        and name.split("/")[0] != "cache"
    ]


_BUNDLE_FILES = (
    *("card.json", "model.onnx", "probe.npz"),
    *("model.fp16.onnx", "model.batch2.onnx", "model.fp16.batch2.onnx"),
    *("stream.frame.onnx", "stream.shift1.onnx", "stream.shift2.onnx", "stream.window.onnx"),
)
