"""What a prediction costs when windows overlap: whole, incremental, and that of rivals.

All ways live in processes of their own and take turns. Once with all threads that were asked for,
and once with one thread on one CPU, which tells how many streams a core holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Literal

import numpy as np

from models.bundle import Bundle
from models.card import Variant
from models.errors import UsageError
from runtime.graphs import competing, short_title
from runtime.turns import Contestant, TurnFailed, take_turns, worker

Way = Literal["whole", "exact", "approx"]
"""Every window as a whole; incrementally with exact reuse; or with approximate reuse."""

PADDLE, PADDLEX = "paddle", "paddlex"
RIVALS = (PADDLE, PADDLEX)
"""Names of the rivals, where a backend of ours would stand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamPlan:
    """What to measure.

    Attributes:
        threads: Threads of every engine in the first race.
        hop: Frames of the grid from one prediction to the next.
        stride_s: The same in seconds.
        streams: Streams that are served at once, in one batch.
        rounds: Turns of every way.
        calls: Timed predictions of a turn.
    """

    threads: int
    hop: int
    stride_s: float
    streams: int = 1
    rounds: int = 12
    calls: int = 3

    def __post_init__(self) -> None:
        for name in ("threads", "hop", "streams", "rounds", "calls"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} must be at least 1, got {getattr(self, name)}.")
        if not self.stride_s > 0:
            raise UsageError(f"The stride must be above 0 s, got {self.stride_s:g}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """Something that is to be measured.

    Attributes:
        backend: Name of our backend, or of the rival.
        precision: Of the graph.
        way: How a prediction is computed.
        command: Starts its process, see `runtime.turns`.
        order: What the process is told, without threads and CPUs.
        folder: Where it runs; None for the folder of this program.
        note: What must be said with the figure; may be empty.
        otherwise: What takes its place if it does not start.
    """

    backend: str
    precision: str
    way: Way
    command: Sequence[str]
    order: Mapping[str, Any]
    folder: Path | None = None
    note: str = ""
    otherwise: Entry | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamRow:
    """Figures of one way, or the reason why there are none.

    Attributes:
        backend: Name of our backend, or of the rival.
        graph: E.g. "fp32", "int8".
        way: How a prediction is computed.
        engine: What ran; empty when nothing did.
        median_ms: Median time of a prediction.
        p95_ms: 95th percentile of the same.
        cpu_ms: Median time that all threads computed for a prediction, which other programs
            disturb less. Threads that wait for one another without sleeping count.
        one_core_ms: Median time of a prediction with one thread on one CPU.
        peak_memory_mib: Largest resident memory of the process, engine and all.
        stream_memory_mib: What every further stream takes; None where nothing is kept.
        note: What must be said with the figures; may be empty.
        reason: Why there are no figures, without a full stop; empty when there are.
    """

    backend: str
    graph: str
    way: Way
    engine: str = ""
    median_ms: float | None = None
    p95_ms: float | None = None
    cpu_ms: float | None = None
    one_core_ms: float | None = None
    peak_memory_mib: float | None = None
    stream_memory_mib: float | None = None
    note: str = ""
    reason: str = ""

    def streams_per_core(self, stride_s: float) -> float | None:
        """Streams with a prediction every `stride_s` that one core keeps up with, model alone."""
        return None if self.one_core_ms is None else stride_s * 1e3 / self.one_core_ms


def own_entries(
    bundle: Bundle, backends: Sequence[str], *, precisions: Sequence[str], plan: StreamPlan
) -> Iterator[Entry]:
    """Every way in which this program runs a model.

    Args:
        bundle: The model.
        backends: Names of backends.
        precisions: "fp32", "int8".
        plan: Says how far a window moves, and for how many streams.
    """
    for backend in backends:
        for precision in precisions:
            for variant in competing(bundle.card, precision, backend):
                for way in _ways(variant):
                    yield Entry(
                        backend=backend,
                        precision=short_title(variant),
                        way=way,
                        command=worker("runtime.stream_worker"),
                        order={
                            "bundle": str(bundle.path.resolve()),
                            "file": variant.file,
                            "backend": backend,
                            "way": way,
                            "hop": plan.hop,
                            "streams": plan.streams,
                        },
                    )


def measure_streams(
    entries: Sequence[Entry],
    plan: StreamPlan,
    *,
    on_step: Callable[[str], None] = lambda _: None,
) -> list[StreamRow]:
    """Race all entries, on all threads and then on one core.

    Args:
        entries: What is measured, in the order of the table.
        plan: How.
        on_step: Told what is going on.

    Returns:
        A row per entry, in the same order.
    """
    results: list[_Result] = [_Result(entry=entry) for entry in entries]
    _race(results, plan, on_step, on_one_core=False)
    running = [one for one in results if not one.reason]
    _race(running, plan, on_step, on_one_core=True)
    return [one.row(plan) for one in results]


def cheaper_by(row: StreamRow, other: StreamRow | None) -> float | None:
    """How many times the cost of `row` the other's is; None when one was not measured."""
    if other is None or not other.median_ms or not row.median_ms:
        return None
    return other.median_ms / row.median_ms


def paddle_row(rows: Sequence[StreamRow]) -> StreamRow | None:
    """Paddle Inference, if it was measured."""
    return next((one for one in rows if one.backend == PADDLE and one.median_ms), None)


def whole_row(row: StreamRow, rows: Sequence[StreamRow]) -> StreamRow | None:
    """fp32 on whole windows on the same engine of ours, if it was measured."""
    if row.backend in RIVALS:
        return None
    same = (row.backend, "fp32", "whole")
    return next((one for one in rows if (one.backend, one.graph[:4], one.way) == same), None)


def _ways(variant: Variant) -> tuple[Way, ...]:
    """Exact and approximate reuse differ only if a stage looks at neighbours."""
    if not variant.stages:
        return ("whole",)
    shifted = any(stage.kind == "shifted" for stage in variant.stages)
    return ("whole", "exact", "approx") if shifted else ("whole", "exact")


@dataclass(slots=True, kw_only=True)
class _Result:
    """What is known of an entry so far."""

    entry: Entry
    facts: Mapping[str, Any] = field(default_factory=dict)
    ended: Mapping[str, Any] = field(default_factory=dict)
    times_ms: list[float] = field(default_factory=list)
    one_core_ms: list[float] = field(default_factory=list)
    reason: str = ""

    def row(self, plan: StreamPlan) -> StreamRow:
        per_ms = np.array(self.times_ms) / plan.streams
        one_core = None
        if self.one_core_ms:
            one_core = median(self.one_core_ms) / plan.streams
        used_ms = self.ended.get("cpu_ms")
        peak, kept = self.ended.get("peak_memory_bytes"), self.facts.get("stream_bytes")
        return StreamRow(
            backend=self.entry.backend,
            graph=self.entry.precision,
            way=self.entry.way,
            engine=str(self.facts.get("engine", "")),
            median_ms=float(np.median(per_ms)) if per_ms.size else None,
            p95_ms=float(np.percentile(per_ms, 95)) if per_ms.size else None,
            cpu_ms=median(used_ms) / plan.streams if used_ms else None,
            one_core_ms=one_core,
            peak_memory_mib=None if peak is None else peak / 2**20,
            stream_memory_mib=None if kept is None else kept / 2**20,
            note=self.entry.note,
            reason=self.reason,
        )


def _race(
    results: Sequence[_Result],
    plan: StreamPlan,
    on_step: Callable[[str], None],
    *,
    on_one_core: bool,
) -> None:
    """One race; figures and reasons go into the results."""
    more = {"threads": 1, "cpus": 1} if on_one_core else {"threads": plan.threads}
    where = "one core" if on_one_core else f"{plan.threads} threads"
    running: dict[str, tuple[_Result, Contestant]] = {}
    with ExitStack() as stack:
        for place, result in enumerate(results):
            on_step(f"{where}: loading {result.entry.backend} {result.entry.precision}")
            contestant = _started(result, more)
            if contestant is not None:
                running[str(place)] = (result, stack.enter_context(contestant))
        on_step(f"{where}: measuring")
        times_ms, failed = take_turns(
            {name: contestant for name, (_, contestant) in running.items()},
            rounds=plan.rounds,
            calls=plan.calls,
        )
        for name, (result, contestant) in running.items():
            if name in failed:
                result.reason = failed[name]
                continue
            if on_one_core:
                result.one_core_ms = times_ms[name]
                continue
            result.times_ms, result.facts = times_ms[name], contestant.facts
            try:
                result.ended = contestant.end()
            except TurnFailed as error:
                result.reason = str(error)


def _started(result: _Result, more: Mapping[str, Any]) -> Contestant | None:
    """Start it, or what may take its place."""
    reasons: list[str] = []
    entry: Entry | None = result.entry
    while entry is not None:
        try:
            contestant = Contestant(entry.command, {**entry.order, **more}, folder=entry.folder)
        except TurnFailed as error:
            reasons.append(str(error))
            entry = entry.otherwise
        else:
            result.entry = entry
            return contestant
    result.reason = reasons[0] if reasons else "nothing to run"
    return None
