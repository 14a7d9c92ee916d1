"""A folder of films that stays below a size: the oldest go."""

from __future__ import annotations

import logging
import os
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

logger = logging.getLogger(__name__)

_FILM = re.compile(
    r"(?P<at>[0-9]{8}T[0-9]{6}Z)-[a-z0-9-]+-[0-9]+-[0-9]+-[0-9a-f]{4}(?P<part>-[0-9]+)?"
    r"(?P<partial>\.part)?\.mp4",
    re.ASCII,
)
_LEFT_BEHIND_S = 60.0
"""A partial film that nobody wrote to for so long is what a crash left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Film:
    at: str
    part: int
    name: str
    size: int
    free: bool


class FilmFolder:
    """Removes films, and nothing else, from a folder; may be used from several threads.

    What is no film of `EventClips` by its name is neither counted nor touched, and films that are
    being recorded are counted only.

    Args:
        folder: Must be there.
        limit_bytes: None for no limit.
    """

    def __init__(self, folder: Path, limit_bytes: int | None) -> None:
        self._folder = folder
        self._limit_bytes = limit_bytes
        self._lock = threading.Lock()
        self._warned = False
        self._recording: set[str] = set()
        self.removed = 0

    def begin(self, name: str) -> None:
        """Make room for a film that is about to be recorded, and keep it until `end`."""
        self._recording.add(name)
        self.make_room()

    def end(self, name: str) -> None:
        """The film is complete."""
        self._recording.discard(name)
        self.make_room()

    def make_room(self) -> None:
        """Remove the oldest films until the others fit; the newest stays in any case."""
        if self._limit_bytes is None:
            return
        with self._lock, self._told_once():
            films = sorted(self._films(), key=lambda one: (one.at, one.part, one.name))
            total = sum(one.size for one in films)
            for film in films[:-1]:
                if total <= self._limit_bytes:
                    return
                if film.free:
                    (self._folder / film.name).unlink(missing_ok=True)
                    self.removed += 1
                    total -= film.size

    def _films(self) -> Iterator[_Film]:
        now_s = time.time()
        with os.scandir(self._folder) as entries:
            for entry in entries:
                match = _FILM.fullmatch(entry.name)
                if match is None or not entry.is_file(follow_symlinks=False):
                    continue
                try:
                    facts = entry.stat(follow_symlinks=False)
                except FileNotFoundError:  # it has just been given its name
                    continue
                yield _Film(
                    at=match["at"],
                    part=int((match["part"] or "-1")[1:]),
                    name=entry.name,
                    size=facts.st_size,
                    free=self._is_free(entry.name, still_s=now_s - facts.st_mtime),
                )

    def _is_free(self, name: str, *, still_s: float) -> bool:
        """Whether nobody records this film, here or in another process."""
        film = name.replace(".part.mp4", ".mp4")
        return film not in self._recording and (film == name or still_s > _LEFT_BEHIND_S)

    @contextmanager
    def _told_once(self) -> Iterator[None]:
        """A folder that does not let go of films is no reason to record none."""
        try:
            yield
        except OSError as error:
            if not self._warned:
                self._warned = True
                reason = error.strerror or error
                logger.warning("%s: old films cannot be removed: %s", self._folder, reason)
