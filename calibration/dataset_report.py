"""What a check of a data set found, and the same as PaddleX would write it.

PaddleX's own check stops at the first mistake; this one lists all. The fields of its
`check_dataset_result.json` keep their names, places and meaning; what it does not have stands
beside them: `class_counts`, `videos`, `findings`, `settings`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any, Literal

from calibration.clip_rows import Split

Severity = Literal["error", "warning"]

RESULT_NAME = "check_dataset_result.json"
"""PaddleX's name of the result."""

HISTOGRAM = Path("check_dataset", "histogram.png")
"""PaddleX's place of the picture, from the folder of the result."""

_SAMPLES = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something wrong, or worth a look.

    Attributes:
        severity: `error` where training or testing would fail or lie; else `warning`.
        kind: A word for programs, see docs/cli.md.
        where: File and line, or what it is about.
        message: A sentence.
    """

    severity: Severity
    kind: str
    where: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitFacts:
    """One half of the data set, or all of it.

    Attributes:
        split: Its name.
        origin: The list or folder.
        samples: Number of clips listed.
        counts: Labelled clips per class, in the order of the classes.
        sources: Where the clips are.
    """

    split: Split
    origin: str
    samples: int
    counts: tuple[int, ...]
    sources: tuple[str, ...]

    @property
    def labelled(self) -> int:
        """Number of clips with a label."""
        return sum(self.counts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """The least, the middle and the greatest of several values."""

    least: float
    median: float
    greatest: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread | None:
        """None of no values."""
        if not values:
            return None
        return cls(least=min(values), median=median(values), greatest=max(values))


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoFacts:
    """All videos together, each counted once however often it is listed.

    Attributes:
        readable: Number of videos that can be read.
        unreadable: Number of those that are missing, or cannot.
        frames: Frames per video.
        duration_s: Seconds per video, of those that tell.
        resolutions: Number of videos by "WxH", the most frequent first.
        frame_rates: Number of videos by frame rate in Hz, to 5 digits, likewise; "unknown" where
            the container does not tell.
    """

    readable: int
    unreadable: int
    frames: Spread | None
    duration_s: Spread | None
    resolutions: dict[str, int]
    frame_rates: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetReport:
    """All that a check found.

    Attributes:
        origin: What was checked, as the user wrote it.
        splits: One or two.
        class_names: One per class; made up where nothing names them.
        named: The class names are known, not made up.
        label_file: Where they are from, if from a file.
        model_frames: Frames that the model takes of a clip.
        thorough: Every frame was decoded.
        videos: Sizes and lengths.
        findings: Errors first.
        notes: What was assumed, a sentence each.
    """

    origin: str
    splits: tuple[SplitFacts, ...]
    class_names: tuple[str, ...]
    named: bool
    label_file: Path | None
    model_frames: int
    thorough: bool
    videos: VideoFacts
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]

    def of(self, severity: Severity) -> tuple[Finding, ...]:
        """Findings of one severity."""
        return tuple(one for one in self.findings if one.severity == severity)

    @property
    def passed(self) -> bool:
        """There is no error; warnings do not count."""
        return not self.of("error")

    def to_json_dict(self, *, histogram: Path | None) -> dict[str, Any]:
        """The result in PaddleX's form, with what is known beyond it.

        Args:
            histogram: Where the picture is, from the folder of the result; None without one.
        """
        errors = self.of("error")
        failure = {}
        if errors:
            message = f"{errors[0].where}: {errors[0].message}"
            failure = {"err_type": errors[0].kind, "err_msg": message}
        return {
            "done_flag": True,
            "check_pass": self.passed,
            **failure,
            "attributes": self._attributes(),
            "analysis": {"histogram": None if histogram is None else histogram.as_posix()},
            "dataset_path": self.origin,
            "show_type": "video",
            "dataset_type": "VideoClsDataset",
            "class_counts": [
                {
                    "index": index,
                    "name": name,
                    **{split.split: split.counts[index] for split in self.splits},
                }
                for index, name in enumerate(self.class_names)
            ],
            "videos": asdict(self.videos),
            "findings": [asdict(one) for one in self.findings],
            "notes": list(self.notes),
            "settings": {"frames": self.model_frames, "thorough": self.thorough},
        }

    def _attributes(self) -> dict[str, Any]:
        by_name = {split.split: split for split in self.splits}
        attributes: dict[str, Any] = {
            "label_file": None if self.label_file is None else str(self.label_file),
            "num_classes": len(self.class_names),
        }
        for name in ("train", "val"):
            split = by_name.get(name)
            attributes[f"{name}_samples"] = split.samples if split else 0
            attributes[f"{name}_sample_paths"] = list(_sampled(split.sources)) if split else []
        return attributes


def _sampled(sources: Sequence[str]) -> tuple[str, ...]:
    """At most ten, spread evenly."""
    count = len(sources)
    if count <= _SAMPLES:
        return tuple(sources)
    return tuple(sources[place * count // _SAMPLES] for place in range(_SAMPLES))
