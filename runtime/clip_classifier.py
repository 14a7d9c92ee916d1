"""From the chosen frames of a clip to a prediction, with account of the time it took."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from models.card import ModelCard
from runtime.decode import top_labels
from runtime.preprocess import Preparation
from runtime.records import Clip, Frame, Latency, Prediction
from runtime.session import Session
from runtime.sources import FrameSource


@dataclass(slots=True, kw_only=True)
class TimeSpent:
    """Time spent on the frames since the last prediction, in milliseconds."""

    decode_ms: float = 0.0
    preprocess_ms: float = 0.0
    newest_arrived_s: float = 0.0

    def prepared(self, frame: Frame, preparation: Preparation) -> Frame:
        """The same frame with what is kept of it instead of the full picture."""
        started_s = time.perf_counter()
        small = replace(frame, picture=preparation.kept(frame.picture))
        self.preprocess_ms += since_ms(started_s)
        self.decode_ms += frame.decode_ms
        return small

    def taken(self) -> tuple[float, float]:
        """Decode and preprocess time, which then start from 0 again."""
        result = self.decode_ms, self.preprocess_ms
        self.decode_ms = self.preprocess_ms = 0.0
        return result


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipClassifier:
    """The model with all that is needed to turn prepared frames into a prediction."""

    session: Session
    card: ModelCard
    preparation: Preparation
    top_k: int
    threshold: float

    def predict(self, clips: Sequence[Clip], spent: TimeSpent, source: FrameSource) -> Prediction:
        """Normalise, infer, average, decode.

        Args:
            clips: Clips of one window, which they all name; their frames hold what is kept.
            spent: Time spent so far on the frames.
            source: Where they come from.
        """
        outputs: list[NDArray[np.float32]] = []
        normalise_ms = infer_ms = 0.0
        for clip in clips:
            started_s = time.perf_counter()
            for tensor in self.preparation.tensors([frame.picture for frame in clip.frames]):
                normalise_ms += since_ms(started_s)
                started_s = time.perf_counter()
                outputs.append(self.session.run(tensor)[0])
                infer_ms += since_ms(started_s)
                started_s = time.perf_counter()
        logits = np.asarray(np.mean(outputs, axis=0, dtype=np.float64))
        top = top_labels(
            logits,
            self.card.labels,
            top_k=self.top_k,
            threshold=self.threshold,
            output=self.card.output,
        )
        decode_ms, preprocess_ms = spent.taken()
        age_ms = (time.monotonic() - spent.newest_arrived_s) * 1000.0
        return Prediction(
            index=clips[0].index,
            start_s=clips[0].start_s,
            end_s=clips[0].end_s,
            top=top,
            latency=Latency(
                decode_ms=decode_ms,
                preprocess_ms=preprocess_ms + normalise_ms,
                infer_ms=infer_ms,
            ),
            frame_age_ms=age_ms if source.live else None,
            dropped=source.dropped if source.live else None,
        )


def since_ms(started_s: float) -> float:
    """Milliseconds since a value of `time.perf_counter`."""
    return (time.perf_counter() - started_s) * 1000.0
