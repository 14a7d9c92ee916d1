"""The other side of `runtime.turns`: what a process that measures says and hears."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TextIO

from models.errors import EdgeclsError
from runtime.bench_worker import peak_memory_bytes

WARM_UP_CALLS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What a process measures.

    Attributes:
        call: What is timed.
        before: Called before every call, outside of its time.
        facts: Told when it is ready, as JSON.
    """

    call: Callable[[], object]
    facts: dict[str, Any]
    before: Callable[[], object] = lambda: None


def serve(prepare: Callable[[dict[str, Any]], Measured]) -> None:
    """Read the order, get ready, and take turns until stdin ends.

    What libraries print to stdout goes to stderr. CPUs are taken as the order says, before
    anything is loaded: `cpus` of those that this process may use.

    Args:
        prepare: From the order to what is measured.
    """
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    order: dict[str, Any] = json.loads(sys.stdin.readline())
    hold_cpus(order.get("cpus"))
    try:
        measured = prepare(order)
        for _ in range(WARM_UP_CALLS):
            measured.before()
            measured.call()
    except EdgeclsError as error:
        _say(answers, {"reason": error.message})
        return
    _say(answers, {"ready": measured.facts})
    cpu_ms: list[float] = []
    for line in sys.stdin:
        if line.strip() == "end":
            _say(answers, {"peak_memory_bytes": peak_memory_bytes(), "cpu_ms": cpu_ms})
            return
        turn = [timed_ms(measured) for _ in range(int(line))]
        cpu_ms += [used for _, used in turn]
        _say(answers, [passed for passed, _ in turn])


def timed_ms(measured: Measured) -> tuple[float, float]:
    """Milliseconds of one call that passed, and that all threads of this process computed."""
    measured.before()
    start_s, start_cpu_s = time.perf_counter(), time.process_time()
    measured.call()
    passed_s, used_s = time.perf_counter() - start_s, time.process_time() - start_cpu_s
    return passed_s * 1e3, used_s * 1e3


def hold_cpus(count: int | None) -> None:
    """Keep this process, and what it starts, to some of its CPUs, where the system can do that."""
    if count is not None and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:count])


def _say(answers: TextIO, what: object) -> None:
    answers.write(json.dumps(what) + "\n")
    answers.flush()
