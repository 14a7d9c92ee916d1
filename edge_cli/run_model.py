"""The model of `edgecls run`, open: whole, or in stages that overlapping windows share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from models.errors import BackendError
from runtime.closing import ClosesOnExit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_cli.run_request import RunRequest
    from edge_cli.run_windows import Windows
    from models.bundle import Bundle
    from models.card import Variant
    from runtime.choose import Choice
    from runtime.incremental import IncrementalSession
    from runtime.preprocess import Preparation
    from runtime.reuse import Reusing
    from runtime.session import Session
    from runtime.stream_model import StreamModel


@dataclass(frozen=True, slots=True, kw_only=True)
class Running(ClosesOnExit):
    """What runs, and why.

    Attributes:
        choice: Engine and graph for whole clips; its session is closed where stages run.
        reusing: What overlapping windows share; None where the whole file is one result.
        staged: The stages; None where whole clips are computed.
    """

    choice: Choice
    reusing: Reusing | None = None
    staged: IncrementalSession | None = None

    @property
    def variant(self) -> Variant:
        """The graph that runs, whole or in stages."""
        staged = self.reusing and self.reusing.variant
        return staged or self.choice.variant

    @property
    def session(self) -> Session:
        """For whole clips."""
        return self.choice.session

    def line(self) -> str:
        """What is said of it at the start."""
        return self.choice.line(reuse=self.reusing.note(self.staged) if self.reusing else "")

    def stream_model(self, preparation: Preparation) -> StreamModel:
        """What the loop over the streams runs."""
        from runtime.stream_model import ReusedClips, WholeClips

        if self.staged is None:
            return WholeClips(session=self.choice.session, preparation=preparation)
        return ReusedClips(self.staged, frames=preparation.clip.frames)

    def close(self) -> None:
        """Close what is open."""
        if self.staged is not None:
            self.staged.close()
        self.choice.session.close()


def open_running(bundle: Bundle, request: RunRequest, windows: Sequence[Windows]) -> Running:
    """Open the model as asked for, warmed up.

    Args:
        bundle: The model.
        request: As asked for.
        windows: How each source is cut; none where the whole file is one result.

    Raises:
        UsageError: Something was asked for that this model cannot do.
        BackendError: No engine runs it.
    """
    from runtime.choose import choose_session
    from runtime.reuse import decide_reuse
    from runtime.session import SessionOptions

    options = SessionOptions(threads=request.threads)
    _warm_up_preparation(bundle)
    choice = choose_session(
        bundle,
        backend=request.backend,
        options=options,
        precision=request.precision.value,
    )
    try:
        if not windows:
            _warm_up(choice.session, bundle)
            return Running(choice=choice)
        reusing = decide_reuse(
            bundle,
            choice,
            asked=request.reuse.value,
            views=request.views_of(bundle.card.clip),
            grids=[one.grid for one in windows if one.grid is not None],
        )
        try:
            staged = reusing.open(
                bundle,
                choice,
                options,
                streams=len(windows),
                phases=max(one.grid.phases if one.grid else 1 for one in windows),
            )
        except BackendError as error:
            if reusing.asked != "auto":
                raise
            staged, reusing = None, reusing.given_up(error)
        if staged is None:
            _warm_up(choice.session, bundle)
        else:
            choice.session.close()  # its weights would take memory for nothing
        return Running(choice=choice, reusing=reusing, staged=staged)
    except BaseException:
        choice.session.close()
        raise


def _warm_up(session: Session, bundle: Bundle) -> None:
    """Run once on nothing: the first run of an engine is slow, and is no latency of a window."""
    import numpy as np

    session.run(np.zeros(bundle.card.clip.input_shape(), np.float32))


def _warm_up_preparation(bundle: Bundle) -> None:
    """Prepare nothing once: the first picture loads a library, and that is no latency either."""
    import numpy as np

    from runtime.preprocess import Preparation

    clip = bundle.card.clip
    side = 2 * clip.resize.short_side
    Preparation(clip=clip).kept(np.zeros((side, side, 3), np.uint8))
