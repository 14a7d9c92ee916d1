"""Check clips before a model is trained or tested on them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from calibration.class_balance import balance_findings
from calibration.clip_facts import ClipFacts, clip_facts
from calibration.clip_list import ClipEntry, ClipList
from calibration.clip_rows import LABEL_FILE, Split
from calibration.dataset_report import (
    DatasetReport,
    Finding,
    Severity,
    SplitFacts,
    Spread,
    VideoFacts,
)
from calibration.text_file import printable
from models.card import sha256_of
from models.errors import SourceError, SourceNotFound


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckOptions:
    """What is checked, and against what.

    Attributes:
        frames: Frames that the model takes of a clip.
        thorough: Decode every frame of every video.
    """

    frames: int
    thorough: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Listed:
    """A clip, and the half of the data set that lists it."""

    split: Split
    entry: ClipEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """A look at one video: its facts, or what is wrong with it."""

    facts: ClipFacts | None = None
    kind: str = ""
    message: str = ""


def check_dataset(
    splits: Mapping[Split, ClipList],
    options: CheckOptions,
    *,
    on_clip: Callable[[str], None] | None = None,
) -> DatasetReport:
    """Look at every clip once, and at the lists as a whole.

    Content is compared by SHA-256, read only of files that have the same size as another.

    Args:
        splits: The halves, that for training first; at least one.
        options: What is checked.
        on_clip: Called with the name of every video that was looked at.

    Returns:
        The report; mistakes of the data set are in its findings, never raised.
    """
    listed = [
        _Listed(split=split, entry=entry)
        for split, clips in splits.items()
        for entry in clips.clips
    ]
    looks: dict[str, _Look] = {}
    for one in listed:
        if one.entry.source not in looks:
            looks[one.entry.source] = _look(one.entry, options)
            if on_clip is not None:
                on_clip(one.entry.name)
    names, named = _class_names(splits)
    halves = tuple(_split_facts(split, clips, len(names)) for split, clips in splits.items())
    findings = [
        *_list_findings(splits),
        *_video_findings(listed, looks, options),
        *_repeated(listed, looks),
        *balance_findings(halves, names),
        *_paddle_findings(splits),
    ]
    return DatasetReport(
        origin=" ".join(dict.fromkeys(clips.origin for clips in splits.values())),
        splits=halves,
        class_names=names,
        named=named,
        label_file=next((one.label_file for one in splits.values() if one.label_file), None),
        model_frames=options.frames,
        thorough=options.thorough,
        videos=_video_facts(looks),
        findings=tuple(sorted(findings, key=lambda one: one.severity != "error")),
        notes=tuple(dict.fromkeys(note for clips in splits.values() for note in clips.notes)),
    )


def _look(entry: ClipEntry, options: CheckOptions) -> _Look:
    try:
        return _Look(facts=clip_facts(entry.source, thorough=options.thorough))
    except SourceNotFound:
        return _Look(kind="missing", message=f"There is no file {printable(entry.source)}.")
    except SourceError as error:
        return _Look(kind="unreadable", message=_named(entry, error.message))


def _named(entry: ClipEntry, message: str) -> str:
    """What was said of a file, under the name by which its list knows it."""
    named = printable(message).replace(printable(entry.source), entry.name)
    return named if entry.name in named else f"{entry.name}: {named}"


def _class_names(splits: Mapping[Split, ClipList]) -> tuple[tuple[str, ...], bool]:
    """Names, and whether they are known; "class 3" where only numbers are."""
    known = next((clips.class_names for clips in splits.values() if clips.class_names), None)
    if known is not None:
        return known, True
    labels = [clip.label for clips in splits.values() for clip in clips.clips]
    highest = max((label for label in labels if label is not None), default=-1)
    return tuple(f"class {index}" for index in range(highest + 1)), False


def _split_facts(split: Split, clips: ClipList, classes: int) -> SplitFacts:
    counted = Counter(clip.label for clip in clips.clips)
    return SplitFacts(
        split=split,
        origin=clips.place,
        samples=len(clips.clips),
        counts=tuple(counted[index] for index in range(classes)),
        sources=tuple(printable(clip.source) for clip in clips.clips),
    )


def _list_findings(splits: Mapping[Split, ClipList]) -> Iterator[Finding]:
    for clips in splits.values():
        for problem in clips.problems:
            kind = {"line": "bad-line", "label": "bad-label"}[problem.kind]
            yield _finding("error", kind, problem.where, problem.message)
        unlabelled = len(clips.clips) - clips.labelled
        wrong = sum(problem.kind == "label" for problem in clips.problems)
        if unlabelled > wrong and (clips.labelled or clips.class_names):
            yield _finding(
                "warning",
                "no-label",
                clips.place,
                f"{unlabelled - wrong} of {len(clips.clips)} clips have no label.",
            )


def _video_findings(
    listed: list[_Listed], looks: Mapping[str, _Look], options: CheckOptions
) -> Iterator[Finding]:
    for one in listed:
        look, where = looks[one.entry.source], one.entry.where
        if look.facts is None:
            yield _finding("error", look.kind, where, look.message)
            continue
        if look.facts.damage:
            yield _finding("warning", "damaged", where, _named(one.entry, look.facts.damage))
        if look.facts.frames < options.frames:
            yield _finding(
                "warning",
                "short",
                where,
                f"{one.entry.name} has {look.facts.frames} frames, the model takes"
                f" {options.frames}: some would be shown to it more than once.",
            )


def _repeated(listed: list[_Listed], looks: Mapping[str, _Look]) -> Iterator[Finding]:
    """Clips of the same content, compared with the first of them (one for training, if any)."""
    for group in _same_content(listed, looks):
        first, *others = group
        for other in others:
            labels = {first.entry.label, other.entry.label} - {None}
            contradict = len(labels) == 2
            same = (
                f"is listed again ({other.entry.where})"
                if first.entry.source == other.entry.source
                else f"has the same content as {other.entry.name} ({other.entry.where})"
            )
            message = f"{first.entry.name} {same}"
            if contradict:
                message += f" with another label, {other.entry.label} not {first.entry.label}"
            if first.split != other.split:
                yield _finding(
                    "error",
                    "leak",
                    first.entry.where,
                    f"{message}: what is trained on is tested on.",
                )
            elif contradict:
                yield _finding("error", "contradiction", first.entry.where, f"{message}.")
            else:
                yield _finding("warning", "duplicate", first.entry.where, f"{message}.")


def _same_content(listed: list[_Listed], looks: Mapping[str, _Look]) -> Iterator[list[_Listed]]:
    """Groups of two or more clips whose files are the same, byte for byte."""
    by_size: defaultdict[int, list[_Listed]] = defaultdict(list)
    for one in listed:
        path = Path(one.entry.source)
        if looks[one.entry.source].facts is not None and path.is_file():
            by_size[path.stat().st_size].append(one)
    for alike in by_size.values():
        if len(alike) < 2:
            continue
        digests = {source: _digest(source) for source in {one.entry.source for one in alike}}
        by_digest: defaultdict[str, list[_Listed]] = defaultdict(list)
        for one in alike:
            by_digest[digests[one.entry.source]].append(one)
        yield from (group for group in by_digest.values() if len(group) > 1)


def _digest(source: str) -> str:
    """SHA-256 of a file; its path where it cannot be read any more, so that it equals no other."""
    try:
        return sha256_of(Path(source))
    except OSError:
        return source


def _paddle_findings(splits: Mapping[Split, ClipList]) -> Iterator[Finding]:
    """What is fine here and trips PaddleVideo or PaddleX, which split every line at blanks."""
    for clips in splits.values():
        if clips.kind != "list":
            continue
        odd = []
        if clips.separator not in {"space", None}:
            odd.append(f"a {clips.separator} between path and label")
        blank = sum(any(letter.isspace() for letter in clip.name) for clip in clips.clips)
        if blank:
            odd.append(f"blanks in {blank} path{'s' * (blank != 1)}")
        if clips.skipped:
            many = "s" * (clips.skipped != 1)
            odd.append(f"{clips.skipped} line{many} that are blank, comments or column names")
        if odd:
            yield _finding(
                "warning",
                "paddle-format",
                clips.place,
                f"PaddleVideo and PaddleX cannot read this list: it has {' and '.join(odd)}.",
            )
        if Path(clips.origin).is_dir():
            wanted = [f"{split}.txt" for split in ("train", "val") if split not in splits]
            wanted += [LABEL_FILE] if clips.label_file is None else []
            if wanted:
                yield _finding(
                    "warning",
                    "paddle-format",
                    clips.origin,
                    f"PaddleX also wants {' and '.join(wanted)} in a data set.",
                )


def _video_facts(looks: Mapping[str, _Look]) -> VideoFacts:
    facts = [look.facts for look in looks.values() if look.facts is not None]
    rates = Counter("unknown" if one.fps is None else f"{one.fps:.5g}" for one in facts)
    sizes = Counter(f"{one.width}x{one.height}" for one in facts)
    return VideoFacts(
        readable=len(facts),
        unreadable=len(looks) - len(facts),
        frames=Spread.of([one.frames for one in facts]),
        duration_s=Spread.of([one.duration_s for one in facts if one.duration_s is not None]),
        resolutions=dict(sizes.most_common()),
        frame_rates=dict(rates.most_common()),
    )


def _finding(severity: Severity, kind: str, where: str, message: str) -> Finding:
    return Finding(severity=severity, kind=kind, where=where, message=message)
