"""What models said of one clip, and that as a line of JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

TOP_K = 5
"""Classes that are kept of every clip."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a model said of a clip.

    Attributes:
        top: Class numbers and probabilities, best first; as many as `TOP_K`, or all classes.
        decode_ms: Decoding of the whole file.
        preprocess_ms: Resize, crop and normalisation of the frames that were used.
        infer_ms: The engine, all views together.
    """

    top: tuple[tuple[int, float], ...]
    decode_ms: float
    preprocess_ms: float
    infer_ms: float

    @property
    def best(self) -> int:
        """Number of the most probable class."""
        return self.top[0][0]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipResult:
    """A clip that was classified, or could not be read.

    Attributes:
        index: Place in the list, from 0.
        name: As listed.
        label: True class, if known.
        answer: What the model said; None of a clip that cannot be read.
        reference: What the reference said; None without one.
        error: Why the clip cannot be read; empty when it can.
        warnings: What was odd about it, e.g. that frames cannot be decoded.
        elapsed_ms: Time from opening the file to the answer, the reference's not counted.
    """

    index: int
    name: str
    label: int | None
    answer: Answer | None
    reference: Answer | None = None
    error: str = ""
    warnings: tuple[str, ...] = ()
    elapsed_ms: float = 0.0

    def to_line(self) -> str:
        """One line of JSON with its newline."""
        value: dict[str, Any] = {
            "type": "clip",
            "index": self.index,
            "clip": self.name,
            "label": self.label,
        }
        if self.answer is None:
            value["error"] = self.error
        else:
            value |= _answer_json(self.answer)
            value["elapsed_ms"] = round(self.elapsed_ms, 3)
        if self.reference is not None:
            value["reference"] = _answer_json(self.reference)
        if self.warnings:
            value["warnings"] = list(self.warnings)
        return json.dumps(value, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> ClipResult:
        """Inverse of `to_line`.

        Raises:
            KeyError, TypeError, ValueError: It is not one of these lines.
        """
        answer = _answer(value) if "top" in value else None
        reference = value.get("reference")
        label = value["label"]
        return cls(
            index=int(value["index"]),
            name=str(value["clip"]),
            label=None if label is None else int(label),
            answer=answer,
            reference=None if reference is None else _answer(reference),
            error="" if answer is not None else str(value["error"]),
            warnings=tuple(map(str, value.get("warnings", ()))),
            elapsed_ms=float(value.get("elapsed_ms", 0.0)),
        )


def _answer_json(answer: Answer) -> dict[str, Any]:
    return {
        "top": [[number, round(probability, 6)] for number, probability in answer.top],
        "latency_ms": {
            "decode": round(answer.decode_ms, 3),
            "preprocess": round(answer.preprocess_ms, 3),
            "infer": round(answer.infer_ms, 3),
        },
    }


def _answer(value: Mapping[str, Any]) -> Answer:
    latency_ms = value["latency_ms"]
    top = tuple((int(number), float(probability)) for number, probability in value["top"])
    if not top:
        raise ValueError("an answer names at least one class")
    return Answer(
        top=top,
        decode_ms=float(latency_ms["decode"]),
        preprocess_ms=float(latency_ms["preprocess"]),
        infer_ms=float(latency_ms["infer"]),
    )
