"""The report of an evaluation: what was run on what, and its figures, as one JSON object."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from calibration.clip_list import ClipList
from calibration.eval_results import ClipResult
from calibration.eval_scores import ClassScore, Comparison, Quantiles, Scores, Share, Speed

REPORT_NAME = "report.json"
CONFUSION_NAME = "confusion.png"

_TRIPLE = re.compile(r"\[\s+(\d+),\s+(\d+),\s+(\d+)\s+\]")


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalReport:
    """An evaluation that has come to its end, or was interrupted.

    Attributes:
        header: What was run, as in the log.
        clips: The list.
        results: Of clips that were done, in the order of the list.
        scores: Their figures.
    """

    header: Mapping[str, Any]
    clips: ClipList
    results: tuple[ClipResult, ...]
    scores: Scores

    @property
    def complete(self) -> bool:
        """Every clip was classified, or found not to be readable."""
        return len(self.results) == len(self.clips.clips)

    @property
    def unreadable(self) -> tuple[ClipResult, ...]:
        """Clips that could not be read."""
        return tuple(one for one in self.results if one.answer is None)

    @property
    def odd(self) -> tuple[ClipResult, ...]:
        """Clips that were classified with a warning."""
        return tuple(one for one in self.results if one.warnings)

    def to_json(self) -> str:
        """The report; a cell of the confusion matrix is `[true class, answer, clips]`."""
        scores = self.scores
        value = {
            **{name: field for name, field in self.header.items() if name != "type"},
            "complete": self.complete,
            "clips": {
                "total": len(self.clips.clips),
                "labelled": self.clips.labelled,
                "classified": scores.classified,
                "unreadable": len(self.unreadable),
            },
            "top1": _share(scores.top1),
            "top5": _share(scores.top5),
            "mean_recall": scores.mean_recall,
            "speed": _speed(scores.speed),
            "comparison": self._comparison(scores.comparison),
            "classes": [_class(one) for one in scores.classes],
            "confusion": [[one.true, one.taken, one.count] for one in scores.confusion],
            "unreadable": [
                {"clip": one.name, "where": self._where(one), "error": one.error}
                for one in self.unreadable
            ],
            "warnings": [
                {"clip": one.name, "where": self._where(one), "warnings": list(one.warnings)}
                for one in self.odd
            ],
            "notes": list(self.clips.notes),
        }
        text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
        return _TRIPLE.sub(r"[\1, \2, \3]", text)

    def _where(self, result: ClipResult) -> str:
        return self.clips.clips[result.index].where

    def _comparison(self, comparison: Comparison | None) -> dict[str, Any] | None:
        if comparison is None:
            return None
        return {
            "top1_agreement": _share(comparison.top1),
            "top5_overlap": comparison.top5,
            "mean_probability_diff": comparison.mean_probability_diff,
            "reference_top1": _share(comparison.reference_top1),
            "only_model_right": comparison.only_model,
            "only_reference_right": comparison.only_reference,
            "differing": [self.clips.clips[index].name for index in comparison.differing],
        }


def _share(share: Share | None) -> dict[str, Any] | None:
    if share is None:
        return None
    low, high = share.interval
    return {
        "value": share.value,
        "right": share.right,
        "of": share.of,
        "interval_95": {"low": low, "high": high},
    }


def _class(score: ClassScore) -> dict[str, Any]:
    return {
        "index": score.index,
        "name": score.name,
        "support": score.support,
        "right": score.right,
        "predicted": score.predicted,
        "recall": score.recall,
        "precision": score.precision,
        "answers": score.answers,
        "mean_probability": score.probability,
    }


def _speed(speed: Speed | None) -> dict[str, Any] | None:
    if speed is None:
        return None
    return {
        "clips_per_s": speed.clips_per_s,
        "latency_ms": {
            "decode": _quantiles(speed.decode),
            "preprocess": _quantiles(speed.preprocess),
            "infer": _quantiles(speed.infer),
        },
    }


def _quantiles(quantiles: Quantiles) -> dict[str, float]:
    return {"median": quantiles.median_ms, "p95": quantiles.p95_ms}
