"""Which classes have clips, and how evenly. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from calibration.dataset_report import Finding, SplitFacts

IMBALANCE = 10.0
"""How many times as many clips as the smallest class the largest may have."""

_NAMES_SHOWN = 3


def balance_findings(splits: Sequence[SplitFacts], names: Sequence[str]) -> Iterator[Finding]:
    """Classes without clips, classes that only one half has, and great differences.

    Args:
        splits: Halves of the data set, that for training first.
        names: Class names.
    """
    first, *others = splits
    if not first.labelled:
        return
    empty = [name for name, count in zip(names, first.counts, strict=True) if count == 0]
    if empty:
        yield _warning(
            "empty-class",
            first.origin,
            f"{len(empty)} of {len(names)} classes have no clip in it: {_some(empty)}.",
        )
    for other in others:
        if not other.labelled:
            continue
        both = list(zip(names, first.counts, other.counts, strict=True))
        untested = [name for name, known, tested in both if known and not tested]
        untrained = [name for name, known, tested in both if tested and not known]
        if untested:
            yield _warning(
                "untested-class",
                other.origin,
                f"{len(untested)} classes of {first.origin} have no clip in it: {_some(untested)}.",
            )
        if untrained:
            yield _warning(
                "untrained-class",
                other.origin,
                f"{len(untrained)} of its classes have no clip in {first.origin}:"
                f" {_some(untrained)}.",
            )
    present = [(count, name) for name, count in zip(names, first.counts, strict=True) if count]
    (fewest, small), (most, large) = (
        min(present, key=lambda pair: pair[0]),
        max(present, key=lambda pair: pair[0]),
    )
    if most > IMBALANCE * fewest:
        yield _warning(
            "imbalance",
            first.origin,
            f"'{large}' has {most} clips and '{small}' {fewest}, {most / fewest:.0f} times as many"
            f" (more than {IMBALANCE:g} times makes a model prefer the larger class).",
        )


def _warning(kind: str, where: str, message: str) -> Finding:
    return Finding(severity="warning", kind=kind, where=where, message=message)


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:_NAMES_SHOWN])
    return shown + (f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else "")
