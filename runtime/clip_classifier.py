"""From the chosen frames of a clip to a prediction, with account of the time it took."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from models.card import ModelCard
from runtime.decode import check_decoding, probabilities, top_labels
from runtime.elapsed import since_ms
from runtime.preprocess import Preparation
from runtime.records import Clip, Frame, Latency, Prediction
from runtime.session import Session
from runtime.sources import FrameSource


@dataclass(slots=True, kw_only=True)
class TimeSpent:
    """Time spent on the frames of a source since its last prediction, in milliseconds."""

    decode_ms: float = 0.0
    preprocess_ms: float = 0.0

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
class Decoding:
    """How scores become a prediction.

    Attributes:
        card: Of the model.
        top_k: Classes per prediction at most.
        threshold: Least probable class that is reported.

    Raises:
        UsageError: `top_k` or `threshold` is out of range.
    """

    card: ModelCard
    top_k: int
    threshold: float

    def __post_init__(self) -> None:
        check_decoding(top_k=self.top_k, threshold=self.threshold)

    def prediction(
        self,
        clip: Clip,
        scores: NDArray[np.floating],
        latency: Latency,
        source: FrameSource | None = None,
    ) -> Prediction:
        """The prediction of a clip of a source.

        Args:
            clip: What it is about.
            scores: Of the network, [classes].
            latency: Where the time went.
            source: Where its frames come from; None when that is not live.

        Raises:
            BackendError: The scores do not fit the card, or are not finite.
        """
        top = top_labels(
            scores,
            self.card.labels,
            top_k=self.top_k,
            threshold=self.threshold,
            output=self.card.output,
        )
        live = source if source is not None and source.live else None
        age_ms = (time.monotonic() - clip.arrived_s) * 1000.0
        return Prediction(
            index=clip.index,
            start_s=clip.start_s,
            end_s=clip.end_s,
            top=top,
            latency=latency,
            frame_age_ms=None if live is None else age_ms,
            dropped=None,
            held=clip.held,
            resets=clip.resets,
            probabilities=np.array(probabilities(scores, self.card.output)),
            file=clip.frames[-1].file,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipClassifier:
    """The model with all that is needed to turn prepared frames into a prediction."""

    session: Session
    card: ModelCard
    preparation: Preparation
    top_k: int
    threshold: float

    def predict(self, clips: Sequence[Clip], spent: TimeSpent) -> Prediction:
        """Normalise, infer, average, decode.

        Args:
            clips: Clips of one window, which they all name; their frames hold what is kept.
            spent: Time spent so far on the frames.
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
        decode_ms, preprocess_ms = spent.taken()
        latency = Latency(
            decode_ms=decode_ms, preprocess_ms=preprocess_ms + normalise_ms, infer_ms=infer_ms
        )
        decoding = Decoding(card=self.card, top_k=self.top_k, threshold=self.threshold)
        scores = np.asarray(np.mean(outputs, axis=0, dtype=np.float64))
        return decoding.prediction(clips[0], scores, latency)
