"""What the labels of rows mean: class numbers, by number or by name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from calibration.class_names import ClassIndex, plain_name
from calibration.clip_rows import Row
from models.errors import DatasetError

_INTEGER = re.compile(r"[+-]?[0-9]+", re.ASCII)
_SHOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelProblem:
    """A label that is no class.

    Attributes:
        where: Where the clip is listed.
        message: What is wrong with it, a sentence.
    """

    where: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """The labels of a list of clips.

    Attributes:
        numbers: Class number of every row, None where it has none or a wrong one.
        names: Class names in the order of the numbers; None when nothing tells them.
        problems: Labels that are no class.
        notes: What was assumed, a sentence each.
    """

    numbers: tuple[int | None, ...]
    names: tuple[str, ...] | None
    problems: tuple[LabelProblem, ...] = ()
    notes: tuple[str, ...] = ()


def understood(rows: Sequence[Row], names: Sequence[str] | None, *, folders: bool) -> Labels:
    """Turn what is written into class numbers.

    Whole numbers are class numbers from 0, unless all of them are names of classes (folders
    called "1" and "2", and classes of these names). Names are found but for case, blanks and
    punctuation. Names that nobody knows are numbered in their sorted order; folders of which not
    one is a known class are numbered so if there are as many as classes, and else are just folders.

    Args:
        rows: Clips.
        names: Known class names, in the order of their numbers; None when unknown.
        folders: The labels are names of folders.
    """
    written = {row.label for row in rows if row.label is not None}
    known = None if names is None else tuple(names)
    if not written:
        return Labels(numbers=(None,) * len(rows), names=known)
    index = ClassIndex(names or ())
    as_names = folders and all(index.find(label) is not None for label in written)
    if all(_INTEGER.fullmatch(label) for label in written) and not as_names:
        return _by_number(rows, known)
    if known is None:
        return _in_sorted_order(rows, written, folders=folders)
    if folders and not any(index.find(label) is not None for label in written):
        return _unknown_folders(rows, written, known)
    return _by_name(rows, index)


def translated(
    labels: Labels, target: Sequence[str], *, rows: Sequence[Row], origin: str
) -> Labels:
    """Labels that count in one list of classes, counted in another (the model's) by name.

    Args:
        labels: With names.
        target: Class names of the model.
        rows: The clips, for messages.
        origin: Where the names come from, e.g. "label.txt".

    Raises:
        DatasetError: Some classes have a counterpart in the model and others have none, or none
            has one and the numbers of classes differ.
    """
    names = labels.names or ()
    if tuple(names) == tuple(target):
        return labels
    index = ClassIndex(target)
    found = {number: index.find(name) for number, name in enumerate(names)}
    used = sorted({number for number in labels.numbers if number is not None})
    absent = [number for number in used if found[number] is None]
    if not absent:
        numbers = tuple(None if number is None else found[number] for number in labels.numbers)
        moved = any(found[number] != number for number in used)
        note = f"the {len(used)} classes used of {origin} were found among the model's by name"
        return Labels(
            numbers=numbers,
            names=tuple(target),
            problems=labels.problems,
            notes=(*labels.notes, note) if moved else labels.notes,
        )
    if len(names) == len(target) and all(number is None for number in found.values()):
        note = (
            f"{origin} names other classes than the model ('{names[0]}', the model '{target[0]}');"
            " as both have as many, class numbers are taken as they are"
        )
        return Labels(
            numbers=labels.numbers,
            names=tuple(target),
            problems=labels.problems,
            notes=(*labels.notes, note),
        )
    first = next(
        row for row, number in zip(rows, labels.numbers, strict=True) if number == absent[0]
    )
    shown = ", ".join(f"'{names[number]}'" for number in absent[:_SHOWN])
    more = f" and {len(absent) - _SHOWN} more" if len(absent) > _SHOWN else ""
    raise DatasetError(
        f"{first.where}: of the {len(used)} classes of the clips, {len(absent)} are none of the"
        f" model's {len(target)}: {shown}{more}.",
        hint="Give the label list that the model was trained with: --labels FILE; or leave these"
        " clips out.",
    )


def _by_number(rows: Sequence[Row], names: tuple[str, ...] | None) -> Labels:
    numbers: list[int | None] = []
    problems = []
    for row in rows:
        number = None if row.label is None else int(row.label)
        beyond = number is not None and names is not None and number >= len(names)
        if number is not None and (number < 0 or beyond):
            limit = f"0 to {len(names) - 1}" if names else "0 and up"
            problems.append(
                LabelProblem(
                    where=row.where,
                    message=f"'{row.name}' has the label {number}; class numbers are {limit}.",
                )
            )
            number = None
        numbers.append(number)
    return Labels(numbers=tuple(numbers), names=names, problems=tuple(problems))


def _by_name(rows: Sequence[Row], index: ClassIndex) -> Labels:
    problems = []
    numbers = tuple(None if row.label is None else index.find(row.label) for row in rows)
    for row, number in zip(rows, numbers, strict=True):
        if row.label is not None and number is None:
            near = index.nearest(row.label)
            meant = f"; '{near}' is like it" if near else ""
            problems.append(
                LabelProblem(
                    where=row.where,
                    message=f"'{row.name}' is of the class '{row.label}', which is none of the"
                    f" {len(index.names)} known{meant}.",
                )
            )
    return Labels(numbers=numbers, names=index.names, problems=tuple(problems))


def _in_sorted_order(rows: Sequence[Row], written: set[str], *, folders: bool) -> Labels:
    """Numbers for names that nobody knows; spellings of one name are one class."""
    if folders and len(written) == 1:
        return Labels(numbers=(None,) * len(rows), names=None)
    spelling: dict[str, str] = {}
    for name in sorted(written):
        spelling.setdefault(plain_name(name) or name, name)
    names = tuple(sorted(spelling.values()))
    number_of = {plain_name(name) or name: number for number, name in enumerate(names)}
    numbers = tuple(
        None if row.label is None else number_of[plain_name(row.label) or row.label] for row in rows
    )
    what = "folders" if folders else "class names"
    note = f"the {len(names)} {what} are numbered in sorted order, as no list of classes is given"
    return Labels(numbers=numbers, names=names, notes=(note,))


def _unknown_folders(rows: Sequence[Row], written: set[str], names: tuple[str, ...]) -> Labels:
    if len(written) == len(names):
        number_of = {name: number for number, name in enumerate(sorted(written))}
        numbers = tuple(None if row.label is None else number_of[row.label] for row in rows)
        note = (
            f"none of the {len(written)} folders has the name of a class; as there are as many,"
            f" they are taken in sorted order: '{min(written)}' is class 0, '{names[0]}'"
        )
        return Labels(numbers=numbers, names=names, notes=(note,))
    note = (
        f"none of the {len(written)} folders ('{min(written)}', …) has the name of one of the"
        f" {len(names)} classes: the clips have no labels"
    )
    return Labels(numbers=(None,) * len(rows), names=names, notes=(note,))
