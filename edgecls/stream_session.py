"""An open model for streams: windows of cameras and videos, one after the other."""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import get_args

import numpy as np

from edgecls.checks import check_one_of
from edgecls.clip_session import VIEWS
from edgecls.loading import load_bundle
from edgecls.opening import chosen
from edgecls.windows import WindowCut, Windows
from models.bundle import Bundle
from models.card import Variant
from models.errors import BackendError, UsageError
from runtime.choose import Choice
from runtime.clip_classifier import Decoding
from runtime.closing import ClosesOnExit
from runtime.engine_request import EngineRequest
from runtime.feed import Stream
from runtime.incremental import IncrementalSession
from runtime.opened_sources import open_sources
from runtime.pipeline import FrameWatch, classify_streams
from runtime.placement import Placement
from runtime.preprocess import Preparation
from runtime.records import Prediction
from runtime.reuse import ReuseAsked, Reusing, decide_reuse
from runtime.sampling_in_turn import SamplersInTurn
from runtime.sources import FrameSource, SourceOptions
from runtime.stream_model import ReusedClips, StreamModel, WholeClips
from runtime.views import Views


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamSession(ClosesOnExit):
    """A model, open and warmed up for windows; use `open_stream`. A context manager.

    Attributes:
        bundle: The model.
        choice: Which engine and graph run, and why; its session is closed where stages run.
        cuts: How each of the sources that are read at a time is cut.
        preparation: What is kept of the frames.
        reusing: What overlapping windows share, and why.
        staged: The stages that share it; None where whole clips are computed.
    """

    bundle: Bundle
    choice: Choice
    cuts: tuple[WindowCut, ...]
    preparation: Preparation
    reusing: Reusing
    staged: IncrementalSession | None

    @property
    def backend(self) -> str:
        """Name of the backend that runs it, e.g. "openvino"."""
        return self.choice.session.backend

    @property
    def placement(self) -> Placement:
        """Where the nodes of the graph ran when it was opened."""
        return self.choice.placement

    @property
    def variant(self) -> Variant:
        """The graph that runs, whole or in stages."""
        return self.reusing.variant or self.choice.variant

    def __repr__(self) -> str:
        return f"<StreamSession: {self.bundle.card.name}, {self.variant.precision}, {self.backend}>"

    def line(self) -> str:
        """What runs and why, e.g. `backend: openvino 2026.4.1 CPU, fp32 (…; reuse exact, …)`."""
        return self.choice.line(reuse=self.reusing.note(self.staged))

    def results(
        self,
        *sources: str | os.PathLike[str],
        top_k: int = 5,
        threshold: float = 0.0,
        options: SourceOptions | None = None,
    ) -> Generator[Prediction, None, None]:
        """Open sources and classify their windows, each as soon as it is over.

        Files are read to their ends, live sources until the iterator is closed; close it (or
        leave the loop and the function that holds it) and the sources are closed too. May be
        called again when that is done.

        Args:
            sources: As many as windows were given to `open_stream`: "camera0", an RTSP or HTTP
                address, the path of a video or folder, "demo"; see `edgecls sources`.
            top_k: Classes per result at most.
            threshold: Least probable class that is reported, 0 to 1.
            options: How the sources are opened and read; None for the usual.

        Yields:
            Of each source its windows in order; `stream` is the number of the source.

        Raises:
            UsageError: Another number of sources than of windows, or an option is out of range.
            SourceError: A source cannot be opened, or failed.
            BackendError: The engine failed.
        """
        if len(sources) != len(self.cuts):
            raise UsageError(
                f"The session is open for {len(self.cuts)} sources at a time, got {len(sources)}."
            )
        decoding = Decoding(card=self.bundle.card, top_k=top_k, threshold=threshold)
        usual = options or SourceOptions()
        with ExitStack() as stack:
            opened = open_sources([(os.fspath(source), usual) for source in sources])
            for source in opened:
                stack.enter_context(source)
            predictions = self.predictions(self.streams(opened), decoding)
            try:
                yield from predictions
            finally:
                for source in opened:
                    source.interrupt()
                predictions.close()

    def streams(self, sources: Sequence[FrameSource]) -> list[Stream]:
        """Open sources, and what cuts each: every video from the beginning of that.

        Args:
            sources: Open, as many as there are cuts.
        """
        if self.staged is not None:
            for number in range(len(self.cuts)):
                self.staged.forget(number)
        clip, neighbours = self.bundle.card.clip, self.reusing.neighbours()
        streams = []
        for cut, source in zip(self.cuts, sources, strict=True):
            turns = SamplersInTurn(partial(cut.sampler, clip, source, neighbours))
            streams.append(Stream(source=source, sampler=turns, turns=turns))
        return streams

    def predictions(
        self,
        streams: Sequence[Stream],
        decoding: Decoding,
        *,
        model: StreamModel | None = None,
        watch: FrameWatch | None = None,
    ) -> Generator[Prediction, None, None]:
        """Classify the windows of streams; what `results` does once they are open.

        Args:
            streams: Of `streams`; not closed. Close the iterator before them.
            decoding: How scores become predictions.
            model: What computes the scores; None for that of the session.
            watch: Somebody else who looks at the frames and hears of what befalls the sources.

        Yields:
            Of each source its windows in order.

        Raises:
            SourceError: A source failed.
            BackendError: The engine failed.
        """
        return classify_streams(
            streams,
            model or self.stream_model(),
            decoding,
            preparation=self.preparation,
            watch=watch,
        )

    def stream_model(self) -> StreamModel:
        """What turns clips of the streams into scores; it is closed with this session."""
        if self.staged is None:
            return WholeClips(session=self.choice.session, preparation=self.preparation)
        return ReusedClips(self.staged, frames=self.preparation.clip.frames)

    def close(self) -> None:
        """Free the engine; twice is fine."""
        if self.staged is not None:
            self.staged.close()
        self.choice.session.close()


