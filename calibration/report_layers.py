"""The parts of a report's page about layers: put back, sensitivity, ranges, and recipes tried."""

from __future__ import annotations

from calibration.markup import Markup, element, joined, name_of
from calibration.report import Agreement, Candidate, Report, TargetReport, TensorRange
from calibration.report_plots import (
    Picture,
    Step,
    bar,
    gate_plot,
    range_in_words,
    range_plot,
    share_cut,
)
from calibration.report_tables import (
    Column,
    Row,
    figure,
    long_table,
    side_by_side,
    table,
    two_lines,
)
from calibration.report_words import (
    counted,
    decibels,
    layers_put_back,
    noise_share,
    points,
    recipe_in_words,
)


def gate_part(report: Report, target: TargetReport) -> Markup:
    """Accuracy or agreement, step by step of the gate."""
    names = layers_put_back(target)
    budget = report.settings.budget_points
    rules = ", ".join(target.recipe.skipped)
    by_rule = f" In fp32 from the start, by rule: {rules}." if rules else ""
    if not names:
        lost = points(target.gate.lost_points)
        text = f"None: as first quantized it loses {lost}, and {budget:g} may be lost.{by_rule}"
        return element("p", text)
    what = _what(target.gate)
    limit = max(0.0, _reference(target.gate) - budget / 100)
    steps, put_back = [], 0
    for repair in target.repairs:
        put_back += len(repair.put_back)
        steps.append(Step(layers=put_back, share=_reached(repair.agreement)))
    first, last = steps[0].share, steps[-1].share
    summary = (
        f"The gate put {counted(len(names), 'layer')} back to fp32, the most sensitive first, which"
        f" took {what} from {first:.1%} to {last:.1%}; {limit:.1%} must be reached."
    )
    picture = Picture(
        key=f"{target.target}-gate-plot",
        title=f"{what.capitalize()} against the number of layers put back to fp32",
        description=summary,
    )
    plot = gate_plot(
        steps,
        fp32=_reference(target.gate),
        limit=limit,
        picture=picture,
        axis=f"{what} of INT8",
    )
    columns = (
        Column(title="Put back"),
        Column(title=what.capitalize(), kind="number"),
        Column(title="Lost points", kind="number"),
        Column(title="Logits", kind="number", spare=True),
    )
    rows = [
        Row(
            cells=(
                joined([name_of(name) for name in repair.put_back], ", ") or "(nothing yet)",
                f"{_reached(repair.agreement):.1%}",
                f"{repair.lost_points:.1f}",
                decibels(repair.agreement.logit_snr_db),
            ),
            marked=repair is target.repairs[-1],
        )
        for repair in target.repairs
    ]
    listed = long_table("Steps; the last was kept", columns, rows, what="steps")
    caption = "The grey line is fp32."
    return joined([element("p", summary + by_rule), side_by_side(figure(plot, caption), listed)])


def sensitivity_part(target: TargetReport) -> Markup:
    """What each layer alone costs."""
    if not target.sensitivity:
        text = "Not measured: no layer had to be put back to fp32, so none was looked for."
        return element("p", text)
    shares = [noise_share(one.logit_snr_db) for one in target.sensitivity]
    most = max(shares) or 1.0
    columns = (
        Column(title="Layer"),
        Column(title="Operator", spare=True),
        Column(title="Noise in the logits", kind="bar"),
        Column(title="", kind="number"),
        Column(title="SNR", kind="number", spare=True),
        Column(title="Same class", kind="number"),
    )
    rows = [
        Row(
            cells=(
                joined(
                    [
                        name_of(one.layer),
                        *([" ", element("span.mark", "fp32 again")] if one.put_back else []),
                    ]
                ),
                one.operator,
                bar(share / most, "fp32" if one.put_back else "int8"),
                f"{share:.2%}",
                decibels(one.logit_snr_db),
                f"{one.top1_agreement:.1%}",
            ),
            marked=one.put_back,
        )
        for one, share in zip(target.sensitivity, shares, strict=True)
    ]
    text = (
        "Each layer was made INT8 by itself, all others fp32. Noise is the difference that makes to"
        " the logits, as a share of them."
    )
    caption = "Most sensitive first"
    return joined([element("p", text), long_table(caption, columns, rows, what="layers")])


