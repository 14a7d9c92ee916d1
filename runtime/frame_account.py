"""What became of the frames that a source handed out."""

from __future__ import annotations

from dataclasses import dataclass, field

from runtime.records import Clip


@dataclass(slots=True, kw_only=True)
class FrameAccount:
    """Counts the frames of one stream on their way through the loop.

    What a source delivered is `sampled`, `only_watched` or `left`.

    Attributes:
        sampled: Frames given to the sampler.
        used: Those of them that became part of a window.
        only_watched: Frames that somebody wanted to look at, and no window.
        left: Frames that still waited when the run ended.
    """

    sampled: int = 0
    used: int = 0
    only_watched: int = 0
    left: int = 0
    _recent: set[int] = field(default_factory=set, repr=False)

    @property
    def unused(self) -> int:
        """Frames that a sampler took and no window had: cut off by a gap or by the end."""
        return self.sampled - self.used

    def window(self, clip: Clip) -> None:
        """Count the frames of a window that no window before it had.

        Args:
            clip: No frame of it is older than the oldest of the clip before.
        """
        indices = {frame.index for frame in clip.frames}
        self.used += len(indices - self._recent)
        oldest = min(indices)
        self._recent = {index for index in self._recent | indices if index >= oldest}
