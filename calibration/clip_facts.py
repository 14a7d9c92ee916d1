"""What is known of a video without classifying it: size, length, frame rate, damage."""

from __future__ import annotations

from dataclasses import dataclass

from models.errors import SourceError
from runtime.heard import heard_warnings
from runtime.sampling import FrameInterval
from runtime.sources import open_source


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipFacts:
    """Facts of one readable video.

    Attributes:
        width: Of the first decoded picture, in pixels, as it is shown (rotation applied).
        height: Likewise.
        frames: Number of frames.
        counted: The frames were decoded and counted; otherwise the container states the number.
        fps: Nominal frame rate; None when the container does not tell.
        duration_s: Length in seconds; None when neither frame times nor the container tell.
        damage: How much cannot be decoded; empty when all can, or it was not tried.
    """

    width: int
    height: int
    frames: int
    counted: bool
    fps: float | None
    duration_s: float | None
    damage: str


def clip_facts(source_uri: str, *, thorough: bool) -> ClipFacts:
    """Look at a video: its first frame, and what its container states.

    Args:
        source_uri: As `runtime.sources.open_source` takes it; no camera.
        thorough: Decode every frame. Done anyway where the container states no length.

    Raises:
        SourceNotFound: There is no such file.
        SourceError: It is no video, not one frame can be decoded, or it has no end.
    """
    with heard_warnings() as heard, open_source(source_uri) as source:
        if source.live:
            raise SourceError(f"{source.description} has no end.")
        fps, duration_s = source.fps, source.duration_s
        stated = 0 if fps is None or duration_s is None else round(fps * duration_s)
        counted = thorough or stated == 0
        interval = FrameInterval()
        frames, width, height, start_s, last_s = 0, 0, 0, 0.0, 0.0
        for frame in source:
            if frames == 0:
                height, width = frame.picture.shape[:2]
                start_s = frame.time_s
            frames, last_s = frames + 1, frame.time_s
            interval.push(last_s)
            if not counted:
                break
        if frames == 0:
            raise SourceError(f"{source.description} holds no frame.")
    if counted:
        duration_s = last_s + interval.seconds - start_s
    return ClipFacts(
        width=width,
        height=height,
        frames=frames if counted else stated,
        counted=counted,
        fps=fps,
        duration_s=duration_s,
        damage=heard[0] if counted and heard else "",
    )
