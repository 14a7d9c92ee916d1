"""How sources are to be opened and read, whatever their kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Drop = Literal["oldest", "newest", "none"]
"""Which picture of a live source goes when nobody fetches them in time; `none`: they wait."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceOptions:
    """How a source is opened and read; a kind looks at what concerns it.

    Attributes:
        drop: What a live source does with a slow reader. `oldest` lets go of the oldest waiting
            picture, so that the newest wins.
        stopping: Whether to give up opening; looked at while waiting.
    """

    drop: Drop = "oldest"
    stopping: Callable[[], bool] = lambda: False
