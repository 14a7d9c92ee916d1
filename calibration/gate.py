"""The gate: INT8 must not lose more than the budget; layers go back to fp32 until it does not."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from calibration.agreement import Logits
from calibration.judge import Judge
from calibration.layers import Layers
from calibration.qdq import with_fp32
from calibration.report import Agreement, Recipe, Repair, Sensitivity
from models.errors import CalibrationError

MOST_PUT_BACK = 0.5
"""Share of the layers beyond which there is nothing left to gain by INT8."""

_ROUNDING_POINTS = 1e-9

Write = Callable[[Recipe], Path]
"""Writes the graph of a recipe."""

WriteOnly = Callable[[Recipe, str], Path]
"""Writes the graph with one layer as the recipe says, and all others fp32."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Passed:
    """A graph that holds the budget.

    Attributes:
        path: The graph.
        recipe: How it was written, in the end.
        repairs: Steps taken; the last is what was kept.
        sensitivity: Of its layers, most sensitive first; empty when nothing had to be repaired.
        logits: Of the held-out clips, float32 [N, classes].
    """

    path: Path
    recipe: Recipe
    repairs: tuple[Repair, ...]
    sensitivity: tuple[Sensitivity, ...]
    logits: Logits

    @property
    def gate(self) -> Agreement:
        """The figures of the graph as it was kept."""
        return self.repairs[-1].agreement


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """What a graph has to pass.

    Attributes:
        judge: Compares.
        backend: Engine to run on.
        budget_points: Most points that may be lost.
        layers: Of the fp32 graph.
        rank: Ranks the layers of a recipe, most sensitive first; asked once.
    """

    judge: Judge
    backend: str
    budget_points: float
    layers: Layers
    rank: Callable[[Recipe], tuple[Sensitivity, ...]]

    def passed(self, recipe: Recipe, write: Write, *, title: str, repair: bool = True) -> Passed:
        """Write a graph, and put layers back to fp32 until it holds the budget.

        Args:
            recipe: To start from.
            write: Writes it.
            title: What progress is shown under.
            repair: Whether layers may go back to fp32.

        Raises:
            CalibrationError: The budget does not hold, even with half of the layers in fp32.
            BackendError: The engine cannot run the graph.
        """
        path = write(recipe)
        step, logits = self._step((), path, title)
        repairs = [step]
        if self._holds(step):
            return Passed(path=path, recipe=recipe, repairs=(step,), sensitivity=(), logits=logits)
        ranking = self.rank(recipe) if repair else ()
        most = math.floor(len(self.layers.weighted) * MOST_PUT_BACK)
        for number, layer in enumerate(ranking[:most], start=1):
            names = self.layers.with_activation[layer.layer]
            recipe = with_fp32(recipe, names)
            path = write(recipe)
            progress = f"{title}: {number} of at most {most} layers back to fp32 ({layer.layer})"
            step, logits = self._step((layer.layer,), path, progress)
            repairs.append(step)
            if self._holds(step):
                put_back = {name for repair in repairs for name in repair.put_back}
                return Passed(
                    path=path,
                    recipe=recipe,
                    repairs=tuple(repairs),
                    sensitivity=tuple(
                        one.model_copy(update={"put_back": one.layer in put_back})
                        for one in ranking
                    ),
                    logits=logits,
                )
        raise CalibrationError(
            self._refusal(repairs, ranking),
            hint="Keep fp32, allow more (--budget), or calibrate on more of your own clips.",
        )

    def _step(self, put_back: tuple[str, ...], path: Path, title: str) -> tuple[Repair, Logits]:
        clips = self.judge.clips.held_out
        logits = self.judge.logits(path, self.backend, clips, title=title)
        figures = self.judge.agreement(logits, self.backend, clips)
        step = Repair(put_back=put_back, lost_points=figures.lost_points, agreement=figures)
        return step, logits

    def _holds(self, repair: Repair) -> bool:
        return repair.lost_points <= self.budget_points + _ROUNDING_POINTS

    def _refusal(self, repairs: Sequence[Repair], ranking: Sequence[Sensitivity]) -> str:
        """Why, with the table of what was tried."""
        best = min(repairs, key=lambda repair: repair.lost_points)
        what = "accuracy" if best.agreement.fp32_top1 is not None else "agreement with fp32"
        lines = [
            f"INT8 loses {best.lost_points:.2f} points of {what} on {best.agreement.clips} held-out"
            f" clips at best, and {self.budget_points:g} are allowed; {len(repairs) - 1} of"
            f" {len(self.layers.weighted)} layers were put back to fp32. Nothing was added.",
            "  put back              lost points   agreement   SNR of logits",
        ]
        lines += [
            f"  {', '.join(repair.put_back) or '(nothing)':<22}{repair.lost_points:>10.2f}"
            f"{repair.agreement.top1_agreement:>12.1%}{decibels(repair.agreement):>16}"
            for repair in repairs
        ]
        worst = [f"{one.layer} ({decibels_of(one.logit_snr_db)})" for one in ranking[:5]]
        if worst:
            lines.append(f"  most sensitive alone: {', '.join(worst)}")
        return "\n".join(lines)


def ranked(
    judge: Judge, layers: Layers, recipe: Recipe, write_only: WriteOnly, *, backend: str
) -> tuple[Sensitivity, ...]:
    """Rank the INT8 layers by what each costs alone, most sensitive first.

    Args:
        judge: Compares.
        layers: Of the fp32 graph.
        recipe: Says which layers are INT8, and how.
        write_only: Writes the graph with one of them.
        backend: Engine to run on.

    Raises:
        BackendError: The engine cannot run a graph.
    """
    clips = judge.sensitivity_clips()
    found = []
    names = [name for name in layers.weighted if name not in set(recipe.fp32_layers)]
    for done, layer in enumerate(names):
        judge.on_step("sensitivity of every layer", done, len(names))
        logits = judge.logits(write_only(recipe, layer), backend, clips)
        figures = judge.agreement(logits, backend, clips)
        found.append(
            Sensitivity(
                layer=layer,
                operator=layers.operators[layer],
                logit_snr_db=figures.logit_snr_db,
                top1_agreement=figures.top1_agreement,
                put_back=False,
            )
        )
    judge.on_step("sensitivity of every layer", len(names), len(names))
    return tuple(sorted(found, key=_resistance))


def _resistance(layer: Sensitivity) -> float:
    return math.inf if layer.logit_snr_db is None else layer.logit_snr_db


def decibels(figures: Agreement) -> str:
    """E.g. "32.1 dB"."""
    return decibels_of(figures.logit_snr_db)


def decibels_of(snr_db: float | None) -> str:
    """E.g. "32.1 dB", or "exact"."""
    return "exact" if snr_db is None else f"{snr_db:.1f} dB"
