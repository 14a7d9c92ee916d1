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
        at_end: More that is told at the end, besides the peak memory.
    """

    call: Callable[[], object]
    facts: dict[str, Any]
    before: Callable[[], object] = lambda: None
    at_end: Callable[[], dict[str, Any]] = dict


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
    for line in sys.stdin:
        if line.strip() == "end":
            _say(answers, {"peak_memory_bytes": peak_memory_bytes(), **measured.at_end()})
            return
        _say(answers, [timed_ms(measured) for _ in range(int(line))])


def timed_ms(measured: Measured) -> float:
    """Milliseconds of one call."""
    measured.before()
    start_s = time.perf_counter()
    measured.call()
    return (time.perf_counter() - start_s) * 1e3


def hold_cpus(count: int | None) -> None:
    """Keep this process, and what it starts, to some of its CPUs, where the system can do that."""
    if count is not None and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:count])


def _say(answers: TextIO, what: object) -> None:
    answers.write(json.dumps(what) + "\n")
    answers.flush()
