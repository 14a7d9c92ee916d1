"""Options and arguments that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from models.errors import UsageError

if TYPE_CHECKING:
    from models.bundle import Bundle

BundleArgument = Annotated[
    Path | None,
    typer.Argument(
        metavar="BUNDLE",
        show_default=False,
        help="Folder of a converted model; the built-in camera-motion model when left out.",
    ),
]

ThreadsOption = Annotated[
    int | None,
    typer.Option(
        "--threads",
        min=1,
        show_default="the CPUs this process may use",
        help="Threads of the engine.",
    ),
]

LabelsOption = Annotated[
    Path | None,
    typer.Option(
        "--labels",
        metavar="FILE",
        show_default="label.txt of the data set",
        help="Class names that the labels refer to, one per line or `index name`.",
    ),
]

RootOption = Annotated[
    Path | None,
    typer.Option(
        "--root",
        metavar="DIR",
        show_default="the list's folder, else the data set's, else this one",
        help="Where relative paths of a list start.",
    ),
]

AUTO = "auto"

BUILTIN = Path("builtin")
"""Names the built-in model, unless there is a folder of that name."""


def named_bundle(path: Path | None) -> Path | None:
    """The path of a bundle as `edgecls.load_bundle` takes it: None for the built-in one."""
    return None if path == BUILTIN and not BUILTIN.exists() else path


def open_bundle_argument(path: Path | None) -> Bundle:
    """Open the bundle that was named, or the built-in one (also named `builtin`).

    Raises:
        UsageError: The path is a file other than a card, e.g. a video in the wrong place.
        BundleError: It is no bundle.
    """
    from edgecls.loading import load_bundle
    from models.card import CARD_NAME

    if path is not None and path.is_file() and path.name != CARD_NAME:
        raise UsageError(
            f"{path} is a file; a BUNDLE is a folder with a {CARD_NAME} in it.",
            hint=f"For a video: edgecls run --source {path}",
        )
    return load_bundle(named_bundle(path))
