"""How old a frame is when its result comes out: `edgecls run` on a file replayed as by a camera."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import monotonic
from typing import Any

import edge_cli
from models.errors import BackendError

_ROOT = Path(edge_cli.__file__).parent.parent


@dataclass(frozen=True, slots=True, kw_only=True)
class AgeRun:
    """What is run.

    Attributes:
        bundle: Folder of the model.
        clip: A video file; its length is that of the run.
        window_s: Length of the windows.
        stride_s: From one result to the next.
        backend: Name of the engine.
        precision: Of the graph.
        reuse: Value of `--reuse`.
        streams: How often the file is shown at once.
        threads: Threads of the engine.
        cpus: CPUs that the whole program may use; None for all.
    """

    bundle: Path
    clip: Path
    window_s: float
    stride_s: float
    backend: str
    precision: str = "fp32"
    reuse: str = "auto"
    streams: int = 1
    threads: int | None = None
    cpus: int | None = None

    def command(self) -> list[str]:
        """The command line."""
        sources = ["--source", f"realtime:{self.clip.resolve()}"] * self.streams
        threads = [] if self.threads is None else ["--threads", str(self.threads)]
        return [
            *(sys.executable, "-m", "edge_cli", "run", str(self.bundle.resolve()), *sources),
            *("--backend", self.backend, "--precision", self.precision, "--reuse", self.reuse),
            *("--window", repr(self.window_s), "--stride", repr(self.stride_s)),
            *("--format", "jsonl", "--top", "1", *threads),
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class AgeFigures:
    """What came out.

    Attributes:
        backend: Name of the engine.
        precision: Of the graph.
        reuse: As asked for.
        streams: How many were shown.
        cpus: CPUs the program could use; None for all.
        results: Number of results of all streams.
        median_ms: Median age of the newest frame of a window when its result came out.
        p95_ms: 95th percentile of the same.
        most_ms: The greatest.
        dropped: Frames of all streams that nobody fetched in time.
        cpu: CPUs kept busy from the first result to the last, 1.0 for one; None when there were
            too few results to tell.
    """

    backend: str
    precision: str
    reuse: str
    streams: int
    cpus: int | None
    results: int
    median_ms: float
    p95_ms: float
    most_ms: float
    dropped: int
    cpu: float | None


def measure_age(run: AgeRun) -> AgeFigures:
    """Run the program in real time, to the end of the clip.

    Raises:
        BackendError: It failed, or gave no result.
    """
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as chatter:
        with _held(run.cpus):
            process = subprocess.Popen(
                run.command(), stdout=subprocess.PIPE, stderr=chatter, text=True, cwd=_ROOT
            )
        assert process.stdout is not None
        with process:
            results, cpu = _listened(process, process.stdout)
        if process.returncode != 0 or not results:
            chatter.seek(0)
            said = [line for line in chatter.read().splitlines() if line.startswith("error:")]
            reason = said[-1].removeprefix("error:").strip() if said else "no result"
            raise BackendError(
                f"edgecls run on the replayed clip ended with exit code {process.returncode}:"
                f" {reason}"
            )
    ages = sorted(float(one["frame_age_ms"]) for one in results)
    newest = {one["stream"]: int(one["dropped"]) for one in results}
    return AgeFigures(
        backend=run.backend,
        precision=run.precision,
        reuse=run.reuse,
        streams=run.streams,
        cpus=run.cpus,
        results=len(ages),
        median_ms=median(ages),
        p95_ms=ages[min(len(ages) - 1, int(0.95 * len(ages)))],
        most_ms=ages[-1],
        dropped=sum(newest.values()),
        cpu=cpu,
    )


def _listened(
    process: subprocess.Popen[str], lines: Iterable[str]
) -> tuple[Sequence[dict[str, Any]], float | None]:
    """The results, and the CPUs kept busy from the first to the last of them."""
    import psutil

    results: list[dict[str, Any]] = []
    watched = psutil.Process(process.pid)
    marks: list[tuple[float, float]] = []
    for line in lines:
        value = json.loads(line)
        if value.get("type") != "window":
            continue
        results.append(value)
        try:
            used = watched.cpu_times()
        except psutil.Error:  # it has ended
            continue
        marks.append((monotonic(), used.user + used.system))
    if len(marks) < 2 or marks[-1][0] - marks[0][0] < 1.0:
        return results, None
    return results, (marks[-1][1] - marks[0][1]) / (marks[-1][0] - marks[0][0])


@contextmanager
def _held(cpus: int | None) -> Iterator[None]:
    """What is started meanwhile keeps to so many CPUs, where the system can do that."""
    if cpus is None or not hasattr(os, "sched_setaffinity"):
        yield
        return
    mine = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(mine)[:cpus])
    try:
        yield
    finally:
        os.sched_setaffinity(0, mine)
