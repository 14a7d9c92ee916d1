"""Lists of clips, with or without labels, from whatever users have.

::

    demo                    the built-in clip
    clip.mp4                one video
    'clips/*.mp4'           a glob, quoted
    clips/                  every video in a folder
    clips/zoom in/a.mp4     a folder per class
    val.txt                 a list: `path label`, as PaddleVideo and PaddleX have them
    dataset/                a PaddleX data set: label.txt, train.txt, val.txt, videos/
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from calibration.class_names import read_class_names
from calibration.clip_labels import Labels, translated, understood
from calibration.clip_rows import ClipKind, Rows, Split, find_rows
from calibration.text_file import printable
from models.errors import DatasetError


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipEntry:
    """A clip.

    Attributes:
        name: As listed: relative to the list or folder; fit for messages and reports.
        source: As `runtime.sources.open_source` takes it.
        label: Class number, from 0; None when it is not known.
        where: Where it is listed, e.g. "val.txt:12".
    """

    name: str
    source: str
    label: int | None
    where: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ListProblem:
    """A mistake in a list.

    Attributes:
        kind: `line`, which is no clip and left out; or `label`, whose clip is kept without one.
        where: File and line, or folder.
        message: What is wrong, a sentence.
    """

    kind: str
    where: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipList:
    """Clips in a fixed order.

    Attributes:
        origin: As the user wrote it.
        place: What was read: `origin`, or the list or folder inside it.
        kind: The form in which they were given.
        clips: Never empty.
        class_names: In the order of the class numbers; None when nothing tells them.
        label_file: Where the names are from, if from a file.
        separator: Between path and label of a list: `tab`, `comma`, `semicolon`, `space`.
        skipped: Blank lines, comments and headers of a list.
        problems: Mistakes in it.
        notes: What was assumed, a sentence each.
    """

    origin: str
    place: str
    kind: ClipKind
    clips: tuple[ClipEntry, ...]
    class_names: tuple[str, ...] | None = None
    label_file: Path | None = None
    separator: str | None = None
    skipped: int = 0
    problems: tuple[ListProblem, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def labelled(self) -> int:
        """Number of clips with a label."""
        return sum(clip.label is not None for clip in self.clips)

    @property
    def sha256(self) -> str:
        """Digest of the names and labels, in order; content of the videos does not count."""
        digest = hashlib.sha256()
        for clip in self.clips:
            label = "" if clip.label is None else str(clip.label)
            digest.update(f"{clip.name}\t{label}\n".encode())
        return digest.hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class ListOptions:
    """How a list is read.

    Attributes:
        labels: File of class names that labels refer to; None for the data set's own, if any.
        model_names: Class names of the model that the labels are to be numbers of; None to
            number them as the data set does.
        root: Where relative paths of a list start; None to find out.
        split: Which half of a data set a folder stands for, when it holds both.
    """

    labels: Path | None = None
    model_names: tuple[str, ...] | None = None
    root: Path | None = None
    split: Split = "val"


def read_clips(given: str, options: ListOptions | None = None) -> ClipList:
    """Read clips and their labels.

    Args:
        given: `demo`, a video, a folder, a glob or a list.
        options: None for the defaults.

    Returns:
        The clips; mistakes of single lines are in `problems`, see `checked`.

    Raises:
        SourceNotFound: There is nothing of that name.
        SourceError: It is a device or pipe.
        DatasetError: It holds no clips or cannot be read, the class names cannot be used, or they
            do not fit those of the model.
    """
    options = options or ListOptions()
    rows = find_rows(given, root=options.root, split=options.split)
    label_file = options.labels or rows.label_file
    labels = _labels(rows, label_file, options.model_names)
    clips = tuple(
        ClipEntry(name=row.name, source=row.source, label=label, where=row.where)
        for row, label in zip(rows.rows, labels.numbers, strict=True)
    )
    lines = tuple(
        ListProblem(kind="line", where=f"{rows.path}:{one.number}", message=one.message)
        for one in rows.problems
    )
    wrong = tuple(
        ListProblem(kind="label", where=one.where, message=one.message) for one in labels.problems
    )
    return ClipList(
        origin=given,
        place=given if rows.path is None else printable(str(rows.path)),
        kind=rows.kind,
        clips=clips,
        class_names=labels.names,
        label_file=label_file,
        separator=rows.separator,
        skipped=rows.skipped,
        problems=(*lines, *wrong),
        notes=labels.notes,
    )


def checked(clips: ClipList) -> ClipList:
    """The same list, if it has no mistakes.

    Raises:
        DatasetError: It has; the first one with its file and line, and their number.
    """
    if clips.problems:
        first, count = clips.problems[0], len(clips.problems)
        others = f" ({count - 1} more like it)" if count > 1 else ""
        hint = f"List all mistakes: edgecls data check {clips.origin}"
        if clips.label_file is None and first.kind == "label":
            hint = "If the labels are not numbers of the model's classes: --labels FILE names them."
        raise DatasetError(f"{first.where}: {first.message}{others}", hint=hint)
    return clips


def merged(lists: Sequence[ClipList]) -> ClipList:
    """Several lists as one, in their order.

    Raises:
        ValueError: There is no list.
        DatasetError: They name different classes.
    """
    if not lists:
        raise ValueError("at least one list is needed")
    first, *others = lists
    names = first.class_names
    for other in others:
        if names is not None and other.class_names not in (None, names):
            raise DatasetError(
                f"{first.origin} and {other.origin} name different classes.",
                hint="Give the names that hold for both: --labels FILE",
            )
        names = names or other.class_names
    if not others:
        return first
    return replace(
        first,
        origin=" ".join(one.origin for one in lists),
        place=" ".join(one.place for one in lists),
        clips=tuple(clip for one in lists for clip in one.clips),
        class_names=names,
        skipped=sum(one.skipped for one in lists),
        problems=tuple(problem for one in lists for problem in one.problems),
        notes=tuple(dict.fromkeys(note for one in lists for note in one.notes)),
    )


def evenly_chosen(clips: ClipList, limit: int | None) -> ClipList:
    """At most `limit` clips, spread evenly over the list, so over sorted classes too.

    Of 10 clips, 4 are those at places 0, 2, 5 and 7.

    Args:
        clips: The list.
        limit: At least 1; None for all.
    """
    count = len(clips.clips)
    if limit is None or limit >= count:
        return clips
    chosen = tuple(clips.clips[place * count // limit] for place in range(limit))
    note = f"{limit} of {count} clips are taken, spread evenly over the list"
    return replace(clips, clips=chosen, notes=(*clips.notes, note))


def _labels(rows: Rows, label_file: Path | None, model_names: tuple[str, ...] | None) -> Labels:
    folders = rows.kind == "class folders"
    if label_file is None:
        return understood(rows.rows, model_names, folders=folders)
    labels = understood(rows.rows, read_class_names(label_file), folders=folders)
    if model_names is None:
        return labels
    return translated(labels, model_names, rows=rows.rows, origin=str(label_file))
