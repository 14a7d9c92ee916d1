"""Ask a library something in a process of its own, so that its crash is an answer too."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.errors import OutputError

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

    Raises:
        OutputError: There is no room for a temporary file.
    """
    return answer_of(
        [sys.executable, "-m", "runtime.doctor.questions", question, *words], limit_s=limit_s
    )


def answer_of(command: list[str], *, limit_s: float) -> Answer:
    """Run a command that tells steps and an answer as JSON lines on stdout.

    Raises:
        OutputError: There is no room for a temporary file.
    """
    start_s = time.monotonic()
    with contextlib.ExitStack() as stack:
        try:
            told = stack.enter_context(tempfile.TemporaryFile())
            said = stack.enter_context(tempfile.TemporaryFile())
        except OSError as error:
            raise OutputError(
                f"There is no room for temporary files: {error.strerror or error}.",
                hint="Choose another folder for them: TMPDIR=/big/disk edgecls doctor",
            ) from error
        code = _run(command, told=told.fileno(), said=said.fileno(), limit_s=limit_s)
        told.seek(0)
        step, value = _heard(told.read().decode("utf-8", "replace"))
        said.seek(max(0, said.seek(0, os.SEEK_END) - _TAIL))
        tail = said.read().decode("utf-8", "replace")
    return Answer(
        value=value,
        step=step,
        exit_code=code,
        said=tail,
        took_s=time.monotonic() - start_s,
    )


def _run(command: list[str], *, told: int, said: int, limit_s: float) -> int | None:
    """Exit code; None when the command was killed for taking too long."""
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=told, stderr=said, cwd=_ROOT
    ) as child:
        try:
            return child.wait(timeout=limit_s)
        except subprocess.TimeoutExpired:
            child.kill()
            return None
        except BaseException:
            child.kill()
            raise


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
