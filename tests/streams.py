"""The loop over streams, set up as `edgecls run` does it, for a session or a model of the test."""

from __future__ import annotations

from collections.abc import Generator

from models.card import ModelCard
from runtime.clip_classifier import Decoding
from runtime.grid import GridSampler, GridSpec
from runtime.pipeline import FrameWatch, Stream, classify_streams
from runtime.preprocess import Preparation
from runtime.records import Prediction
from runtime.sampling import ClipSampler, WindowSpec
from runtime.session import Session
from runtime.sources import FrameSource
from runtime.stream_model import WholeClips
from runtime.views import Views


def windowed(source: FrameSource, card: ModelCard, window: WindowSpec) -> Stream:
    """A source whose windows are sampled each on its own."""
    sampler = ClipSampler(window, card.clip.frames, rule=card.clip.segment_frame)
    return Stream(source=source, sampler=sampler)


def sliding(source: FrameSource, card: ModelCard, spec: GridSpec, *, short: bool = False) -> Stream:
    """A source whose windows share a grid."""
    sampler = GridSampler(spec, rule=card.clip.segment_frame, short=short)
    return Stream(source=source, sampler=sampler)


def classified(
    streams: Stream | list[Stream],
    session: Session,
    card: ModelCard,
    *,
    views: Views = 1,
    top_k: int = 2,
    watch: FrameWatch | None = None,
) -> Generator[Prediction, None, None]:
    """Predictions of a session that computes every clip from its beginning."""
    preparation = Preparation(clip=card.clip, views=views)
    return classify_streams(
        streams if isinstance(streams, list) else [streams],
        WholeClips(session=session, preparation=preparation),
        Decoding(card=card, top_k=top_k, threshold=0.0),
        preparation=preparation,
        watch=watch,
    )