def ranges_part(target: TargetReport) -> Markup:
    """Values of the activations, and what INT8 keeps of them."""
    if not target.ranges:
        return element("p", f"{target.writer} does not tell the ranges that it uses.")
    columns = (
        Column(title="Activation"),
        Column(title="Values, logarithmic", kind="histogram"),
        Column(title="Seen, kept"),
        Column(title="Cut off", kind="number", spare=True),
    )
    rows = [
        Row(cells=_range_cells(target, place, tensor)) for place, tensor in enumerate(target.ranges)
    ]
    cutting = sum(1 for tensor in target.ranges if share_cut(tensor) > 0)
    cut = f"Values are cut off, red, at {cutting:,} of them" if cutting else "No value is cut off"
    text = (
        f"{counted(len(target.ranges), 'activation')}, in the order of the graph; shaded: the range"
        f" that INT8 keeps. {cut} ({target.recipe.method} ranges)."
    )
    listed = long_table("Over the calibration clips", columns, rows, what="activations")
    return joined([element("p", text), listed])


def _range_cells(target: TargetReport, place: int, tensor: TensorRange) -> tuple[str, ...]:
    seen = range_in_words(tensor.minimum, tensor.maximum)
    kept = range_in_words(tensor.low, tensor.high)
    picture = Picture(
        key=f"{target.target}-range-{place}",
        title=f"Values of {tensor.tensor}",
        description=f"Seen: {seen}. Kept: {kept}.",
    )
    sharing = len(tensor.shared_with)
    shared = f", same range as {counted(sharing, 'other')}" if sharing else ""
    cut = share_cut(tensor)
    return (
        two_lines(tensor.tensor, f"{tensor.operator or 'input'}{shared}"),
        range_plot(tensor, picture),
        joined([seen, element("span.small", "all kept" if seen == kept else f"{kept} kept")]),
        f"{cut:.2%}" if cut else "none",
    )


def recipes_part(target: TargetReport) -> Markup:
    """What was tried before the gate."""
    if len(target.candidates) < 2:
        return element("p", f"One: {recipe_in_words(target.recipe)}.")
    columns = (
        Column(title="Recipe"),
        Column(title="Same class", kind="number"),
        Column(title="Probabilities differ by", kind="bar", spare=True),
        Column(title="", kind="number", spare=True),
        Column(title="SNR", kind="number"),
    )
    most = max(one.agreement.mean_probability_diff for one in target.candidates) or 1.0
    rows = [_candidate_row(one, most) for one in target.candidates]
    clips = counted(max(one.agreement.clips for one in target.candidates), "calibration clip")
    text = (
        f"Tried on {clips}; the one that agrees best with fp32 was chosen. A clip more or less with"
        " the same class is chance: then the probabilities decide, and the noise of the logits."
    )
    return joined([element("p", text), table("In the order they were tried", columns, rows)])


def _candidate_row(candidate: Candidate, most: float) -> Row:
    recipe, agreement = candidate.recipe, candidate.agreement
    skipped = f"fp32: {', '.join(recipe.skipped)}" if recipe.skipped else "every layer INT8"
    return Row(
        cells=(
            joined(
                [
                    recipe_in_words(recipe),
                    *([" ", element("span.mark", "chosen")] if candidate.chosen else []),
                    element("span.small", skipped),
                ]
            ),
            f"{agreement.top1_agreement:.1%}",
            bar(agreement.mean_probability_diff / most, "int8"),
            f"{agreement.mean_probability_diff:.4f}",
            decibels(agreement.logit_snr_db),
        ),
        marked=candidate.chosen,
    )


def _what(gate: Agreement) -> str:
    return "agreement" if gate.fp32_top1 is None or gate.int8_top1 is None else "accuracy"


def _reference(gate: Agreement) -> float:
    """The accuracy of fp32, or full agreement."""
    return 1.0 if gate.fp32_top1 is None or gate.int8_top1 is None else gate.fp32_top1


def _reached(agreement: Agreement) -> float:
    """The accuracy of INT8, or its agreement with fp32."""
    if agreement.fp32_top1 is None or agreement.int8_top1 is None:
        return agreement.top1_agreement
    return agreement.int8_top1
