"""A small JSON file that remembers races. Losing it costs one race, nothing else."""

from __future__ import annotations

import json
import logging
import math
import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from models.errors import OutputError

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a race ended.

    Attributes:
        backend: Name of the engine that won.
        file: The graph that it ran.
        speedup: Speed of INT8 over that of fp32 on that engine; None when they did not race.
        failed: Backend and file of graphs that failed, and may do better another time.
    """

    backend: str
    file: str
    speedup: float | None
    failed: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class ChoiceCache:
    """Outcomes by key.

    Attributes:
        path: The file; it and its folder are made when something is remembered.
    """

    path: Path

    def get(self, key: str) -> Outcome | None:
        """What was remembered under `key`, if anything."""
        return _outcome(self._read().get(key))

    def put(self, key: str, outcome: Outcome) -> None:
        """Remember; a file that cannot be written is logged and forgotten."""
        stored = self._read()
        kept = {name: value for name, value in stored.items() if _outcome(value) is not None}
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=self.path.parent, suffix=".tmp")
            try:
                with os.fdopen(handle, "w", encoding="utf-8") as file:
                    json.dump({**kept, key: asdict(outcome)}, file, indent=1, sort_keys=True)
                Path(temporary).replace(self.path)
            except OSError:
                Path(temporary).unlink(missing_ok=True)
                raise
        except OSError as error:
            logger.debug("the choice of %s is not remembered: %s", outcome.backend, error)

    @property
    def count(self) -> int:
        """Races that are remembered."""
        return sum(_outcome(value) is not None for value in self._read().values())

    def clear(self) -> int:
        """Forget all races, so that engines race again; returns how many were forgotten.

        Raises:
            OutputError: The file cannot be removed.
        """
        count = self.count
        try:
            self.path.unlink()
        except (FileNotFoundError, NotADirectoryError):
            return 0  # there is no such file, or no folder that could hold it
        except OSError as error:
            raise OutputError(f"{self.path} cannot be removed ({error.strerror}).") from error
        return count

    def _read(self) -> dict[str, Any]:
        try:
            stored: Any = json.loads(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, RecursionError) as error:
            logger.debug("%s is ignored: %s", self.path, error)
            return {}
        if not isinstance(stored, dict):
            logger.debug("%s is ignored: not an object", self.path)
            return {}
        return stored


def _outcome(value: Any) -> Outcome | None:
    """An entry of the file; None when it is not what is written there."""
    match value:
        case {
            "backend": str(backend),
            "file": str(file),
            "speedup": speedup,
            "failed": list(pairs),
        }:
            failed = [_pair(pair) for pair in pairs]
        case _:
            return None
    if None in failed or not _is_speedup(speedup):
        return None
    known = tuple(pair for pair in failed if pair is not None)
    return Outcome(backend=backend, file=file, speedup=speedup, failed=known)


def _pair(value: Any) -> tuple[str, str] | None:
    match value:
        case [str(backend), str(file)]:
            return backend, file
    return None


def _is_speedup(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isfinite(value) and value > 0)
