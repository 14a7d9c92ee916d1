"""What opening a model has in common, for whole clips and for windows."""

from __future__ import annotations

import numpy as np

from models.bundle import Bundle
from runtime.choose import Choice, choose_session
from runtime.engine_request import EngineRequest
from runtime.preprocess import Preparation


def chosen(bundle: Bundle, engine: EngineRequest) -> Choice:
    """Open the graph and engine asked for, or the best; the session has run once.

    Args:
        bundle: The model.
        engine: What is asked of the engine.

    Raises:
        UsageError: No backend has that name, or no graph that precision.
        BackendError: No engine runs the model as asked.
        BundleError: A file does not match the card.
    """
    _warm_up_preparation(bundle)
    return choose_session(bundle, engine)


def _warm_up_preparation(bundle: Bundle) -> None:
    """Prepare nothing once: the first picture loads a library, and that is no latency either."""
    clip = bundle.card.clip
    side = 2 * clip.resize.short_side
    Preparation(clip=clip).kept(np.zeros((side, side, 3), np.uint8))
