"""Less work while results come too late: fewer windows, then cheaper models."""

from runtime.degrade.ladder import Ladder, LadderSpec, Late, Rung, Step

__all__ = ["Ladder", "LadderSpec", "Late", "Rung", "Step"]
