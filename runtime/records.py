"""The values that travel from camera to label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
"""RGB, uint8, shape [H, W, 3]."""
Plane = NDArray[np.uint8]
"""One channel of a picture, uint8 [H, W]."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Frame:
    """One picture of a source.

    Attributes:
        picture: RGB uint8 [H, W, 3], owned by the frame.
        index: Position in the source, from 0; skipped frames count.
        time_s: Media time for files, seconds since the source was opened for live sources.
        arrived_s: `time.monotonic()` when the picture came out of the decoder.
        decode_ms: Time spent decoding it.
        epoch: Raised by the source after every break of its picture (another resolution, a lost
            connection, a clock that jumped): no window holds frames of two epochs.
        file: Which video of several that play as one stream; None where there is one only.
    """

    picture: Picture
    index: int
    time_s: float
    arrived_s: float
    decode_ms: float
    epoch: int = 0
    file: str | None = None


SourceEventKind = Literal[
    "lost",
    "back",
    "gave_up",
    "silent",
    "frozen",
    "black",
    "picture",
    "resolution",
    "clock",
    "gap",
    "loop",
    "file",
    "left_out",
]
"""What can befall a source; docs/cli.md says of each what it means."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceEvent:
    """Something befell a source.

    Attributes:
        kind: What.
        text: In plain words, without secrets, e.g. "no picture for 5 s".
        time_s: When, on the clock of `Frame.time_s`.
        at_s: When, seconds since 1970.
        delivers: Whether good pictures come from here on.
        breaks: No window goes on across it; the next frame has a higher `Frame.epoch`.
        lasted_s: How long a trouble was that is over; None for all else.
    """

    kind: SourceEventKind
    text: str
    time_s: float
    at_s: float
    delivers: bool
    breaks: bool
    lasted_s: float | None = None

    @property
    def begins_video(self) -> bool:
        """Whether behind it comes another video, or the same one from its beginning."""
        return self.breaks and self.kind in ("file", "loop")


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceCounts:
    """What became of the pictures of a source since it was opened.

    Once it is closed, `received` is the sum of all others.

    Attributes:
        received: Pictures that arrived, good or bad.
        delivered: Handed out.
        skipped: Left out because nobody wanted them.
        dropped: Let go because nobody fetched them in time; always 0 unless live.
        broken: Could not be decoded.
    """

    received: int = 0
    delivered: int = 0
    skipped: int = 0
    dropped: int = 0
    broken: int = 0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Clip:
    """The frames chosen from one window.

    Attributes:
        frames: Exactly T frames in time order; one frame may occur more than once when the
            window held fewer than T.
        start_s: Start of the window, inclusive.
        end_s: End of the window, exclusive.
        available: Number of frames the window held.
        index: Number of the window, from 0.
        arrived_s: When the newest frame of the window arrived, as `Frame.arrived_s`.
        before: Frames that a fixed grid took before the window, as far as they are known.
        after: Frames that it took after the window.
        held: Of a fixed grid: how many of `frames` repeat the one before them. None otherwise.
        resets: Times so far that the stream was started anew, behind a gap or a new epoch.
    """

    frames: tuple[Frame, ...]
    start_s: float
    end_s: float
    available: int
    index: int
    arrived_s: float = 0.0
    before: tuple[Frame, ...] = ()
    after: tuple[Frame, ...] = ()
    held: int | None = None
    resets: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredLabel:
    """A class and its probability, 0 to 1."""

    label: str
    probability: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Where the time of one window went, in milliseconds.

    Attributes:
        decode_ms: Decoding of the frames that arrived since the window before.
        preprocess_ms: Resize and crop of those frames, and normalisation of the clip.
        infer_ms: The engine, for all windows that it ran on together.
    """

    decode_ms: float
    preprocess_ms: float
    infer_ms: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prediction:
    """What the model says of one window.

    Attributes:
        index: Number of the window, from 0.
        start_s: Start of the window.
        end_s: End of the window.
        top: Best classes first.
        latency: Where the time went.
        frame_age_ms: Live sources only: time from the arrival of the window's last frame to
            this result.
        dropped: Live sources only: frames dropped until the newest frame came.
        stream: Number of the source, from 0.
        held: How many of its frames repeat the one before them; None unless on a fixed grid.
        resets: Times so far that the stream was started anew, behind a gap or a new epoch.
        batch: Windows that the engine ran on together, this one included.
        reused: Share of the multiply-accumulates of its batch that were known from windows
            before, 0 to 1; None where nothing is ever reused.
        probabilities: Of all classes in the order of the card, float64 [classes], owned by the
            prediction; None where they were not asked for.
        file: Which video of several that play as one stream; None where there is one only.
        level: Steps below what was asked for, taken because results were late; None where there
            is no limit.
    """

    index: int
    start_s: float
    end_s: float
    top: tuple[ScoredLabel, ...]
    latency: Latency
    frame_age_ms: float | None
    dropped: int | None
    stream: int = 0
    held: int | None = None
    resets: int = 0
    batch: int = 1
    reused: float | None = None
    probabilities: NDArray[np.float64] | None = None
    file: str | None = None
    level: int | None = None
