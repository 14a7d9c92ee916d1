"""What a calibration is asked for."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from calibration.report import Activations, Method, Target
from models.errors import UsageError

MOST_CLIPS = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrateRequest:
    """Options of `edgecls calibrate`.

    Attributes:
        bundle: Folder of the bundle.
        clips: Sources of clips, as `calibration.clip_list.read_clips` takes them, or "random".
        labels: File of class names that the labels of the clips refer to.
        budget_points: Points of accuracy, or of agreement, that may be lost.
        method: How ranges are found; `auto` tries all and keeps the best.
        samples: Clips to read ranges off.
        held_out: Clips to compare fp32 and INT8 on.
        targets: Files to make.
        activations: Type of the activations in ONNX files.
        reduce_range: 7-bit weights; None decides by this processor.
        seed: Fixes the choice of clips.
        stages: Whether the graph for every engine is also cut into stages, where that saves work.
    """

    bundle: Path
    clips: tuple[str, ...]
    labels: Path | None = None
    budget_points: float = 1.0
    method: Literal["auto"] | Method = "auto"
    samples: int = 128
    held_out: int = 128
    targets: tuple[Target, ...] = ("onnx", "openvino")
    activations: Activations = "u8"
    reduce_range: bool | None = None
    seed: int = 0
    stages: bool = True

    def __post_init__(self) -> None:
        if not self.clips:
            raise UsageError(
                "Calibrating needs clips of what the model will see; INT8 ranges that were read off"
                " anything else are wrong.",
                hint="--clips FOLDER, or --clips random to try it out on noise",
            )
        if "random" in self.clips and len(self.clips) > 1:
            raise UsageError("Noise and real clips cannot be mixed.", hint="--clips FOLDER")
        for name, value in (("--samples", self.samples), ("--held-out", self.held_out)):
            if not 1 <= value <= MOST_CLIPS:
                raise UsageError(f"{name} is from 1 to {MOST_CLIPS}, got {value}.")
        if not (math.isfinite(self.budget_points) and 0 <= self.budget_points <= 100):
            raise UsageError(
                f"The budget is from 0 to 100 points, got {self.budget_points}.",
                hint="--budget 1.0",
            )
        if self.seed < 0:
            raise UsageError(f"The seed must not be negative, got {self.seed}.")
