"""What an incremental session is given: clips of streams, a model in stages, what is shared."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from models.errors import UsageError
from models.spec import ClipSpec
from models.stages import Stage
from runtime.records import Frame

Reuse = Literal["exact", "approx"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamClip:
    """A clip of a stream.

    A frame is told from others of its stream by its index and its time of arrival. One that is
    held, and so occurs more than once, is the same `Frame` each time.

    Attributes:
        frames: T frames in time order, their pictures prepared: uint8 [crop, crop, 3].
        stream: Number of the stream.
        before: The frames before them in time order, nearest last; used by `approx` alone.
        after: Those after them; used by `approx` alone.
    """

    frames: tuple[Frame, ...]
    stream: int = 0
    before: tuple[Frame, ...] = ()
    after: tuple[Frame, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StagedModel:
    """A model that is cut into stages.

    Attributes:
        clip: What the network wants.
        classes: Number of logits.
        stages: What the stage graphs take and give, in their order.
        paths: Where they are.
    """

    clip: ClipSpec
    classes: int
    stages: tuple[Stage, ...]
    paths: tuple[Path, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sharing:
    """What is shared between clips.

    Attributes:
        reuse: `exact` gives what the whole graph gives; `approx` takes the real frames around a
            clip, where they are known, instead of nothing beyond its ends.
        streams: Streams at a time. A further one takes the place of the longest unused, which
            starts anew when it comes back.
        phases: Clips of one stream between which no frames are shared, taken in turns.
    """

    reuse: Reuse = "exact"
    streams: int = 1
    phases: int = 1

    def __post_init__(self) -> None:
        if min(self.streams, self.phases) < 1 or self.reuse not in ("exact", "approx"):
            raise UsageError(
                f"Clips of {self.streams} streams in {self.phases} phases cannot share frames"
                f" ({self.reuse}); expected at least one of each, and exact or approx."
            )
