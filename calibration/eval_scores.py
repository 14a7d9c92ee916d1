"""Figures of an evaluation, from its results. Pure."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from calibration.eval_results import TOP_K, Answer, ClipResult

_Z95 = 1.959963984540054
"""97.5 % quantile of the normal distribution."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """So many of so many.

    Attributes:
        right: How many.
        of: Of how many, at least 1.
    """

    right: int
    of: int

    @property
    def value(self) -> float:
        """From 0 to 1."""
        return self.right / self.of

    @property
    def interval(self) -> tuple[float, float]:
        """Where the share of a very large sample would lie, with 95 % confidence.

        Wilson's score interval (E. B. Wilson, J. Am. Stat. Assoc. 22, 1927), which holds for
        small samples and shares near 1 too: 44 of 45 give 0.884 to 0.996.
        """
        n, p, z = self.of, self.value, _Z95
        middle = (p + z * z / (2 * n)) / (1 + z * z / n)
        half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        # Where all are right or none is, rounding must not push the share out of its interval.
        return max(0.0, min(p, middle - half)), min(1.0, max(p, middle + half))


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassScore:
    """How a class fared.

    Attributes:
        index: Its number.
        name: Its name.
        support: Labelled clips of the class.
        predicted: Labelled clips that were taken for it.
        right: Clips of the class that were taken for it.
        answers: All clips that were taken for it, labelled or not.
        probability: Mean probability of these answers; None without any.
    """

    index: int
    name: str
    support: int
    predicted: int
    right: int
    answers: int
    probability: float | None

    @property
    def recall(self) -> float | None:
        """Share of its clips that were recognised; None without clips."""
        return self.right / self.support if self.support else None

    @property
    def precision(self) -> float | None:
        """Share of the answers naming it that were right; None without such answers."""
        return self.right / self.predicted if self.predicted else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Confused:
    """Clips of one class that were taken for another (or, with `true == taken`, for their own)."""

    true: int
    taken: int
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantiles:
    """Median and 95th percentile, in milliseconds."""

    median_ms: float
    p95_ms: float

    @classmethod
    def of(cls, values_ms: Sequence[float]) -> Quantiles:
        """Of at least one value."""
        median, p95 = np.percentile(values_ms, [50, 95])
        return cls(median_ms=float(median), p95_ms=float(p95))


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """How long clips took.

    Attributes:
        clips_per_s: Clips over the time from opening each file to its answer.
        decode: Decoding of the whole file.
        preprocess: Resize, crop, normalisation.
        infer: The engine, all views.
    """

    clips_per_s: float
    decode: Quantiles
    preprocess: Quantiles
    infer: Quantiles


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The model beside the reference, on the same clips.

    Attributes:
        top1: Clips with the same best class.
        top5: Mean share of the best five classes that both name; None with five classes or fewer.
        mean_probability_diff: Mean change of the probability of the reference's best class, of
            clips where both name it among their best five.
        reference_top1: Labelled clips that the reference recognises; None without labels.
        only_model: Labelled clips that only the model recognises; None without labels.
        only_reference: Labelled clips that only the reference recognises.
        differing: Places in the list of the clips with another best class.
    """

    top1: Share
    top5: float | None
    mean_probability_diff: float | None
    reference_top1: Share | None
    only_model: int | None
    only_reference: int | None
    differing: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """All figures.

    Attributes:
        classified: Clips that could be read.
        top1: Labelled clips whose best class is right; None without labels.
        top5: Labelled clips whose class is among the best five; None with five classes or fewer.
        mean_recall: Mean over the classes that have clips; None without labels.
        classes: One per class of the model.
        confusion: Every pair of classes that occurs, by their numbers.
        speed: None when no clip could be read.
        comparison: None without a reference.
    """

    classified: int
    top1: Share | None
    top5: Share | None
    mean_recall: float | None
    classes: tuple[ClassScore, ...]
    confusion: tuple[Confused, ...]
    speed: Speed | None
    comparison: Comparison | None

    @property
    def confused(self) -> tuple[Confused, ...]:
        """Pairs of different classes, the most frequent first."""
        wrong = (pair for pair in self.confusion if pair.true != pair.taken)
        return tuple(sorted(wrong, key=lambda pair: (-pair.count, pair.true, pair.taken)))


