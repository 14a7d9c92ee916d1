"""The model as the loop over the streams sees it: clips of any streams in, scores out."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from runtime.elapsed import since_ms
from runtime.incremental import IncrementalSession, StreamClip
from runtime.preprocess import Preparation
from runtime.records import Clip
from runtime.reuse import whole_macs
from runtime.session import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """What a model says of a batch of clips.

    Attributes:
        values: float64 [N, classes].
        normalise_ms: Time spent on the input tensors, where they are a step of their own.
        infer_ms: Time spent in the engine.
        reused: Share of the multiply-accumulates that were known before; None where nothing is
            ever reused.
        level: Steps below what was asked for, see `runtime.degrade`; None where nothing steps.
    """

    values: NDArray[np.float64]
    normalise_ms: float
    infer_ms: float
    reused: float | None = None
    level: int | None = None


class StreamModel(Protocol):
    """What turns clips of any streams into scores."""

    def scores(self, clips: Sequence[tuple[int, Clip]]) -> Scores:
        """Scores of a batch.

        Args:
            clips: Number of the stream and clip, at least one; their frames hold what
                `Preparation.kept` gives.

        Raises:
            BackendError: The engine failed.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeClips:
    """Every clip is computed from its beginning, in as many views as are wanted.

    Attributes:
        session: Not closed here.
        preparation: Of the frames.
    """

    session: Session
    preparation: Preparation

    def scores(self, clips: Sequence[tuple[int, Clip]]) -> Scores:
        """Scores of a batch: one run of the engine for each view."""
        outputs: list[NDArray[np.float32]] = []
        normalise_ms = infer_ms = 0.0
        started_s = time.perf_counter()
        by_clip = [
            self.preparation.tensors([frame.picture for frame in clip.frames]) for _, clip in clips
        ]
        for tensors in zip(*by_clip, strict=True):
            batch = tensors[0] if len(tensors) == 1 else np.concatenate(tensors)
            normalise_ms += since_ms(started_s)
            started_s = time.perf_counter()
            outputs.append(self.session.run(batch))
            infer_ms += since_ms(started_s)
            started_s = time.perf_counter()
        return Scores(
            values=np.asarray(np.mean(outputs, axis=0, dtype=np.float64)),
            normalise_ms=normalise_ms,
            infer_ms=infer_ms,
        )


class ReusedClips:
    """Only what a clip does not share with those before it is computed.

    Args:
        session: Not closed here.
        frames: Of a clip, T.
    """

    def __init__(self, session: IncrementalSession, *, frames: int) -> None:
        self._session = session
        self._whole_macs = whole_macs(session.stages, frames)
        self._macs = tuple(stage.macs for stage in session.stages)

    def scores(self, clips: Sequence[tuple[int, Clip]]) -> Scores:
        """Scores of a batch: one run of every stage that has something to do."""
        started_s = time.perf_counter()
        logits = self._session.run(
            [
                StreamClip(frames=clip.frames, stream=stream, before=clip.before, after=clip.after)
                for stream, clip in clips
            ]
        )
        infer_ms = since_ms(started_s)
        rows = self._session.rows_computed
        computed = sum(count * macs for count, macs in zip(rows, self._macs, strict=True))
        whole = self._whole_macs * len(clips)
        return Scores(
            values=logits.astype(np.float64),
            normalise_ms=0.0,
            infer_ms=infer_ms,
            reused=max(0.0, 1.0 - computed / whole) if whole else None,
        )
