"""The process in which `runtime.bench` measures: one order on stdin, one answer on stdout."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np

from models.bundle import Bundle, open_bundle
from models.card import Variant
from models.errors import EdgeclsError
from runtime.backends import backend_named
from runtime.bench import BenchFigures, BenchPlan
from runtime.cpu import usable_cpus
from runtime.session import SessionOptions


def measure(bundle: Bundle, variant: Variant, *, backend: str, plan: BenchPlan) -> BenchFigures:
    """Load, warm up, time; in this very process.

    Raises:
        BundleError: The graph is missing or altered.
        BackendError: The backend failed.
    """
    engine = backend_named(backend)
    path = bundle.graph_path(variant)
    engine.probe()  # imports the engine, which is not part of loading a model
    threads = plan.threads or usable_cpus()
    shape = bundle.card.clip.input_shape(plan.batch)
    clips = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)

    options = SessionOptions(threads=threads, device=plan.device, settings=plan.settings)
    start_s = time.perf_counter()
    with engine.open(path, bundle.card, options) as session:
        load_ms = (time.perf_counter() - start_s) * 1e3
        for _ in range(plan.warmup):
            session.run(clips)
        times_ms = np.empty(plan.iterations)
        for run in range(plan.iterations):
            start_s = time.perf_counter()
            session.run(clips)
            times_ms[run] = (time.perf_counter() - start_s) * 1e3
        return BenchFigures(
            engine=session.engine,
            placement=session.placement.line(),
            threads=threads,
            load_ms=load_ms,
            median_ms=float(np.median(times_ms)),
            p95_ms=float(np.percentile(times_ms, 95)),
            clips_per_s=plan.batch * plan.iterations / (times_ms.sum() / 1e3),
            peak_memory_mib=peak_memory_bytes() / 2**20,
        )


def peak_memory_bytes() -> int:
    """Largest resident memory of this process so far, in bytes.

    On Linux it is read from /proc: `getrusage` would also count what the parent process had
    resident when it started this one.
    """
    try:
        for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        return _peak_memory_elsewhere()
    return _peak_memory_elsewhere()


def _peak_memory_elsewhere() -> int:
    """On systems without /proc."""
    import psutil

    memory = psutil.Process().memory_info()
    peak = getattr(memory, "peak_wset", None)
    if peak is None:
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return int(peak) if sys.platform == "darwin" else int(peak) * 1024
    return int(peak)


def main() -> None:
    """Read the order, measure, answer with figures or with the reason why there are none."""
    order = json.load(sys.stdin)
    try:
        bundle = open_bundle(Path(order["bundle"]))
        (variant,) = [one for one in bundle.card.variants if one.file == order["file"]]
        figures = measure(
            bundle,
            variant,
            backend=order["backend"],
            plan=BenchPlan(**order["plan"]),
        )
    except EdgeclsError as error:
        answer: dict[str, object] = {"reason": error.message}
    else:
        answer = asdict(figures)
    sys.stdout.write("\n" + json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()
