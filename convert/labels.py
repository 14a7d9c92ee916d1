"""Class names: from a file, from PaddleX, or from the data set that the class count gives away."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

from models.errors import CheckpointError
from models.label_names import label_names

KINETICS400 = 400
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def read_labels(path: Path, classes: int) -> tuple[str, ...]:
    """Read one class name per line, in the order of the logits; see `label_names`.

    Raises:
        CheckpointError: Unreadable, or not as many names as the model has classes.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(f"The label file {path} cannot be read: {error}.") from error
    return checked_labels(label_names(text), classes, origin=str(path))


def checked_labels(names: tuple[str, ...], classes: int, *, origin: str) -> tuple[str, ...]:
    """Refuse a list that does not fit the model.

    Raises:
        CheckpointError: Wrong count, or a name is empty or not one line of text.
    """
    if len(names) != classes:
        raise CheckpointError(
            f"{origin} has {len(names)} labels, the model has {classes} classes.",
            hint="Give the label list that the model was trained with: --labels FILE",
        )
    if not all(names):
        raise CheckpointError(f"{origin} has an empty label at position {names.index('')}.")
    for index, name in enumerate(names):
        if _CONTROL.search(name):
            raise CheckpointError(
                f"{origin} has a label with control characters at position {index}: {name!r:.80}."
            )
    return names


def default_labels(classes: int) -> tuple[tuple[str, ...], str]:
    """Labels when nothing names them, and a sentence that says what was assumed."""
    if classes == KINETICS400:
        text = files("models").joinpath("data/kinetics400.txt").read_text(encoding="utf-8")
        return tuple(text.split("\n")[:KINETICS400]), (
            "labels: the model has 400 classes, so Kinetics-400 names are assumed"
            " (--labels FILE for others)"
        )
    names = tuple(f"class {index}" for index in range(classes))
    return names, f"labels: none given, named 'class 0' to 'class {classes - 1}' (--labels FILE)"
