"""How a stream is cut into windows: as asked for, and as it is done for a model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from edgecls.checks import check_one_of
from models.spec import ClipSpec
from runtime.feed import Sampler
from runtime.grid import GapPolicy, GridSampler, GridSpec, Neighbours, grid_spec
from runtime.sampling import ClipSampler, WindowSpec
from runtime.sources import FrameSource, repeats_live

WindowSampling = Literal["sliding", "windowed"]
"""Windows on a fixed grid, which share their frames, or sampled each on its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Windows:
    """How a stream is to be cut into windows.

    Attributes:
        length_s: Seconds of video that one result is about; None for the length of the clips
            that the model was trained on.
        stride_s: Seconds from one window to the next; `sliding` rounds it to its grid. None for
            one interval of the grid, or of `windowed` a tenth of the window.
        sampling: `sliding` shares frames between windows and can reuse what was computed of
            them; `windowed` takes any stride.
        gap: What becomes of the grid when frames were missing: `reset` starts it anew, `hold`
            lets the last frame stand in.
        gap_after_s: Seconds without a frame that count as a gap; None for two intervals, at
            least 1.

    Raises:
        UsageError: A word is none of those that there are.
    """

    length_s: float | None = None
    stride_s: float | None = None
    sampling: WindowSampling = "sliding"
    gap: GapPolicy = "reset"
    gap_after_s: float | None = None

    def __post_init__(self) -> None:
        check_one_of("sampling", self.sampling, get_args(WindowSampling))
        check_one_of("gap", self.gap, get_args(GapPolicy))

    def cut_for(self, clip: ClipSpec) -> WindowCut:
        """The windows of a model.

        Args:
            clip: What it wants.

        Raises:
            UsageError: A number is out of range, or has no meaning with the sampling.
        """
        length_s = clip.clip_length_s if self.length_s is None else self.length_s
        if self.sampling == "windowed":
            stride_s = length_s / 10 if self.stride_s is None else self.stride_s
            window = WindowSpec(length_s, stride_s)
            return WindowCut(window=window, grid=None, stride_asked_s=self.stride_s)
        grid = grid_spec(
            clip.frames,
            length_s=length_s,
            stride_s=self.stride_s,
            gap_after_s=self.gap_after_s,
            gap=self.gap,
        )
        return WindowCut(
            window=WindowSpec(length_s, grid.stride_s), grid=grid, stride_asked_s=self.stride_s
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowCut:
    """How a stream is cut into windows for a model.

    Attributes:
        window: Length and stride; the stride of a grid is that which it has.
        grid: The grid of `sliding`; None for `windowed`.
        stride_asked_s: None where nothing was asked for.
    """

    window: WindowSpec
    grid: GridSpec | None
    stride_asked_s: float | None

    def sampler(
        self, clip: ClipSpec, source: FrameSource, neighbours: Neighbours | None
    ) -> Sampler:
        """What cuts a source.

        Args:
            clip: What the model wants.
            source: Open.
            neighbours: Frames beyond a window that its clip must know; None for none.
        """
        if self.grid is None:
            return ClipSampler(self.window, clip.frames, rule=clip.segment_frame)
        known_s = source.duration_s or 0.0
        return GridSampler(
            self.grid,
            rule=clip.segment_frame,
            neighbours=neighbours,
            short=not repeats_live(source) and known_s < self.window.length_s,
        )
