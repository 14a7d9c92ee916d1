"""Made-up engines with a clock that moves only when they run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from models.errors import BackendError
from runtime.closing import ClosesOnExit
from runtime.cpu import CpuInfo
from runtime.engine_request import EngineRequest
from runtime.placement import Placement, all_on
from runtime.session import Backend, Probe, Session, SessionOptions, Tensor
from runtime.settings import Setting

INTEL = CpuInfo(vendor="intel", model="Intel(R) N100")
AMD = CpuInfo(vendor="amd", model="AMD Ryzen 7")
ASKED = EngineRequest(threads=2)
"""The made-up engines expect as many threads."""


@dataclass(kw_only=True)
class Clock:
    """Moves only when an engine runs."""

    now_s: float = 0.0

    def __call__(self) -> float:
        return self.now_s


@dataclass(kw_only=True)
class Engine:
    """A made-up engine that counts what is done to it.

    Attributes:
        run_s: Time of a run, of files that are not in `run_s_of`.
        run_s_of: Time of a run by file.
        refused: Files that it does not load, with the reason.
        fails_at: The run, counted from 1, that fails with `run_error`; later ones do too.
        provider: What its nodes are to run on.
        placement: Where they do.
    """

    name: str
    clock: Clock
    run_s: float = 0.01
    run_s_of: Mapping[str, float] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    probe: Probe = field(default_factory=lambda: Probe(ok=True))
    open_error: Exception | None = None
    run_error: Exception | None = None
    fails_at: int = 1
    provider: str = "CPU"
    placement: Placement = field(default_factory=lambda: all_on("CPU"))
    settings: tuple[Setting, ...] = ()
    probed: int = 0
    files: list[str] = field(default_factory=list)
    options: list[SessionOptions] = field(default_factory=list)
    closed: int = 0
    runs: int = 0

    @property
    def backend(self) -> Backend:
        return Backend(
            name=self.name,
            extra="cpu",
            probe=self._probe,
            open=self._open,
            settings=self.settings,
            provider=self.provider,
        )

    @property
    def opened(self) -> int:
        """How many graphs it was given."""
        return len(self.files)

    def _probe(self) -> Probe:
        self.probed += 1
        return self.probe

    def _open(self, path: Path, card: object, options: SessionOptions) -> Session:
        assert path.is_file()
        assert options.threads == ASKED.threads
        self.options.append(options)
        self.files.append(path.name)
        if self.open_error is not None:
            raise self.open_error
        if path.name in self.refused:
            raise BackendError(self.refused[path.name])
        return EngineSession(self, path.name)


class EngineSession(ClosesOnExit):
    """A graph on a made-up engine; gives zeros."""

    def __init__(self, engine: Engine, file: str) -> None:
        self._engine = engine
        self._file = file
        self._runs = 0

    @property
    def backend(self) -> str:
        return self._engine.name

    @property
    def engine(self) -> str:
        return f"{self._engine.name} 1.0 CPU"

    @property
    def placement(self) -> Placement:
        assert self._runs, "nothing is known before it ran"
        return self._engine.placement

    def run(self, clips: Tensor) -> Tensor:
        self._runs += 1
        if self._engine.run_error is not None and self._runs >= self._engine.fails_at:
            raise self._engine.run_error
        self._engine.runs += 1
        self._engine.clock.now_s += self._engine.run_s_of.get(self._file, self._engine.run_s)
        return np.zeros((len(clips), 4), np.float32)

    def close(self) -> None:
        self._engine.closed += 1