def open_stream(
    bundle: Bundle | str | os.PathLike[str] | None = None,
    engine: EngineRequest | None = None,
    *,
    windows: Windows | Sequence[Windows] | None = None,
    reuse: ReuseAsked = "auto",
    views: Views = 1,
) -> StreamSession:
    """Open a model for windows of cameras and videos, warmed up.

    Args:
        bundle: From `load_bundle`, or its path; None for the built-in model.
        engine: What is asked of the engine; None to choose.
        windows: How a source is cut; one for each where several are to be read at a time, whose
            windows are then computed together. None for one source and the usual windows.
        reuse: `exact` keeps what overlapping windows share, with the same results; `approx` does
            with slightly other results; `off` computes each from its beginning; `auto` is
            `exact` where it pays.
        views: Crops per frame, 1 or 10, each an inference of its own.

    Raises:
        BundleError: The bundle is absent, altered or unreadable.
        UsageError: Something was asked for that this model cannot do.
        BackendError: No engine runs the model as asked.
    """
    check_one_of("reuse", reuse, get_args(ReuseAsked))
    check_one_of("views", views, VIEWS)
    opened = bundle if isinstance(bundle, Bundle) else load_bundle(bundle)
    several = (windows or Windows(),) if not isinstance(windows, Sequence) else windows
    if not several:
        raise UsageError("windows is empty: a stream needs one for each of its sources.")
    cuts = [one.cut_for(opened.card.clip) for one in several]
    return open_cut(opened, engine or EngineRequest(), cuts, reuse=reuse, views=views)


def open_cut(
    bundle: Bundle,
    engine: EngineRequest,
    cuts: Sequence[WindowCut],
    *,
    reuse: ReuseAsked,
    views: Views,
) -> StreamSession:
    """As `open_stream`, for windows that are cut already.

    Args:
        bundle: The model.
        engine: What is asked of the engine.
        cuts: How each source is cut, at least one.
        reuse: Whether overlapping windows share work.
        views: Crops per frame.

    Raises:
        BundleError: A file does not match the card.
        UsageError: Something was asked for that this model cannot do.
        BackendError: No engine runs the model as asked.
    """
    choice = chosen(bundle, engine)
    try:
        grids = [one.grid for one in cuts if one.grid is not None]
        reusing = decide_reuse(bundle, choice, asked=reuse, views=views, grids=grids)
        phases = max((grid.phases for grid in grids), default=1)
        try:
            staged = reusing.open(bundle, choice, engine.options, streams=len(cuts), phases=phases)
        except BackendError as error:
            if reusing.asked != "auto":
                raise
            staged, reusing = None, reusing.given_up(error)
        if staged is not None:
            choice.session.close()  # its weights would take memory for nothing
        elif len(cuts) > 1:
            # One window of each is one batch, and an engine may compile the size when it meets it.
            choice.session.run(np.zeros(bundle.card.clip.input_shape(len(cuts)), np.float32))
    except BaseException:
        choice.session.close()
        raise
    return StreamSession(
        bundle=bundle,
        choice=choice,
        cuts=tuple(cuts),
        preparation=Preparation(clip=bundle.card.clip, views=views),
        reusing=reusing,
        staged=staged,
    )
