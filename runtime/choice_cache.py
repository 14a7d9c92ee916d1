"""A small JSON file that remembers which backend won. Losing it costs one race, nothing else."""

from __future__ import annotations

import json
import logging
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ChoiceCache:
    """Names of backends by key.

    Attributes:
        path: The file; it and its folder are made when something is remembered.
    """

    path: Path

    def get(self, key: str) -> str | None:
        """What was remembered under `key`, if anything."""
        return self._read().get(key)

    def put(self, key: str, backend: str) -> None:
        """Remember; a file that cannot be written is logged and forgotten."""
        choices = {**self._read(), key: backend}
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=self.path.parent, suffix=".tmp")
            try:
                with os.fdopen(handle, "w", encoding="utf-8") as file:
                    json.dump(choices, file, indent=1, sort_keys=True)
                Path(temporary).replace(self.path)
            except OSError:
                Path(temporary).unlink(missing_ok=True)
                raise
        except OSError as error:
            logger.debug("the choice of %s is not remembered: %s", backend, error)

    def _read(self) -> dict[str, str]:
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
        return {name: value for name, value in stored.items() if isinstance(value, str)}
