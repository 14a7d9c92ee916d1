"""What a run under faults told, and whether it is as it must be."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import median, quantiles
from typing import IO, Any

from tests.soak.faults import Fault

RECOVERY_S = 10.0
END_S = 2.0
GROWTH_MIB = 20.0
MOST_KEPT = 4000
"""Ages of results per stream."""

_KINDS = ("used", "unused", "watched", "waiting", "skipped", "dropped", "broken")


class Told:
    """Reads the JSON lines of a run as they come; memory does not grow with its length.

    Attributes:
        windows: Results by stream.
        befell: What befell the streams, by stream and change.
        recoveries: Faults with the time from their end to a result of their stream.
        unrecovered: Faults after which there was none yet.
        wrong: What must not be.
        end: The last line; None before it.
    """

    def __init__(self, lines: IO[str]) -> None:
        self.windows: Counter[int] = Counter()
        self.befell: Counter[tuple[int, str]] = Counter()
        self.recoveries: list[tuple[Fault, float]] = []
        self.unrecovered: list[Fault] = []
        self.wrong: list[str] = []
        self.end: dict[str, Any] | None = None
        self._next: Counter[int] = Counter()
        self._ages_ms: dict[int, list[float]] = defaultdict(list)
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._read, args=(lines,), daemon=True)
        self._thread.start()

    def finished(self) -> None:
        """Wait for the end of the lines."""
        self._thread.join()

    def expect(self, fault: Fault) -> None:
        """A fault is over: its stream is to give results again."""
        with self._lock:
            self.unrecovered.append(fault)

    def ages_ms(self, stream: int) -> tuple[float, float] | None:
        """Median and 95th percentile of the ages of the newest results of a live stream."""
        ages = self._ages_ms[stream]
        return (median(ages), quantiles(ages, n=20)[-1]) if len(ages) > 1 else None

    def _read(self, lines: IO[str]) -> None:
        for line in lines:
            try:
                value = json.loads(line)
            except ValueError:
                self.wrong.append(f"a line that is no JSON: {line[:80]!r}")
                continue
            with self._lock:
                if value["type"] == "window":
                    self._window(value)
                elif value["type"] == "source":
                    self.befell[value["stream"], value["change"]] += 1
                elif value["type"] == "end":
                    self.end = value

    def _window(self, value: dict[str, Any]) -> None:
        stream = value["stream"]
        if value["index"] < self._next[stream]:
            self.wrong.append(f"stream {stream}: window {value['index']} came twice")
        self._next[stream] = value["index"] + 1
        self.windows[stream] += 1
        for fault in [one for one in self.unrecovered if one.stream == stream]:
            self.unrecovered.remove(fault)
            self.recoveries.append((fault, time.monotonic() - fault.until_s))
        if value["frame_age_ms"] is not None:
            self._ages_ms[stream].append(value["frame_age_ms"])
            del self._ages_ms[stream][:-MOST_KEPT]


def memory_growth_mib(samples: Sequence[float]) -> tuple[float, float]:
    """From samples of memory after the warm-up: where it began, and how far it grew.

    Args:
        samples: Bytes; at least 15.
    """
    smooth = [median(samples[at : at + 5]) for at in range(len(samples) - 4)]
    start = median(smooth[:10])
    return start / 2**20, (max(smooth) - start) / 2**20


def complaints(told: Told, errors: Path, *, code: int, took_s: float) -> list[str]:
    """What is not as it must be at the end of a run.

    Args:
        told: All its lines.
        errors: Its stderr.
        code: Its exit code.
        took_s: From SIGINT to its end.
    """
    found = list(told.wrong)
    text = errors.read_text(errors="replace")
    if code != 0:
        found.append(f"exit code {code}")
    if "Traceback" in text or "bug" in text:
        found.append("stderr holds a traceback or a bug")
    if took_s > END_S:
        found.append(f"it took {took_s:.1f} s to end")
    if told.end is None:
        return [*found, "there is no last line"]
    if told.end["reason"] != "stopped":
        found.append(f"it ended because {told.end['reason']}")
    for number, stream in enumerate(told.end["streams"]):
        accounted = sum(stream[kind] for kind in _KINDS)
        if accounted != stream["received"]:
            found.append(f"stream {number}: {stream['received']} frames, {accounted} accounted for")
        if told.windows[number] != stream["windows"]:
            found.append(f"stream {number}: {told.windows[number]} results were written")
    return found
