"""Classify the clips of a list, one after the other, as the model was tested."""

from __future__ import annotations

import time
from collections.abc import Container, Iterator
from dataclasses import dataclass

from calibration.clip_list import ClipEntry, ClipList
from calibration.eval_results import TOP_K, Answer, ClipResult
from calibration.text_file import printable
from models.card import ModelCard
from models.errors import SourceError
from runtime.elapsed import since_ms
from runtime.heard import heard_warnings
from runtime.session import Session
from runtime.views import Views
from runtime.whole_file import WholeSampling, classify_whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A model that is evaluated, or the one it is compared with.

    Attributes:
        session: Open; not closed here.
        card: Its card.
        sampling: How frames are taken.
        views: Views of the one clip of `uniform`.
    """

    session: Session
    card: ModelCard
    sampling: WholeSampling
    views: Views


def evaluate(
    clips: ClipList,
    candidate: Candidate,
    *,
    reference: Candidate | None = None,
    done: Container[int] = (),
) -> Iterator[ClipResult]:
    """Classify the clips of a list.

    Args:
        clips: The list.
        candidate: The model.
        reference: A model to compare with, with the same number of classes.
        done: Places in the list that are left out.

    Yields:
        One result per clip, in the order of the list. A clip that cannot be read is a result too.

    Raises:
        UsageError: The model takes more frames than a clip of `dense` is long.
        BackendError: An engine failed, or its result does not fit the card.
    """
    for index, entry in enumerate(clips.clips):
        if index not in done:
            yield _result(index, entry, candidate, reference)


def _result(
    index: int, entry: ClipEntry, candidate: Candidate, reference: Candidate | None
) -> ClipResult:
    started_s = time.perf_counter()
    with heard_warnings() as heard:
        try:
            answer = _answer(entry, candidate)
            elapsed_ms = since_ms(started_s)
            other = None if reference is None else _answer(entry, reference)
        except SourceError as error:
            return ClipResult(
                index=index,
                name=entry.name,
                label=entry.label,
                answer=None,
                error=printable(error.message),
            )
    return ClipResult(
        index=index,
        name=entry.name,
        label=entry.label,
        answer=answer,
        reference=other,
        warnings=tuple(dict.fromkeys(map(printable, heard))),
        elapsed_ms=elapsed_ms,
    )


def _answer(entry: ClipEntry, candidate: Candidate) -> Answer:
    prediction = classify_whole(
        entry.source,
        candidate.session,
        _numbered(candidate.card),
        top_k=TOP_K,
        threshold=0.0,
        views=candidate.views,
        sampling=candidate.sampling,
    )
    latency = prediction.latency
    return Answer(
        top=tuple((int(scored.label), scored.probability) for scored in prediction.top),
        decode_ms=latency.decode_ms,
        preprocess_ms=latency.preprocess_ms,
        infer_ms=latency.infer_ms,
    )


def _numbered(card: ModelCard) -> ModelCard:
    """The same card with class numbers for names, which need not be distinct."""
    return card.model_copy(update={"labels": tuple(map(str, range(card.classes)))})
