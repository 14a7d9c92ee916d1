"""What is asked of the engine that is to run a model: which, how, and how strictly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from models.errors import UsageError
from runtime.session import SessionOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineRequest:
    """What is asked of the engine.

    Attributes:
        backend: Name of a backend, e.g. "openvino", which then runs the model or the call fails;
            None to choose.
        precision: Of the graph, e.g. "fp32"; "auto" is fp32, or INT8 where that pays.
        device: E.g. "GPU" or "NPU" of openvino, "1" of cuda; None for the one that the backend
            takes by itself.
        threads: Of the engine; None for the CPUs this process may use.
        parallel: Threads that run the model at the same time; from 2 on the engine is tuned for
            throughput, not for the time of one run.
        settings: Options of engines by backend, as on the command line, e.g.
            `{"openvino": {"streams": "2"}}`.
        race: Backends and graphs that work are timed; otherwise the first of the list that works
            is taken, and `auto` is fp32.
        strict: A backend for a GPU is refused where too many nodes of the graph ran on the CPU.
        max_cpu_share: How many are not too many, as a share of the nodes, 0 to 1.

    Raises:
        UsageError: A number is out of range.
    """

    backend: str | None = None
    precision: str = "fp32"
    device: str | None = None
    threads: int | None = None
    parallel: int = 1
    settings: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    race: bool = True
    strict: bool = False
    max_cpu_share: float = 0.0

    def __post_init__(self) -> None:
        for name, count in (("threads", self.threads), ("parallel", self.parallel)):
            if count is not None and count < 1:
                raise UsageError(f"{name} must be at least 1, got {count}.")
        if not 0.0 <= self.max_cpu_share <= 1.0:
            raise UsageError(
                f"The largest share of nodes on the CPU is {self.max_cpu_share:g}; it must be"
                " from 0 to 1."
            )

    @property
    def options(self) -> SessionOptions:
        """What of it is passed on to the engine."""
        return SessionOptions(
            threads=self.threads,
            device=self.device,
            parallel=self.parallel,
            settings=self.settings,
        )