def scores_of(results: Iterable[ClipResult], names: Sequence[str]) -> Scores:
    """Sum results up.

    Args:
        results: Of any clips, in any order; those that could not be read are left out.
        names: Class names of the model.
    """
    read = [(one, one.answer) for one in sorted(results, key=lambda one: one.index) if one.answer]
    labelled = [(one.label, answer) for one, answer in read if one.label is not None]
    pairs = Counter((label, answer.best) for label, answer in labelled)
    classes = _classes([answer for _, answer in read], pairs, names)
    recalls = [one.recall for one in classes if one.recall is not None]
    top1 = top5 = None
    if labelled:
        top1 = Share(right=sum(one.right for one in classes), of=len(labelled))
        if len(names) > TOP_K:
            near = sum(label in _numbers(answer) for label, answer in labelled)
            top5 = Share(right=near, of=len(labelled))
    return Scores(
        classified=len(read),
        top1=top1,
        top5=top5,
        mean_recall=fmean(recalls) if recalls else None,
        classes=classes,
        confusion=tuple(
            Confused(true=true, taken=taken, count=count)
            for (true, taken), count in sorted(pairs.items())
        ),
        speed=_speed([(one.elapsed_ms, answer) for one, answer in read]),
        comparison=_comparison(
            [(one, answer, one.reference) for one, answer in read if one.reference], len(names)
        ),
    )


def _numbers(answer: Answer) -> set[int]:
    return {number for number, _ in answer.top[:TOP_K]}


def _classes(
    answers: Sequence[Answer], pairs: Counter[tuple[int, int]], names: Sequence[str]
) -> tuple[ClassScore, ...]:
    support: Counter[int] = Counter()
    predicted: Counter[int] = Counter()
    for (true, taken), count in pairs.items():
        support[true] += count
        predicted[taken] += count
    probabilities: defaultdict[int, list[float]] = defaultdict(list)
    for answer in answers:
        probabilities[answer.best].append(answer.top[0][1])
    return tuple(
        ClassScore(
            index=index,
            name=name,
            support=support[index],
            predicted=predicted[index],
            right=pairs[index, index],
            answers=len(probabilities[index]),
            probability=fmean(probabilities[index]) if probabilities[index] else None,
        )
        for index, name in enumerate(names)
    )


def _speed(timed: Sequence[tuple[float, Answer]]) -> Speed | None:
    if not timed:
        return None
    answers = [answer for _, answer in timed]
    total_s = sum(elapsed_ms for elapsed_ms, _ in timed) / 1000.0
    return Speed(
        clips_per_s=len(timed) / max(total_s, 1e-9),
        decode=Quantiles.of([answer.decode_ms for answer in answers]),
        preprocess=Quantiles.of([answer.preprocess_ms for answer in answers]),
        infer=Quantiles.of([answer.infer_ms for answer in answers]),
    )


def _comparison(
    compared: Sequence[tuple[ClipResult, Answer, Answer]], classes: int
) -> Comparison | None:
    if not compared:
        return None
    same = [mine.best == other.best for _, mine, other in compared]
    overlaps = [
        len(_numbers(mine) & _numbers(other)) / min(TOP_K, classes) for _, mine, other in compared
    ]
    changes = [
        abs(dict(mine.top)[other.best] - other.top[0][1])
        for _, mine, other in compared
        if other.best in dict(mine.top)
    ]
    known = [(one.label, mine, other) for one, mine, other in compared if one.label is not None]
    verdicts = Counter((mine.best == label, other.best == label) for label, mine, other in known)
    right = verdicts[True, True] + verdicts[False, True]
    return Comparison(
        top1=Share(right=sum(same), of=len(compared)),
        top5=fmean(overlaps) if classes > TOP_K else None,
        mean_probability_diff=fmean(changes) if changes else None,
        reference_top1=Share(right=right, of=len(known)) if known else None,
        only_model=verdicts[True, False] if known else None,
        only_reference=verdicts[False, True] if known else None,
        differing=tuple(
            one.index for (one, _, _), equal in zip(compared, same, strict=True) if not equal
        ),
    )
