"""Processes that measure in turns, so that a busy moment of the machine meets them all.

Every one of them is told once what to run, and then, turn after turn, how often. What it runs may
crash, hang or print as it pleases; the others go on.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import runtime
from runtime.closing import ClosesOnExit

PATIENCE_S = 300.0
"""How long loading, or a turn, may take before the process is ended."""

_ROOT = Path(runtime.__file__).parent.parent


class TurnFailed(Exception):
    """A contestant did not start, or died; the text says why, without a full stop."""


class Contestant(ClosesOnExit):
    """A process that measures one thing.

    It reads a line of JSON that says what to run, and answers with a line `{"ready": facts}` or
    `{"reason": text}`. Then every line it reads is a number of calls, and its answer the
    milliseconds of each; what it says of itself at the end follows on the line "end".

    Args:
        command: Starts the process.
        order: What it is to run.
        folder: Where it runs; None for the folder of this program, so that a folder `models` where
            the user stands does not shadow ours.
        patience_s: How long an answer may take.

    Attributes:
        facts: What it said when it was ready.

    Raises:
        TurnFailed: It did not start.
    """

    def __init__(
        self,
        command: Sequence[str],
        order: Mapping[str, Any],
        *,
        folder: Path | None = None,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._patience_s = patience_s
        self._chatter: IO[str] = tempfile.TemporaryFile("w+", errors="replace", encoding="utf-8")  # noqa: SIM115
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._chatter,
                text=True,
                cwd=folder or _ROOT,
            )
        except OSError as error:
            self._chatter.close()
            raise TurnFailed(f"{command[0]} does not start: {error.strerror or error}") from error
        try:
            self.facts = _facts(self._asked(json.dumps(order)))
        except BaseException:
            self.close()
            raise

    def turn(self, calls: int) -> list[float]:
        """Run that many times.

        Returns:
            Milliseconds of each.

        Raises:
            TurnFailed: The process died, or took too long.
        """
        return [float(one) for one in self._asked(str(calls))]

    def end(self) -> Mapping[str, Any]:
        """End the process.

        Returns:
            What it says of itself, e.g. its peak memory.

        Raises:
            TurnFailed: It died before it said it.
        """
        with self:
            answer: Mapping[str, Any] = self._asked("end")
            return answer

    def close(self) -> None:
        """End the process without listening to it; twice is fine."""
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        if self._process.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(2.0)
            self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._chatter.close()

    def _asked(self, line: str) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        late = threading.Event()

        def give_up() -> None:
            late.set()
            self._process.kill()

        timer = threading.Timer(self._patience_s, give_up)
        timer.start()
        try:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.write(line + "\n")
                self._process.stdin.flush()
            answer = self._process.stdout.readline()
        finally:
            timer.cancel()
        if answer:
            try:
                return json.loads(answer)
            except ValueError as error:
                raise TurnFailed("its answer makes no sense") from error
        if late.is_set():
            raise TurnFailed(f"no answer within {self._patience_s:g} s")
        status = self._process.wait()
        self._chatter.seek(0)
        said = [one for one in self._chatter.read()[-4000:].splitlines() if one.strip()]
        last = f": {said[-1].strip()}" if said else ""
        raise TurnFailed(f"its process ended with status {status}{last}")


def worker(module: str) -> list[str]:
    """The command that runs a module of this program."""
    return [sys.executable, "-m", module]


def take_turns(
    contestants: Mapping[str, Contestant],
    *,
    rounds: int,
    calls: int,
    on_round: Callable[[], None] = lambda: None,
) -> tuple[dict[str, list[float]], dict[str, str]]:
    """Let everyone run, one after the other, round by round.

    Args:
        contestants: By name.
        rounds: Turns that each gets.
        calls: Calls of a turn.
        on_round: Called after every round.

    Returns:
        Milliseconds of all calls by name, of those that finished; and reasons by name, of those
        that did not.
    """
    times_ms: dict[str, list[float]] = {name: [] for name in contestants}
    failed: dict[str, str] = {}
    for _ in range(rounds):
        for name in list(times_ms):
            try:
                times_ms[name] += contestants[name].turn(calls)
            except TurnFailed as error:
                failed[name] = str(error)
                del times_ms[name]
        on_round()
    return times_ms, failed


def _facts(answer: object) -> Mapping[str, Any]:
    """What a process says when it is ready."""
    if isinstance(answer, dict) and isinstance(answer.get("ready"), dict):
        facts: Mapping[str, Any] = answer["ready"]
        return facts
    reason = answer.get("reason") if isinstance(answer, dict) else None
    raise TurnFailed(str(reason or "its answer makes no sense").rstrip("."))
