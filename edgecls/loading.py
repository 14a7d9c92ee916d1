"""Find a bundle by its path."""

from __future__ import annotations

import os
from pathlib import Path

from models.bundle import Bundle, open_bundle


def load_bundle(path: str | os.PathLike[str] | None = None) -> Bundle:
    """Read the card of a bundle; the graphs are not touched yet.

    Args:
        path: The folder that `edgecls convert` made, or its `card.json`; None for the built-in
            model, which tells how a camera moves.

    Returns:
        The bundle. `bundle.card` has the labels, the preprocessing and the graphs.

    Raises:
        BundleNotFound: There is no such folder, or no card in it.
        SchemaTooNew: The card was written by a newer edgecls.
        BundleError: The card is not valid.
    """
    return open_bundle(None if path is None else Path(path))
