"""What came of a file of an archive."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runtime.archive.files import Stamp
from runtime.records import Prediction, ScoredLabel

DECIMALS = 6
"""Of probabilities and seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileResult:
    """What came of a file.

    Attributes:
        file: Its path, as it was named.
        stamp: As it was before it was read; None where it was not there.
        start_s: Time of its first frame; None where it could not be classified.
        end_s: End of its last frame, likewise.
        top: Best classes first.
        warnings: What was wrong with it, though it could be read.
        error: Why it could not be classified; None where it was.
    """

    file: str
    stamp: Stamp | None
    start_s: float | None = None
    end_s: float | None = None
    top: tuple[ScoredLabel, ...] = ()
    warnings: tuple[str, ...] = ()
    error: str | None = None

    def to_json(self) -> dict[str, Any]:
        """As it is written to the journal and to JSON lines."""
        return {
            "type": "file",
            "file": self.file,
            "size_bytes": self.stamp and self.stamp.size_bytes,
            "modified_ns": self.stamp and self.stamp.modified_ns,
            "start_s": self.start_s,
            "end_s": self.end_s,
            "top": [{"label": one.label, "probability": one.probability} for one in self.top],
            "warnings": list(self.warnings),
            "error": self.error,
        }


def classified(
    file: str, stamp: Stamp | None, prediction: Prediction, warnings: tuple[str, ...]
) -> FileResult:
    """The result of a file that was classified.

    Args:
        file: Its path.
        stamp: As it was before it was read.
        prediction: Of the whole file.
        warnings: What was wrong with it.
    """
    return FileResult(
        file=file,
        stamp=stamp,
        start_s=round(prediction.start_s, DECIMALS),
        end_s=round(prediction.end_s, DECIMALS),
        top=tuple(
            ScoredLabel(label=one.label, probability=round(one.probability, DECIMALS))
            for one in prediction.top
        ),
        warnings=warnings,
    )


def result_of_json(value: Mapping[str, Any]) -> FileResult:
    """A result as `FileResult.to_json` wrote it.

    Raises:
        KeyError, TypeError, ValueError: It is none.
    """
    size_bytes, modified_ns = value["size_bytes"], value["modified_ns"]
    return FileResult(
        file=str(value["file"]),
        stamp=None if size_bytes is None else Stamp(int(size_bytes), int(modified_ns)),
        start_s=None if value["start_s"] is None else float(value["start_s"]),
        end_s=None if value["end_s"] is None else float(value["end_s"]),
        top=tuple(
            ScoredLabel(label=str(one["label"]), probability=float(one["probability"]))
            for one in value["top"]
        ),
        warnings=tuple(map(str, value["warnings"])),
        error=None if value["error"] is None else str(value["error"]),
    )
