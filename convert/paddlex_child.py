"""PaddleX's process, run by the interpreter of its own environment: imports nothing of ours.

It speaks as `runtime.turn_worker` does.
"""

from __future__ import annotations

import json
import os
import sys
import time


def main() -> None:
    """Load the model, and classify the clip as often as asked."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def say(what: object) -> None:
        answers.write(json.dumps(what) + "\n")
        answers.flush()

    order = json.loads(sys.stdin.readline())
    cpus = order.get("cpus")
    if cpus is not None and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cpus])
    os.environ.setdefault("PADDLE_PDX_DISABLE_MODEL_SOURCE_CHECK", "True")
    os.environ["PADDLE_PDX_CPU_NUM_THREADS"] = str(order["threads"])  # else it takes 10
    import paddlex  # type: ignore[import-not-found, unused-ignore]

    model = paddlex.create_model(order["name"], model_dir=order["model"], device="cpu")

    def classify() -> None:
        list(model.predict(order["clip"]))

    for _ in range(3):
        classify()
    say({"ready": {"engine": f"PaddleX {paddlex.__version__}"}})
    cpu_ms: list[float] = []
    for line in sys.stdin:
        if line.strip() == "end":
            say({"peak_memory_bytes": peak_memory_bytes(), "cpu_ms": cpu_ms})
            return
        times_ms = []
        for _ in range(int(line)):
            start_s, start_cpu_s = time.perf_counter(), time.process_time()
            classify()
            times_ms.append((time.perf_counter() - start_s) * 1e3)
            cpu_ms.append((time.process_time() - start_cpu_s) * 1e3)
        say(times_ms)


def peak_memory_bytes() -> int | None:
    """Largest resident memory so far; None where /proc does not tell."""
    try:
        with open("/proc/self/status", encoding="utf-8") as status:  # noqa: PTH123
            lines = [line for line in status if line.startswith("VmHWM:")]
    except OSError:
        return None
    return int(lines[0].split()[1]) * 1024 if lines else None


if __name__ == "__main__":
    main()
