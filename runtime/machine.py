"""What a choice of engine and graph depends on, besides the model."""

from __future__ import annotations

import logging
import os
import time
from dataclasses import dataclass, field
from pathlib import Path

from runtime.backends import BACKENDS
from runtime.choice_cache import ChoiceCache
from runtime.cpu import CpuInfo, cpu_info
from runtime.race import Clock
from runtime.session import Backend

logger = logging.getLogger(__name__)


def _default_cache() -> ChoiceCache:
    """In the user's cache folder; a user without a home folder has none, and nothing is kept."""
    from platformdirs import user_cache_path

    try:
        folder = user_cache_path("edgecls", appauthor=False)
    except RuntimeError as error:  # such as a container that was given a bare user number
        logger.debug("the choice of an engine will not be remembered: %s", error)
        folder = Path(os.devnull)
    return ChoiceCache(folder / "backend-choices.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """This machine, or one made up in tests.

    Attributes:
        backends: Engines in order of preference.
        cpu: The processor.
        clock: Monotonic seconds.
        cache: Remembers races.
    """

    backends: tuple[Backend, ...] = BACKENDS
    cpu: CpuInfo = field(default_factory=cpu_info)
    clock: Clock = time.perf_counter
    cache: ChoiceCache = field(default_factory=_default_cache)
