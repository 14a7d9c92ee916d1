"""Whether a run is alive: frames or results come through it, or it is known why none can."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

_MOST_LOST = 3
"""Sources that the status line tells of one by one."""


class Vitality:
    """Signs of life of a run. For several threads.

    A sign is a frame, an event or a result that came *through* the loop which runs the model:
    frames that only arrive at a source prove nothing of an engine that hangs.

    Args:
        names: Of the sources, without secrets.
        clock: Seconds that only grow.
    """

    def __init__(
        self, names: Sequence[str], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._names = tuple(names)
        self._clock = clock
        self._lock = threading.Lock()
        self._began_s = clock()
        self._sign_s: dict[int, float] = {}
        self._lost: dict[int, str] = {}
        self._ended: set[int] = set()
        self._signs = self._results = 0
        self._newest = ""

    def frame(self, stream: int) -> None:
        """A frame of a stream came through."""
        with self._lock:
            self._sign(stream)

    def result(self, stream: int, text: str) -> None:
        """A result of a stream came, which says `text`."""
        with self._lock:
            self._sign(stream)
            self._results += 1
            self._newest = text

    def source_state(self, stream: int, *, delivers: bool, text: str) -> None:
        """Something befell a source: no frames come until it is told that they do again."""
        with self._lock:
            self._sign(stream)
            if delivers:
                self._lost.pop(stream, None)
            else:
                self._lost[stream] = text

    def ended(self, stream: int) -> None:
        """A source has come to its end; nothing is expected of it any more."""
        with self._lock:
            self._sign(stream)
            self._ended.add(stream)

    @property
    def signs(self) -> int:
        """How many there were."""
        with self._lock:
            return self._signs

    def excused(self) -> bool:
        """Whether no sign can come: all sources that have not ended are known to be lost."""
        with self._lock:
            going = set(range(len(self._names))) - self._ended
            return bool(going) and going <= self._lost.keys()

    @property
    def silent_s(self) -> float:
        """Seconds since the newest sign, or since the beginning."""
        with self._lock:
            return self._clock() - max(self._sign_s.values(), default=self._began_s)

    def due(self, stream: int, after_s: float | None) -> bool:
        """Whether a frame of a stream is to be asked for: none came yet, or for a while.

        Args:
            stream: Its number.
            after_s: What counts as a while; None for no time.
        """
        with self._lock:
            sign_s = self._sign_s.get(stream)
            if sign_s is None:
                return True
            return after_s is not None and self._clock() - sign_s > after_s

    def status(self) -> str:
        """One line for people: results so far, the newest, and which sources are lost."""
        with self._lock:
            words = [f"{self._results} result{'s' * (self._results != 1)}"]
            if self._newest:
                words[0] += f", the newest {self._newest}"
            lost = [
                f"{self._names[number]}: {text.removeprefix(f'{self._names[number]}: ')}"
                for number, text in self._lost.items()
            ]
            words += lost[:_MOST_LOST]
            if len(lost) > _MOST_LOST:
                words.append(f"{len(lost) - _MOST_LOST} more sources lost")
            return "; ".join(words)

    def _sign(self, stream: int) -> None:
        self._sign_s[stream] = self._clock()
        self._signs += 1
