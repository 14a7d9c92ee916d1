"""The part of the page of a calibration report that is about one INT8 graph."""

from __future__ import annotations

from dataclasses import dataclass

from calibration.markup import Markup, element, joined, name_of
from calibration.race import WORTH_IT
from calibration.report import Report, TargetReport
from calibration.report_answers import answers_part
from calibration.report_layers import gate_part, ranges_part, recipes_part, sensitivity_part
from calibration.report_plots import Picture, race_plot
from calibration.report_tables import (
    Column,
    Row,
    definitions,
    figure,
    folded,
    side_by_side,
    table,
    tile,
    two_lines,
)
from calibration.report_words import (
    counted,
    decibels,
    interval_in_words,
    milliseconds,
    noise_share,
    points,
    ratio,
    recipe_in_words,
    size_change,
    stages_in_words,
)
from models.sizes import size_in_words

_KINDS = {"onnx": "ONNX, for every engine", "openvino": "OpenVINO's own format"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A titled part of the page.

    Attributes:
        key: Its anchor.
        title: Its heading.
        content: What follows.
    """

    key: str
    title: str
    content: Markup


def target_parts(report: Report, target: TargetReport) -> tuple[Part, ...]:
    """Everything about one graph."""
    key = target.target
    named = (
        ("accuracy", "Accuracy", _accuracy(report, target)),
        ("speed", "Speed", _speed(target)),
        ("gate", "Layers put back to fp32", gate_part(report, target)),
        ("sensitivity", "Sensitivity of the layers", sensitivity_part(target)),
        ("answers", "Where INT8 answers differently", answers_part(report, target)),
        ("ranges", "Ranges of the activations", ranges_part(target)),
        ("recipes", "Recipes tried", recipes_part(target)),
        ("graph", "The graph", _graph(target)),
    )
    return tuple(
        Part(key=f"{key}-{part}", title=title, content=content) for part, title, content in named
    )


def tiles(report: Report, target: TargetReport) -> Markup:
    """The figures that matter most."""
    gate, budget = target.gate, report.settings.budget_points
    tone = "good" if gate.lost_points <= budget else "bad"
    allowed = f"{budget:g} allowed"
    if gate.fp32_top1 is not None and gate.int8_top1 is not None:
        change = f"{points(abs(gate.lost_points))} {'lost' if gate.lost_points >= 0 else 'gained'}"
        first = tile(
            "Accuracy",
            f"{gate.int8_top1:.1%}",
            f"fp32 {gate.fp32_top1:.1%}; {change}, {allowed}",
            tone=tone,
        )
    else:
        first = tile(
            "Same class as fp32",
            f"{gate.top1_agreement:.1%}",
            f"of {counted(gate.clips, 'clip')}; {points(gate.lost_points)} lost, {allowed}",
            tone=tone,
        )
    speeds = [
        tile(
            f"Speed on {race.backend}",
            f"{ratio(race.ratio)}\N{MULTIPLICATION SIGN}",
            f"{milliseconds(race.fp32_ms)} to {milliseconds(race.int8_ms)}",
            tone="good" if race.ratio >= WORTH_IT else "bad" if race.ratio < 1 else "",
        )
        for race in target.races
    ]
    sizes = (size_in_words(target.fp32_size_bytes), size_in_words(target.size_bytes))
    size = tile("Size", size_change(target), f"{sizes[0]} to {sizes[1]}")
    return element("div.tiles", first, *speeds, size)


def _accuracy(report: Report, target: TargetReport) -> Markup:
    gate = target.gate
    kind = "clips of noise" if report.settings.random_data else "held-out clips"
    rows = [
        Row(cells=(name, _percent(fp32), _percent(int8)))
        for name, fp32, int8 in (
            ("Top-1", gate.fp32_top1, gate.int8_top1),
            ("Top-5", gate.fp32_top5, gate.int8_top5),
        )
        if fp32 is not None or int8 is not None
    ]
    columns = (
        Column(title="Accuracy"),
        Column(title="fp32", kind="number"),
        Column(title="INT8", kind="number"),
    )
    counted_right = (
        table(f"{counted(gate.labelled, 'clip')} with a known class", columns, rows)
        if rows
        else element("p.faint", f"No class of the {kind} is known, so accuracy is not counted.")
    )
    interval = interval_in_words(gate.top1_agreement, gate.clips)
    compared = definitions(
        (
            (
                "Same class",
                f"{gate.top1_agreement:.1%} of {gate.clips:,} {kind}; of very many clips like"
                f" these {interval}, with 95% confidence",
            ),
            (
                "Probabilities",
                f"differ by {gate.mean_probability_diff:.3f} on average (the class that differs"
                f" most, clip by clip), by {gate.max_probability_diff:.3f} at most",
            ),
            (
                "Logits",
                f"{decibels(gate.logit_snr_db)} signal to noise,"
                f" {noise_share(gate.logit_snr_db):.1%} noise; cosine {gate.logit_cosine:.4f}",
            ),
        )
    )
    return side_by_side(counted_right, compared) if rows else joined([counted_right, compared])


def _speed(target: TargetReport) -> Markup:
    if not target.races:
        return element("p", target.advice)
    sentences = [
        f"{race.backend}: fp32 {milliseconds(race.fp32_ms)}, INT8 {milliseconds(race.int8_ms)}."
        for race in target.races
    ]
    picture = Picture(
        key=f"{target.target}-speed-plot",
        title="Latency of fp32 and INT8 on each engine",
        description=" ".join(sentences),
    )
    columns = (
        Column(title="Engine"),
        Column(title="fp32", kind="number"),
        Column(title="INT8", kind="number"),
        Column(title="Times as fast", kind="number"),
        Column(title="Runs", kind="number", spare=True),
    )
    rows = [
        Row(
            cells=(
                two_lines(race.backend, race.engine),
                milliseconds(race.fp32_ms),
                milliseconds(race.int8_ms),
                ratio(race.ratio),
                f"{race.runs:,}",
            )
        )
        for race in target.races
    ]
    caption = "Median of one clip at a time, fp32 and INT8 turn by turn"
    plot = figure(race_plot(target.races, picture), "Shorter is faster.")
    listed = table(caption, columns, rows)
    return joined([element("p", target.advice), side_by_side(plot, listed)])


def _graph(target: TargetReport) -> Markup:
    recipe = target.recipe
    names = joined([name_of(name) for name in recipe.fp32_layers], ", ")
    pairs = [
        ("File", name_of(target.file)),
        ("For", _KINDS[target.target]),
        ("Written by", target.writer),
        ("Checked on", target.engine),
        ("Recipe", recipe_in_words(recipe)),
        ("SHA-256", target.sha256),
    ]
    if target.stages is not None:
        pairs.insert(2, ("Stages", f"{stages_in_words(target.stages)}."))
    listed = definitions(pairs)
    if not recipe.fp32_layers:
        return listed
    count = counted(len(recipe.fp32_layers), "node")
    return joined([listed, folded(f"{count} in fp32", element("p", names))])


def _percent(share: float | None) -> str:
    return "unknown" if share is None else f"{share:.1%}"
