"""The models of a ladder: one runs, the cheaper ones are opened beside it when they are needed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from models.errors import EdgeclsError
from runtime.closing import Closeable, ClosesOnExit
from runtime.degrade.ladder import OnShelf
from runtime.records import Clip
from runtime.stream_model import Scores, StreamModel

logger = logging.getLogger(__name__)

_JOIN_S = 0.5
"""A run that is stopped does not wait longer for a model that is being opened."""


class OpenModel(StreamModel, Closeable, Protocol):
    """A model that is closed by whoever opened it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spare:
    """A cheaper model.

    Attributes:
        title: E.g. "int8".
        open: Opens it, warmed up; called at most once, in a thread of its own.
    """

    title: str
    open: Callable[[], OpenModel]


class ModelShelf(ClosesOnExit):
    """A stream model that can become another one.

    What was opened stays open, so that a step back is taken at once. `ask`, `use`, `scores` and
    `close` belong to one thread.

    Args:
        first: Number 0; not closed here.
        spares: Numbers 1 and up, cheaper and cheaper.
        on_failure: Told the title of a spare that cannot be opened and why, once, by `ask`.

    Attributes:
        level: Put into all results from now on.
    """

    def __init__(
        self,
        first: StreamModel,
        spares: Sequence[Spare],
        *,
        on_failure: Callable[[str, str], None],
    ) -> None:
        self.level = 0
        self._used = first
        self._first = first
        self._spares = [_OnShelf(spare) for spare in spares]
        self._on_failure = on_failure

    def ask(self, model: int) -> OnShelf:
        """Whether a model can be used now; one that is not open begins to open."""
        if model == 0:
            return "open"
        spare = self._spares[model - 1]
        state = spare.ask()
        if state == "failed" and not spare.told:
            spare.told = True
            self._on_failure(spare.spare.title, spare.failure)
        return state

    def use(self, model: int) -> None:
        """Run that model from now on; `ask` said that it is open."""
        self._used = self._first if model == 0 else self._spares[model - 1].opened()

    def scores(self, clips: Sequence[tuple[int, Clip]]) -> Scores:
        """Scores by the model in use.

        Raises:
            BackendError: The engine failed.
        """
        return replace(self._used.scores(clips), level=self.level)

    def close(self) -> None:
        """Close the spares; twice is fine."""
        for spare in self._spares:
            spare.close()


class _OnShelf:
    """A spare, and what became of it."""

    def __init__(self, spare: Spare) -> None:
        self.spare = spare
        self.failure = ""
        self.told = False
        self._model: OpenModel | None = None
        self._closed = False
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def ask(self) -> OnShelf:
        with self._lock:
            if self._model is not None:
                return "open"
            if self.failure:
                return "failed"
            if self._thread is None:
                name = f"opening {self.spare.title}"
                self._thread = threading.Thread(target=self._open, name=name, daemon=True)
                self._thread.start()
            return "opening"

    def opened(self) -> OpenModel:
        if self._model is None:
            raise RuntimeError(f"{self.spare.title} is not open.")
        return self._model

    def close(self) -> None:
        with self._lock:
            self._closed = True
            model = self._model
        if model is not None:
            model.close()
        if self._thread is not None:
            self._thread.join(_JOIN_S)

    def _open(self) -> None:
        try:
            model = self.spare.open()
        except EdgeclsError as error:
            self._failed(error.message)
        except Exception as error:
            # An engine may raise anything; the run goes on without this model.
            logger.info("%s could not be opened", self.spare.title, exc_info=True)
            self._failed(f"{type(error).__name__}: {error}")
        else:
            with self._lock:
                self._model = model
                closed = self._closed
            if closed:
                model.close()

    def _failed(self, reason: str) -> None:
        with self._lock:
            self.failure = reason or "it could not be opened"
