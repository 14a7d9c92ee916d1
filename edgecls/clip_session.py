"""An open model for whole clips: files, and tensors that somebody else prepared."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import get_args

from edgecls.checks import check_one_of
from edgecls.loading import load_bundle
from edgecls.opening import chosen
from models.bundle import Bundle
from models.card import Variant
from runtime.choose import Choice
from runtime.closing import ClosesOnExit
from runtime.engine_request import EngineRequest
from runtime.placement import Placement
from runtime.records import Prediction
from runtime.session import Session, Tensor, check_input
from runtime.views import Views
from runtime.whole_file import WholeSampling, classify_whole

VIEWS = (1, 10)
"""Crops per frame that may be asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipSession(ClosesOnExit):
    """A model, open and warmed up; use `open_session`. A context manager.

    One thread may use it at a time; as many as `EngineRequest.parallel` says where that is more.

    Attributes:
        bundle: The model.
        choice: Which engine and graph run, and why.
    """

    bundle: Bundle
    choice: Choice

    @property
    def session(self) -> Session:
        """The engine's own session."""
        return self.choice.session

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
        """The graph that runs."""
        return self.choice.variant

    def __repr__(self) -> str:
        return f"<ClipSession: {self.bundle.card.name}, {self.variant.precision}, {self.backend}>"

    def line(self) -> str:
        """What runs and why, e.g. `backend: openvino 2026.4.1 CPU, fp32 (…)`."""
        return self.choice.line()

    def classify_file(
        self,
        source: str | os.PathLike[str],
        *,
        top_k: int = 5,
        threshold: float = 0.0,
        views: Views | None = None,
        sampling: WholeSampling = "uniform",
    ) -> Prediction:
        """Classify a whole video, with the frames and crops that the model was tested with.

        Args:
            source: Path of a video, or "demo".
            top_k: Classes at most.
            threshold: Least probable class that is reported, 0 to 1.
            views: Crops per frame, 1 or 10; None for what the model was tested with. `dense` has
                its own.
            sampling: `uniform` is one clip spread over the file, `dense` ten clips of 64 frames
                in three crops each.

        Returns:
            One prediction; `top` has the best class first, `probabilities` all of them.

        Raises:
            UsageError: The source has no end, or an option is out of range.
            SourceNotFound: There is no such file.
            SourceError: It cannot be used.
            BackendError: The engine failed, or the session is closed.
        """
        if views is not None:
            check_one_of("views", views, VIEWS)
        check_one_of("sampling", sampling, get_args(WholeSampling))
        return classify_whole(
            os.fspath(source),
            self.session,
            self.bundle.card,
            top_k=top_k,
            threshold=threshold,
            views=self.bundle.card.clip.views if views is None else views,
            sampling=sampling,
        )

    def logits(self, clips: Tensor) -> Tensor:
        """What the network says of clips that are prepared already.

        Args:
            clips: float32 [N, T, 3, H, W] as the card says, normalised, C-contiguous; not kept.

        Returns:
            float32 [N, classes], owned by the caller.

        Raises:
            UsageError: Wrong shape or dtype.
            BackendError: The engine failed, or the session is closed.
        """
        check_input(clips, self.bundle.card)
        return self.session.run(clips)

    def close(self) -> None:
        """Free the engine; twice is fine."""
        self.session.close()


def open_session(
    bundle: Bundle | str | os.PathLike[str] | None = None, engine: EngineRequest | None = None
) -> ClipSession:
    """Open a model for whole clips, warmed up.

    Args:
        bundle: From `load_bundle`, or its path; None for the built-in model.
        engine: What is asked of the engine; None to choose.

    Raises:
        BundleError: The bundle is absent, altered or unreadable.
        UsageError: No backend has that name, or no graph that precision.
        BackendError: No engine runs the model as asked.
    """
    opened = bundle if isinstance(bundle, Bundle) else load_bundle(bundle)
    return ClipSession(bundle=opened, choice=chosen(opened, engine or EngineRequest()))
