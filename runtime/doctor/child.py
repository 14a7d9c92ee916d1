"""Ask a library something in a process of its own, so that its crash is an answer too."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parents[2]
"""Where the child looks for modules first: a folder `runtime` where the user stands must not
shadow ours."""

LIMIT_S = 60.0
"""How long a question may take: loading an engine from a slow card takes several seconds."""

_TAIL = 8_000

_SIGNALS = {
    "SIGILL": "the library uses instructions that this processor lacks",
    "SIGKILL": "killed from outside, mostly for want of memory",
    "SIGBUS": "a file of the library is cut short, or /dev/shm is full",
}
"""What lies behind a signal, where that is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came of a question.

    Attributes:
        value: The answer; None when the child ended without one.
        step: What the child was doing last, e.g. "import openvino".
        exit_code: Of the child; that of a signal is negative; None when it took too long.
        said: The end of what it wrote to stderr.
        took_s: How long it took, in seconds.
    """

    value: Mapping[str, Any] | None = None
    step: str = ""
    exit_code: int | None = 0
    said: str = ""
    took_s: float = 0.0

    @property
    def end(self) -> str:
        """How a child ended that gave no answer, e.g. "died with SIGSEGV while importing cv2"."""
        doing = f" at the step '{self.step}'" if self.step else ""
        if self.exit_code is None:
            return f"gave no answer within {self.took_s:.0f} s{doing}"
        if self.exit_code >= 0:
            return f"ended with exit status {self.exit_code}{doing}"
        try:
            name = signal.Signals(-self.exit_code).name
        except ValueError:
            name = f"signal {-self.exit_code}"
        meaning = f" ({_SIGNALS[name]})" if name in _SIGNALS else ""
        return f"died with {name}{doing}{meaning}"


def ask(question: str, *words: str, limit_s: float = LIMIT_S) -> Answer:
    """Ask one of `runtime.doctor.questions`.

    Args:
        question: Its name.
        words: What it takes.
        limit_s: Seconds after which the child is killed.
    """
    return answer_of(
        [sys.executable, "-m", "runtime.doctor.questions", question, *words], limit_s=limit_s
    )


def answer_of(command: list[str], *, limit_s: float) -> Answer:
    """Run a command that tells steps and an answer as JSON lines on stdout.

    Nothing is written to a disk: that may be what is wrong.
    """
    start_s = time.monotonic()
    told, said, code = _run(command, limit_s=limit_s)
    step, value = _heard(told.decode("utf-8", "replace"))
    return Answer(
        value=value,
        step=step,
        exit_code=code,
        said=said[-_TAIL:].decode("utf-8", "replace"),
        took_s=time.monotonic() - start_s,
    )


def _run(command: list[str], *, limit_s: float) -> tuple[bytes, bytes, int | None]:
    """What it wrote to stdout and stderr, and its exit code; None when it took too long."""
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=_ROOT,
    ) as child:
        try:
            told, said = child.communicate(timeout=limit_s)
        except subprocess.TimeoutExpired as late:
            child.kill()
            return late.stdout or b"", late.stderr or b"", None
        except BaseException:
            child.kill()
            raise
    return told, said, child.returncode


def _heard(text: str) -> tuple[str, Mapping[str, Any] | None]:
    """The last step told, and the answer, if there is one."""
    step, value = "", None
    for line in text.splitlines():
        with contextlib.suppress(ValueError):
            event = json.loads(line)
            if isinstance(event, dict):
                step = str(event.get("step", step))
                value = event.get("answer", value)
    return step, value if isinstance(value, dict) else None
