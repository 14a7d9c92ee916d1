"""When a class counts as happening."""

from __future__ import annotations

import difflib
import math
from collections.abc import Sequence
from dataclasses import dataclass

from models.errors import UsageError

DEFAULT_ON = 0.5
OFF_SHARE = 0.8
"""A class goes off at this share of its `on`, unless told otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelRule:
    """Thresholds of one class.

    Attributes:
        on: Probability at which an event begins.
        off: Probability below which it ends; at most `on`.

    Raises:
        UsageError: A threshold is no probability, or `off` is above `on`.
    """

    on: float
    off: float

    def __post_init__(self) -> None:
        for name, value in (("on", self.on), ("off", self.off)):
            if not 0.0 <= value <= 1.0:
                raise UsageError(f"--{name} is a probability from 0 to 1, got {value}.")
        if self.off > self.on:
            raise UsageError(
                f"--off {self.off:g} is above --on {self.on:g}: events would end as they begin.",
                hint=f"--on {self.on:g} --off {self.on * OFF_SHARE:g}",
            )
        if self.on == 0.0:
            raise UsageError("--on 0 is reached by every class always.", hint="--on 0.5")


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRules:
    """When events begin and end.

    Attributes:
        labels: One rule per class of the model, in the order of the card; None for a class
            that makes no events.
        least_s: A class that holds for less than this makes no event.
        cooldown_s: After an event, its class makes no other for so long.

    Raises:
        UsageError: A time is negative or not finite.
    """

    labels: tuple[LabelRule | None, ...]
    least_s: float = 0.0
    cooldown_s: float = 0.0

    def __post_init__(self) -> None:
        for name, value_s in (("min-duration", self.least_s), ("cooldown", self.cooldown_s)):
            if not (math.isfinite(value_s) and value_s >= 0):
                raise UsageError(f"--{name} must be 0 seconds or more, got {value_s}.")


def label_rules(
    labels: Sequence[str], on: Sequence[str], off: Sequence[str]
) -> tuple[LabelRule | None, ...]:
    """Rules from words like `0.6` (all classes) and `fall floor=0.3` (one class).

    Where every `on` names a class, only the classes named make events.

    Args:
        labels: Classes of the model.
        on: Values of `--on`, none for 0.5 for all.
        off: Values of `--off`.

    Raises:
        UsageError: A word is neither form, names no class or one twice, or a value is no
            probability.
    """
    on_all, on_of = _thresholds("on", on, labels)
    off_all, off_of = _thresholds("off", off, labels)
    if on_all is None and not on_of:
        on_all = DEFAULT_ON
    rules: list[LabelRule | None] = []
    for label in labels:
        threshold = on_of.get(label, on_all)
        if threshold is None:
            if label in off_of:
                raise UsageError(
                    f"--off names {label!r}, of which --on makes no events.",
                    hint=f"--on '{label}=0.5'",
                )
            rules.append(None)
            continue
        fallen = off_of.get(label, threshold * OFF_SHARE if off_all is None else off_all)
        if label in on_of and label not in off_of:
            fallen = min(fallen, threshold * OFF_SHARE)  # the --off of all may be above its own on
        rules.append(LabelRule(on=threshold, off=fallen))
    return tuple(rules)


def check_labels(option: str, wanted: Sequence[str], labels: Sequence[str]) -> None:
    """Refuse names that are no classes of the model.

    Raises:
        UsageError: One is none; the nearest names are shown.
    """
    for label in wanted:
        if label in labels:
            continue
        near = difflib.get_close_matches(label, labels, n=3, cutoff=0.5)
        raise UsageError(
            f"{option} names {label!r}, which is none of the model's {len(labels)} classes.",
            hint=f"Nearest: {', '.join(near)}" if near else "List them: edgecls inspect --json",
        )


def _thresholds(
    name: str, words: Sequence[str], labels: Sequence[str]
) -> tuple[float | None, dict[str, float]]:
    everywhere: float | None = None
    by_label: dict[str, float] = {}
    for word in words:
        label, equals, number = word.rpartition("=")
        try:
            value = float(number)
        except ValueError:
            raise UsageError(
                f"--{name} takes P or CLASS=P, a probability from 0 to 1; got {word!r}.",
                hint=f"--{name} 0.5 --{name} '{labels[0]}=0.3'",
            ) from None
        if not 0.0 <= value <= 1.0:
            raise UsageError(f"--{name} is a probability from 0 to 1, got {word}.")
        if equals:
            check_labels(f"--{name}", [label], labels)
            if label in by_label:
                raise UsageError(f"--{name} names {label!r} twice.")
            by_label[label] = value
        elif everywhere is not None:
            raise UsageError(
                f"--{name} is given twice for all classes: {everywhere:g} and {value:g}."
            )
        else:
            everywhere = value
    return everywhere, by_label
