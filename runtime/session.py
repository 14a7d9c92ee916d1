"""The boundary to the engines: one small protocol, and a value that describes each engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from models.card import ModelCard
from models.errors import UsageError
from models.stages import Stage
from runtime.closing import Closeable
from runtime.placement import Placement
from runtime.settings import Setting
from runtime.stage_session import StageSession

Tensor = NDArray[np.float32]


class Session(Closeable, Protocol):
    """A loaded model. A protocol, so that a backend or a fake need not inherit anything.

    Think twice before widening it: whatever is added here, every engine and every fake owes.
    """

    @property
    def backend(self) -> str:
        """Name of the backend, as in `BACKENDS`."""

    @property
    def engine(self) -> str:
        """Engine, version and device that really run, e.g. "openvino 2025.1 CPU"."""

    @property
    def placement(self) -> Placement:
        """Where the nodes of the graph ran."""

    def run(self, clips: Tensor) -> Tensor:
        """Compute logits.

        Args:
            clips: float32 [N, T, 3, H, W], C-contiguous; not modified, not kept.

        Returns:
            float32 [N, classes], owned by the caller.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """Whether a backend could work here, without loading a model.

    Attributes:
        ok: It could.
        reason: Why not, as the end of a sentence; empty when it could.
        hint: Command that would fix it; may be empty.
        expected: Whether it could be expected to; not where the machine lacks the device.
    """

    ok: bool
    reason: str = ""
    hint: str = ""
    expected: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionOptions:
    """What a caller may ask of any engine.

    Attributes:
        threads: Threads of the engine; None for the CPUs this process may use.
        device: Which device of the backend, e.g. "GPU.1", "NPU" (openvino), "1" (cuda, tensorrt);
            None for the one that the backend takes by itself.
        parallel: Threads that call `Session.run` at the same time, which is safe up to that
            number; from 2 on the engine is tuned for throughput, not for the time of one run.
        settings: What was asked of backends by name, as written; see `Backend.settings`.
    """

    threads: int | None = None
    device: str | None = None
    parallel: int = 1
    settings: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """An engine on a device.

    Attributes:
        name: Name used by `--backend`.
        extra: The extra that installs it.
        probe: Never raises.
        open: Loads a graph; raises `BackendError` or `MissingExtra`.
        open_stage: Loads a stage graph, likewise; None where the engine cannot run in stages.
        settings: What `--backend-option` and the card may set.
        provider: What the nodes of a graph run on when all is well, as `Placement` names it.
    """

    name: str
    extra: str
    probe: Callable[[], Probe]
    open: Callable[[Path, ModelCard, SessionOptions], Session]
    open_stage: Callable[[Path, Stage, SessionOptions], StageSession] | None = None
    settings: tuple[Setting, ...] = ()
    provider: str = "CPU"


def check_input(clips: Tensor, card: ModelCard) -> None:
    """Refuse a tensor that the model cannot take, naming what came and what was expected.

    Raises:
        UsageError: Wrong rank, shape or dtype.
    """
    expected = card.clip.input_shape()[1:]
    if clips.ndim != 5 or clips.shape[1:] != expected or clips.dtype != np.float32:
        raise UsageError(
            f"The model takes float32 [N, {', '.join(map(str, expected))}],"
            f" got {clips.dtype} {list(clips.shape)}."
        )
