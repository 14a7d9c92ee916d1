"""Where what costs only time to lose is kept."""

from __future__ import annotations

import logging
import os
from pathlib import Path

logger = logging.getLogger(__name__)


def cache_folder() -> Path:
    """This user's; of a user without a home folder one in which nothing can be kept."""
    from platformdirs import user_cache_path

    try:
        return user_cache_path("edgecls", appauthor=False)
    except RuntimeError as error:  # such as a container that was given a bare user number
        logger.debug("nothing is kept, this user has no cache folder: %s", error)
        return Path(os.devnull)
