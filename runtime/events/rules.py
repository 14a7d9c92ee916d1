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
    """When a class makes events.

    Attributes:
        on: Probability at which an event begins.
        off: Probability below which it ends; at most `on`.
        least_s: A class that holds for less than this makes no event.
        cooldown_s: After an event, the class makes no other for so long.

    Raises:
        UsageError: A threshold is no probability, `off` is above `on`, or a time is negative or
            not finite.
    """

    on: float
    off: float
    least_s: float = 0.0
    cooldown_s: float = 0.0

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
        for name, value_s in (("min-duration", self.least_s), ("cooldown", self.cooldown_s)):
            if not (math.isfinite(value_s) and value_s >= 0):
                raise UsageError(f"--{name} must be 0 seconds or more, got {value_s}.")


EventRules = tuple[LabelRule | None, ...]
"""One rule per class of the model, in the order of the card; None for a class without events."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleWords:
    """Rules in words like `0.6` (all classes) and `fall floor=0.3` (one class).

    Attributes:
        on: Values of `--on`, none for 0.5 for all. Where every one names a class, only the
            classes named make events.
        off: Values of `--off`.
        least: Values of `--min-duration`, seconds.
        cooldown: Values of `--cooldown`, seconds.
    """

    on: tuple[str, ...] = ()
    off: tuple[str, ...] = ()
    least: tuple[str, ...] = ()
    cooldown: tuple[str, ...] = ()


def label_rules(labels: Sequence[str], words: RuleWords) -> EventRules:
    """Rules from words.

    Args:
        labels: Classes of the model.
        words: See `RuleWords`.

    Raises:
        UsageError: A word is neither form, names no class or one twice, or a value is no
            probability, or no time.
    """
    on_all, on_of = _values("on", words.on, labels)
    off_all, off_of = _values("off", words.off, labels)
    least_all, least_of = _values("min-duration", words.least, labels)
    cooldown_all, cooldown_of = _values("cooldown", words.cooldown, labels)
    if on_all is None and not on_of:
        on_all = DEFAULT_ON
    rules: list[LabelRule | None] = []
    for label in labels:
        threshold = on_of.get(label, on_all)
        if threshold is None:
            for name, named in (
                ("off", off_of),
                ("min-duration", least_of),
                ("cooldown", cooldown_of),
            ):
                if label in named:
                    raise UsageError(
                        f"--{name} names {label!r}, of which --on makes no events.",
                        hint=f"--on '{label}=0.5'",
                    )
            rules.append(None)
            continue
        fallen = off_of.get(label, threshold * OFF_SHARE if off_all is None else off_all)
        if label in on_of and label not in off_of:
            fallen = min(fallen, threshold * OFF_SHARE)  # the --off of all may be above its own on
        rules.append(
            LabelRule(
                on=threshold,
                off=fallen,
                least_s=least_of.get(label, least_all or 0.0),
                cooldown_s=cooldown_of.get(label, cooldown_all or 0.0),
            )
        )
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


def _values(
    name: str, words: Sequence[str], labels: Sequence[str]
) -> tuple[float | None, dict[str, float]]:
    """The value for all classes, and those of single ones."""
    probability = name in ("on", "off")
    letter, kind = ("P", "a probability from 0 to 1") if probability else ("S", "in seconds")
    example = "0.5" if probability else "1"
    everywhere: float | None = None
    by_label: dict[str, float] = {}
    for word in words:
        label, equals, number = word.rpartition("=")
        try:
            value = float(number)
        except ValueError:
            raise UsageError(
                f"--{name} takes {letter} or CLASS={letter}, {kind}; got {word!r}.",
                hint=f"--{name} {example} --{name} '{labels[0]}=0.3'",
            ) from None
        if probability and not 0.0 <= value <= 1.0:
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
