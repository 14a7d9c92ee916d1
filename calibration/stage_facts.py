"""What `calibration/report.json` says of the stage graphs of an INT8 graph."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

FROZEN = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class StageCheck(BaseModel):
    """A random walk of clips through the stage graphs, compared with the whole graph.

    Attributes:
        backend: That ran both.
        clips: Compared.
        max_rel_diff: Largest difference of a logit, over the range of all logits.
        tolerance: Most that was allowed.
    """

    model_config = FROZEN

    backend: str
    clips: int
    max_rel_diff: float
    tolerance: float


class StreamStages(BaseModel):
    """An INT8 graph cut into stages, for clips that overlap.

    Attributes:
        size_bytes: Length of their files.
        macs_per_clip: Multiply-accumulates of a clip computed whole.
        macs_per_step: Of a clip one frame further than the one before.
        checks: On each engine.
    """

    model_config = FROZEN

    size_bytes: int
    macs_per_clip: int
    macs_per_step: int
    checks: tuple[StageCheck, ...]

    @property
    def reused_share(self) -> float:
        """Share of the work that a step is spared, 0 to 1."""
        return 1 - self.macs_per_step / self.macs_per_clip if self.macs_per_clip else 0.0
