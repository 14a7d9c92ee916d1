"""One file after the other: the next is decoded while the model looks at the one before."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from models.bundle import Bundle
from models.errors import BackendError, SourceError
from runtime.archive.decoding import DecodedFile, DecodeProcess, DecoderDied
from runtime.archive.files import Stamp, stamp_of
from runtime.archive.result import FileResult, classified
from runtime.clip_classifier import ClipClassifier, TimeSpent
from runtime.closing import ClosesOnExit
from runtime.engine_request import EngineRequest
from runtime.preprocess import Preparation
from runtime.session import Session
from runtime.views import Views


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchivePlan:
    """What is done to every file, wherever that happens.

    Attributes:
        bundle: Folder of the model.
        asked: Of the engine; names a backend and a precision.
        views: Crops per frame.
        top_k: Classes per file at most.
        threshold: Least probable class that is told.
    """

    bundle: Path
    asked: EngineRequest
    views: Views
    top_k: int
    threshold: float


@dataclass(frozen=True, slots=True)
class Crashed:
    """A file over which the decoder died.

    Attributes:
        file: Its path.
        how: E.g. "with SIGSEGV".
    """

    file: str
    how: str


class Lane(ClosesOnExit):
    """Classifies files one after the other, as `runtime.whole_file` does.

    Args:
        bundle: The model.
        session: Of it, open; not closed.
        plan: What is done.
        turn: Held while the session runs, where not all lanes may run it at a time.
        decoder: None for a process of its own.
    """

    def __init__(
        self,
        bundle: Bundle,
        session: Session,
        plan: ArchivePlan,
        *,
        turn: AbstractContextManager[Any] | None = None,
        decoder: DecodeProcess | None = None,
    ) -> None:
        self._turn = turn or nullcontext()
        preparation = Preparation(clip=bundle.card.clip, views=plan.views)
        self._decoder = decoder or DecodeProcess(preparation)
        self._classifier = ClipClassifier(
            session=session,
            card=bundle.card,
            preparation=preparation,
            top_k=plan.top_k,
            threshold=plan.threshold,
        )

    def results(self, files: Iterable[str]) -> Iterator[FileResult | Crashed]:
        """Classify files.

        Yields:
            One for each, in their order. A file that cannot be used is a result, too.

        Raises:
            BackendError: The engine failed, and not because of the file.
        """
        before: _Read | None = None
        for file in files:
            stamp = stamp_of(file)
            path = Path(file).absolute()
            self._decoder.send(path, 0 if stamp is None else stamp.size_bytes)
            if before is not None:
                yield self._result(before)
            before = self._read(file, stamp)
        if before is not None:
            yield self._result(before)

    def again(self, crashed: Iterable[Crashed]) -> Iterator[FileResult]:
        """Try files once more that crashed a decoder; if they do it again, that is their result.

        Another process may have taken the memory, the first time.
        """
        for result in self.results(one.file for one in crashed):
            if isinstance(result, Crashed):
                error = f"{result.file} crashed its decoder, which died {result.how}, twice."
                yield FileResult(file=result.file, stamp=stamp_of(result.file), error=error)
            else:
                yield result

    def abort(self) -> None:
        """Let `results` in another thread end soon."""
        self._decoder.abort()

    def close(self) -> None:
        """End the decoder."""
        self._decoder.close()

    def _read(self, file: str, stamp: Stamp | None) -> _Read:
        try:
            return _Read(file, stamp, self._decoder.receive())
        except SourceError as error:
            return _Read(file, stamp, error)
        except DecoderDied as error:
            return _Read(file, stamp, error)

    def _result(self, read: _Read) -> FileResult | Crashed:
        what = read.what
        if isinstance(what, DecoderDied):
            return Crashed(read.file, str(what))
        if isinstance(what, SourceError):
            return FileResult(file=read.file, stamp=read.stamp, error=what.message)
        try:
            with self._turn:
                prediction = self._classifier.predict([what.clip], TimeSpent())
        except BackendError as error:
            self._check_engine(error)
            return FileResult(file=read.file, stamp=read.stamp, error=error.message)
        return classified(read.file, read.stamp, prediction, what.warnings)

    def _check_engine(self, error: BackendError) -> None:
        """Raise the error again unless the engine works on a black clip: then it is the file's."""
        classifier = self._classifier
        clip = np.zeros(classifier.card.clip.input_shape(), np.float32)
        try:
            with self._turn:
                sound = bool(np.isfinite(classifier.session.run(clip)).all())
        except BackendError:
            sound = False
        if not sound:
            raise error


@dataclass(frozen=True, slots=True)
class _Read:
    file: str
    stamp: Stamp | None
    what: DecodedFile | SourceError | DecoderDied
