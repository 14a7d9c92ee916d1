"""Time and memory of a graph on one backend, measured in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import runtime
from models.bundle import Bundle
from models.card import Variant
from models.errors import UsageError
from runtime.graphs import short_title
from runtime.last_line import object_of_last_line


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchPlan:
    """What to measure.

    Attributes:
        iterations: Timed runs.
        warmup: Runs before them that do not count.
        batch: Clips per run.
        threads: Threads of the engine; None for the CPUs this process may use.
        device: See `SessionOptions`.
        settings: See `SessionOptions`.
    """

    iterations: int = 30
    warmup: int = 3
    batch: int = 1
    threads: int | None = None
    device: str | None = None
    settings: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("iterations", "batch"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} must be at least 1, got {getattr(self, name)}.")
        if self.warmup < 0:
            raise UsageError(f"warmup must not be negative, got {self.warmup}.")
        if self.threads is not None and self.threads < 1:
            raise UsageError(f"threads must be at least 1, got {self.threads}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchFigures:
    """What was measured.

    Attributes:
        engine: What ran.
        placement: Where the nodes of the graph ran, in words.
        threads: Threads it was given.
        load_ms: From the file to a session that is ready, without the import of the engine.
        median_ms: Median time of a run.
        p95_ms: 95th percentile of the same.
        clips_per_s: Clips over the time of all timed runs.
        peak_memory_mib: Largest resident memory of the process, engine and all.
    """

    engine: str
    placement: str
    threads: int
    load_ms: float
    median_ms: float
    p95_ms: float
    clips_per_s: float
    peak_memory_mib: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchResult:
    """Figures of a graph on a backend, or the reason why there are none.

    Attributes:
        backend: Name of the backend.
        graph: What it ran, e.g. "fp32", "int8 IR".
        file: File of that graph.
        precision: Of that graph.
        figures: None when it failed.
        reason: Why it failed, without a full stop; empty when it did not.
    """

    backend: str
    graph: str
    file: str
    precision: str
    figures: BenchFigures | None
    reason: str = ""

    @property
    def title(self) -> str:
        """E.g. "cpu", or "cpu int8" where it is not fp32."""
        return self.backend if self.graph == "fp32" else f"{self.backend} {self.graph}"


def bench_graph(bundle: Bundle, variant: Variant, *, backend: str, plan: BenchPlan) -> BenchResult:
    """Measure a graph on a backend in a fresh process, so that its peak memory is its own.

    The input is random, of a fixed seed. A backend that fails, or takes its process down with
    it, gives a result with the reason.

    Args:
        bundle: The model.
        variant: Graph of it.
        backend: Name of the backend.
        plan: What to measure.

    Raises:
        BundleError: The graph is missing or altered.
    """
    bundle.graph_path(variant)
    order = {
        "bundle": str(bundle.path.resolve()),
        "file": variant.file,
        "backend": backend,
        "plan": asdict(plan),
    }
    done = subprocess.run(  # the module is run from its own root: a folder `models` in the
        # user's directory must not shadow ours
        [sys.executable, "-m", "runtime.bench_worker"],
        input=json.dumps(order),
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(runtime.__file__).parent.parent,
    )
    figures, reason = None, ""
    answer = object_of_last_line(done.stdout)
    if answer is None:
        tail = (done.stderr.strip().splitlines() or ["no message"])[-1]
        reason = f"its process ended with status {done.returncode}: {tail}"
    elif "reason" in answer:
        reason = answer["reason"].rstrip(".")
    else:
        figures = BenchFigures(**answer)
    return BenchResult(
        backend=backend,
        graph=short_title(variant),
        file=variant.file,
        precision=variant.precision,
        figures=figures,
        reason=reason,
    )


def speed_over_fp32(result: BenchResult, results: Sequence[BenchResult]) -> float | None:
    """Speed of a graph over that of the first fp32 graph measured on the same backend.

    Returns:
        Above 1 when it is faster; None when one of the two was not measured.
    """
    for one in results:
        if (one.backend, one.precision) == (result.backend, "fp32"):
            if one.figures is None or result.figures is None:
                return None
            return one.figures.median_ms / result.figures.median_ms
    return None
