"""From frames to predictions: the one loop behind every command that classifies windows."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from models.card import ModelCard
from runtime.clip_classifier import ClipClassifier, TimeSpent
from runtime.decode import check_decoding
from runtime.preprocess import Preparation
from runtime.records import Frame, Prediction
from runtime.sampling import ClipSampler, WindowSpec
from runtime.session import Session
from runtime.sources import FrameSource
from runtime.views import Views


def classify_windows(
    source: FrameSource,
    session: Session,
    card: ModelCard,
    *,
    window: WindowSpec,
    top_k: int,
    threshold: float,
    views: Views = 1,
    on_frame: Callable[[Frame], None] | None = None,
) -> Iterator[Prediction]:
    """Classify every window of a source, each as soon as it is over.

    Every frame is resized and cropped once, when it arrives; what waits for its window is only
    the small crop (with several views, the resized picture). Overlapping windows share those.

    Args:
        source: Read to its end (a live one until it is closed or fails); not closed.
        session: The model; not closed.
        card: Its card.
        window: Length and stride of the windows.
        top_k: Classes per prediction at most.
        threshold: Least probable class that is reported.
        views: Views per window; the engine runs once for each, and the logits are averaged.
        on_frame: Called with every original frame, after the predictions that the frame
            completed were handed out; the time it takes is in no latency.

    Yields:
        Predictions in the order of the windows.

    Raises:
        UsageError: `top_k` or `threshold` is out of range.
        SourceError: The source failed.
        BackendError: The engine failed, or its result does not fit the card.
    """
    check_decoding(top_k=top_k, threshold=threshold)
    sampler = ClipSampler(window, card.clip.frames, rule=card.clip.segment_frame)
    preparation = Preparation(clip=card.clip, views=views)
    classifier = ClipClassifier(
        session=session, card=card, preparation=preparation, top_k=top_k, threshold=threshold
    )
    spent = TimeSpent()
    for frame in source:
        clips = sampler.push(spent.prepared(frame, preparation))
        for clip in clips:
            yield classifier.predict((clip,), spent, source)
        spent.newest_arrived_s = frame.arrived_s
        if on_frame is not None:
            on_frame(frame)
    for clip in sampler.finish():
        yield classifier.predict((clip,), spent, source)
