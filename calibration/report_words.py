"""What a calibration report says, in words and figures."""

from __future__ import annotations

import math
from collections.abc import Sequence

from calibration.eval_scores import Share
from calibration.race import WORTH_IT
from calibration.report import Agreement, Race, Recipe, Report, TargetReport
from calibration.stage_facts import StreamStages

_LARGEST_DB = 400.0


def verdict(report: Report) -> str:
    """The whole calibration in one sentence: what was added, its cost, its gain, and the weights.

    E.g. "model.int8.onnx was added with 1 layer back in fp32: it gives the same class as fp32 for
    97.5% of 40 held-out clips (2.5 points lost, 3 allowed), runs 2.20 times as fast on cpu ...".
    """
    if not report.targets:
        return "No INT8 graph was added."
    here = f"{report.processor.model}, {counted(report.processor.threads, 'thread')}"
    parts = [_target_in_words(target, report) for target in report.targets]
    parts.append(f"measured on {here}")
    why = report.processor.why.strip().rstrip(".")
    if why:
        parts.append(why[0].lower() + why[1:])
    return "; ".join(parts) + "."


def _target_in_words(target: TargetReport, report: Report) -> str:
    put_back = len(layers_put_back(target))
    restored = f" with {counted(put_back, 'layer')} back in fp32" if put_back else ""
    settings = report.settings
    cost = cost_in_words(target.gate, settings.budget_points, noise=settings.random_data)
    gain, size = gain_in_words(target.races), size_change(target)
    return f"{target.file}, {size}, was added{restored}: it {cost}, and {gain}"


def cost_in_words(gate: Agreement, budget_points: float, *, noise: bool) -> str:
    """What INT8 costs in accuracy, or in agreement where no label is known."""
    kind = "noise" if noise else "held-out"
    allowed = f"{budget_points:g} allowed"
    if gate.fp32_top1 is None or gate.int8_top1 is None:
        return (
            f"gives the same class as fp32 for {gate.top1_agreement:.1%} of"
            f" {counted(gate.clips, f'{kind} clip')} ({points(gate.lost_points)} lost, {allowed})"
        )
    clips = counted(gate.labelled, f"labelled {kind} clip")
    lost = gate.lost_points
    if gate.int8_top1 == gate.fp32_top1:
        return f"gets {gate.int8_top1:.1%} of {clips} right, as fp32 does"
    change = f"{points(abs(lost))} {'lost' if lost >= 0 else 'gained'}"
    return (
        f"gets {gate.int8_top1:.1%} of {clips} right where fp32 gets {gate.fp32_top1:.1%}"
        f" ({change}, {allowed})"
    )


def gain_in_words(races: Sequence[Race]) -> str:
    """How fast INT8 is on each engine."""
    faster = [race for race in races if race.ratio >= WORTH_IT]
    others = [race for race in races if race.ratio < WORTH_IT]

    def listed(those: Sequence[Race], unit: str) -> str:
        words = [f"{ratio(race.ratio)} times{unit} on {race.backend}" for race in those[:1]]
        return " and ".join(
            [*words, *(f"{ratio(race.ratio)} times on {race.backend}" for race in those[1:])]
        )

    if not races:
        return "was not timed"
    if not faster:
        return f"is not faster than fp32 ({listed(others, ' as fast')})"
    but = f" but {listed(others, '')}" if others else ""
    return f"runs {listed(faster, ' as fast as fp32')}{but}"


def size_change(target: TargetReport) -> str:
    """E.g. "65% smaller"."""
    share = target.size_bytes / max(target.fp32_size_bytes, 1) - 1
    return f"{abs(share):.0%} {'larger' if share > 0 else 'smaller'}"


def stages_in_words(stages: StreamStages) -> str:
    """What the stage graphs gain, and how they were checked.

    E.g. "a clip one frame further than the last reuses 71% of its work; on 120 clips of a random
    walk equal to the whole graph on cpu, within 2e-06 of the range on openvino".
    """
    gain = f"a clip one frame further than the last reuses {stages.reused_share:.0%} of its work"
    if not stages.checks:
        return gain
    clips = counted(max(check.clips for check in stages.checks), "clip")
    found = [f"{_difference_in_words(one.max_rel_diff)} on {one.backend}" for one in stages.checks]
    return f"{gain}; on {clips} of a random walk {', '.join(found)}"


def _difference_in_words(relative: float) -> str:
    """E.g. "equal to the whole graph", "within 2e-06 of the range"."""
    return "equal to the whole graph" if relative == 0 else f"within {relative:.2g} of the range"


def layers_put_back(target: TargetReport) -> tuple[str, ...]:
    """Layers that the gate put back to fp32, in that order."""
    return tuple(name for repair in target.repairs for name in repair.put_back)


def recipe_in_words(recipe: Recipe) -> str:
    """E.g. "minmax ranges, 8-bit weights per channel, u8 activations"."""
    bits = 7 if recipe.reduce_range else 8
    return (
        f"{recipe.method} ranges, {bits}-bit weights {recipe.granularity.replace('_', ' ')},"
        f" {recipe.activations} activations"
    )


def interval_in_words(share: float, of: int) -> str:
    """Where the share of very many such clips would lie, e.g. "90.2% to 97.8%"."""
    low, high = Share(right=round(share * of), of=max(of, 1)).interval
    return f"{low:.1%} to {high:.1%}"


def noise_share(snr_db: float | None) -> float:
    """Strength of the noise as a share of that of the signal, 10 ** (-SNR / 20); 0 for no noise."""
    if snr_db is None:
        return 0.0
    return math.pow(10.0, -max(-_LARGEST_DB, min(_LARGEST_DB, snr_db)) / 20)


def counted(count: int, noun: str) -> str:
    """E.g. "1 clip", "2 clips"."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def points(value: float) -> str:
    """E.g. "1.6 points"."""
    shown = f"{value:.1f}"
    return f"{shown} point{'' if shown == '1.0' else 's'}"


def decibels(snr_db: float | None) -> str:
    """E.g. "32.1 dB", or "exact" where there is no noise."""
    return "exact" if snr_db is None else f"{max(-_LARGEST_DB, min(_LARGEST_DB, snr_db)):.1f} dB"


def ratio(value: float) -> str:
    """E.g. "2.20"."""
    return f"{value:.2f}" if value < 100 else f"{value:.3g}"


def milliseconds(value_ms: float) -> str:
    """E.g. "98.9 ms", "0.087 ms"."""
    return f"{value_ms:.1f} ms" if 10 <= value_ms < 1e6 else f"{value_ms:.3g} ms"


def seconds(value_s: float) -> str:
    """E.g. "9.6 s"."""
    return f"{value_s:.2f}".rstrip("0").rstrip(".") + " s" if value_s < 1e6 else f"{value_s:.3g} s"


def value_in_words(value: float) -> str:
    """Three digits, never "-0"."""
    return f"{value + 0.0:.3g}"
