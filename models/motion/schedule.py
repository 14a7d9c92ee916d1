"""The training schedule: what is shown to the network, and how fast it learns, step by step."""

import math
from dataclasses import dataclass
from typing import Final

from models.motion.batches import BatchOrder, ease_speeds
from models.motion.clips import ClipStyle

VIEWS: Final = 2
"""Steps that share one rendered batch: as rendered, then mirrored or transposed."""
WARM_UP: Final = 60
"""Steps over which the learning rate rises."""


@dataclass(frozen=True)
class Phase:
    """A stretch of the training.

    Attributes:
        name: for the log.
        steps: number of optimizer steps.
        frames: frames per clip: 3 trains single triples, 8 whole clips.
        clips: clips per step.
        ease: ease of the motions at the start and at the end, see ``ease_speeds``.
        shake: share of the ``still`` clips that are hand-held.
        shuffle: share of the second pass's clips that are shuffled, and so ``still``; the others
            are reversed.
    """

    name: str
    steps: int
    frames: int
    clips: int
    ease: tuple[float, float]
    shake: float = 0.0
    shuffle: float = 0.0


PHASES: Final = (
    Phase("easy triples", 600, 3, 64, (0.8, 0.8)),
    Phase("all triples", 1200, 3, 64, (0.7, 0.0)),
    Phase("whole clips", 1200, 8, 24, (0.0, 0.0), shake=0.5, shuffle=0.35),
)


@dataclass(frozen=True)
class Schedule:
    """Phases in order, with the learning rate over all of them.

    The rate rises over ``WARM_UP`` steps, holds through the first phase and falls to zero as half
    a cosine over the others.
    """

    phases: tuple[Phase, ...]
    peak_rate: float

    @property
    def steps(self) -> int:
        """Number of steps of all phases."""
        return sum(phase.steps for phase in self.phases)

    def find_phase(self, step: int) -> tuple[Phase, float]:
        """The phase of a step, and how far the phase has come, 0 to 1."""
        for phase in self.phases:
            if step < phase.steps:
                return phase, step / phase.steps
            step -= phase.steps
        raise ValueError(f"step {step} is beyond the schedule's end")

    def learning_rate(self, step: int) -> float:
        """The learning rate of a step."""
        held = self.phases[0].steps
        progress = max(0.0, (step - held) / (self.steps - held))
        decay = 0.5 * (1 + math.cos(math.pi * progress))
        return self.peak_rate * min(1.0, (step + 1) / WARM_UP) * decay

    def order_batches(self, seed: int, side: int, start: int = 0) -> list[BatchOrder]:
        """The batches to render from step ``start`` (a multiple of ``VIEWS``) to the end."""
        orders = []
        for step in range(start, self.steps, VIEWS):
            phase, progress = self.find_phase(step)
            ease = phase.ease[0] + (phase.ease[1] - phase.ease[0]) * progress
            style = ClipStyle(
                side=side,
                frames=phase.frames,
                speeds=ease_speeds(ease),
                shake=phase.shake,
                seed=seed,
            )
            orders.append(BatchOrder(seed, step // VIEWS, phase.clips, style))
        return orders


def shrink_phases(phases: tuple[Phase, ...], factor: float) -> tuple[Phase, ...]:
    """The same phases with ``factor`` times the steps, each an even number."""
    return tuple(
        Phase(
            phase.name,
            max(VIEWS, round(phase.steps * factor / VIEWS) * VIEWS),
            phase.frames,
            phase.clips,
            phase.ease,
            phase.shake,
            phase.shuffle,
        )
        for phase in phases
    )
