"""A model that stands in for another one on the same windows: fewer frames, the same labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import gcd

from models.card import ModelCard
from models.errors import UsageError
from models.spec import ClipSpec
from runtime.closing import ClosesOnExit
from runtime.degrade.shelf import OpenModel
from runtime.grid_spec import GridSpec
from runtime.records import Clip
from runtime.sampling import segment_frames
from runtime.stream_model import Scores


class FewerFrames(ClosesOnExit):
    """Gives a model only some of the frames of each clip.

    They are those which it would take of a video that has no others: of 16 frames, one of 8 takes
    number 0, 2, …, 14.

    Args:
        model: Takes `clip.frames` frames; closed with this.
        clip: What it wants.
        frames: That the clips have, as many or more.
    """

    def __init__(self, model: OpenModel, clip: ClipSpec, *, frames: int) -> None:
        self._model = model
        self._chosen = segment_frames(frames, clip.frames, rule=clip.segment_frame)

    def scores(self, clips: Sequence[tuple[int, Clip]]) -> Scores:
        """Scores of a batch.

        Raises:
            BackendError: The engine failed.
        """
        return self._model.scores([(stream, self._fewer(clip)) for stream, clip in clips])

    def close(self) -> None:
        """Close the model."""
        self._model.close()

    def _fewer(self, clip: Clip) -> Clip:
        return replace(
            clip, frames=tuple(clip.frames[at] for at in self._chosen), before=(), after=()
        )


def grid_of_fewer(spec: GridSpec, clip: ClipSpec) -> GridSpec:
    """The grid on which the frames lie that `FewerFrames` gives.

    16 frames, of which every second is taken, and a window at every point: the windows take turns
    on two grids of 8.

    Args:
        spec: Of the windows.
        clip: What the model wants. Where its frames do not divide those of a window, windows count
            as if they shared none.
    """
    if spec.frames % clip.frames:
        return replace(spec, frames=clip.frames, phases=1, every=clip.frames)
    apart = spec.frames // clip.frames
    common = gcd(spec.every, apart)
    return replace(
        spec,
        frames=clip.frames,
        phases=spec.phases * (apart // common),
        every=spec.every // common,
    )


def check_fallback(card: ModelCard, fallback: ModelCard) -> None:
    """Refuse a model that cannot stand in for another.

    Args:
        card: Of the model that runs.
        fallback: Of the one that is to stand in.

    Raises:
        UsageError: Its labels are others, it needs more frames, or its pictures are prepared in
            another way.
    """
    name = fallback.name
    if fallback.labels != card.labels:
        raise UsageError(
            f"--fallback {name} has other labels than {card.name}:"
            f" {_first_difference(card, fallback)}.",
            hint="A fallback must tell the same classes apart, in the same order: convert it with"
            " the same --labels",
        )
    if fallback.clip.frames > card.clip.frames:
        raise UsageError(
            f"--fallback {name} takes {fallback.clip.frames} frames, and the windows of"
            f" {card.name} have {card.clip.frames}.",
            hint="Give a model of as many frames or fewer, or swap the two.",
        )
    kept = ("resize", "crop", "crop_offset")
    others = [one for one in kept if getattr(card.clip, one) != getattr(fallback.clip, one)]
    if others:
        raise UsageError(
            f"--fallback {name} prepares pictures in another way than {card.name}: clip."
            f"{others[0]} is {getattr(fallback.clip, others[0])} instead of"
            f" {getattr(card.clip, others[0])}.",
            hint=f"See: edgecls inspect BUNDLE --diff {name}",
        )
    if fallback.output != card.output:
        raise UsageError(
            f"--fallback {name} puts out {fallback.output}, and {card.name} {card.output}.",
            hint="Convert both with the same version of edgecls.",
        )


def _first_difference(card: ModelCard, fallback: ModelCard) -> str:
    """E.g. `class 3 is "sit" instead of "fall"`, `2 classes instead of 400`."""
    if len(card.labels) != len(fallback.labels):
        return f"{len(fallback.labels)} classes instead of {len(card.labels)}"
    pairs = zip(card.labels, fallback.labels, strict=True)
    at = next(at for at, (one, other) in enumerate(pairs) if one != other)
    return f"class {at} is {fallback.labels[at]!r} instead of {card.labels[at]!r}"
