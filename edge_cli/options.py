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

AUTO = "auto"


def open_bundle_argument(path: Path | None) -> Bundle:
    """Open the bundle that was named, or the built-in one.

    Raises:
        UsageError: The path is a file other than a card, e.g. a video in the wrong place.
        BundleError: It is no bundle.
    """
    from models.bundle import open_bundle
    from models.card import CARD_NAME

    if path is not None and path.is_file() and path.name != CARD_NAME:
        raise UsageError(
            f"{path} is a file; a BUNDLE is a folder with a {CARD_NAME} in it.",
            hint=f"For a video: edgecls run --source {path}",
        )
    return open_bundle(path)
