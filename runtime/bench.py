"""Time and memory of a model on one backend, measured in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import runtime
from models.bundle import Bundle
from models.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchPlan:
    """What to measure.

    Attributes:
        iterations: Timed runs.
        warmup: Runs before them that do not count.
        batch: Clips per run.
        threads: Threads of the engine; None for the CPUs this process may use.
        precision: Variant of the graph.
    """

    iterations: int = 30
    warmup: int = 3
    batch: int = 1
    threads: int | None = None
    precision: str = "fp32"

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
        threads: Threads it was given.
        load_ms: From the file to a session that is ready, without the import of the engine.
        median_ms: Median time of a run.
        p95_ms: 95th percentile of the same.
        clips_per_s: Clips over the time of all timed runs.
        peak_memory_mib: Largest resident memory of the process, engine and all.
    """

    engine: str
    threads: int
    load_ms: float
    median_ms: float
    p95_ms: float
    clips_per_s: float
    peak_memory_mib: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchResult:
    """Figures of a backend, or the reason why there are none.

    Attributes:
        backend: Its name.
        figures: None when it failed.
        reason: Why it failed, without a full stop; empty when it did not.
    """

    backend: str
    figures: BenchFigures | None
    reason: str = ""


def bench_backend(bundle: Bundle, *, backend: str, plan: BenchPlan) -> BenchResult:
    """Measure one backend in a fresh process, so that its peak memory is its own.

    The input is random, of a fixed seed. A backend that fails, or takes its process down with
    it, gives a result with the reason.

    Args:
        bundle: The model.
        backend: Name of the backend.
        plan: What to measure.

    Raises:
        BundleError: The graph is missing or altered, or there is no such variant.
    """
    bundle.model_path(plan.precision)
    order = json.dumps(
        {"bundle": str(bundle.path.resolve()), "backend": backend, "plan": asdict(plan)}
    )
    done = subprocess.run(  # the module is run from its own root: a folder `models` in the
        # user's directory must not shadow ours
        [sys.executable, "-m", "runtime.bench_worker"],
        input=order,
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(runtime.__file__).parent.parent,
    )
    answer = _answer(done.stdout)
    if answer is None:
        tail = (done.stderr.strip().splitlines() or ["no message"])[-1]
        return BenchResult(
            backend=backend,
            figures=None,
            reason=f"its process ended with status {done.returncode}: {tail}",
        )
    if "reason" in answer:
        return BenchResult(backend=backend, figures=None, reason=answer["reason"].rstrip("."))
    return BenchResult(backend=backend, figures=BenchFigures(**answer))


def _answer(stdout: str) -> dict[str, Any] | None:
    """The worker's last line, if it is an object: engines may have chattered before it."""
    try:
        answer: Any = json.loads((stdout.strip().splitlines() or [""])[-1])
    except ValueError:
        return None
    return answer if isinstance(answer, dict) else None
