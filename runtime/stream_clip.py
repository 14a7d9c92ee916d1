"""A video to measure with: a moving picture of any length, H.264 where PyAV can write that."""

from __future__ import annotations

from itertools import cycle, islice
from pathlib import Path

import numpy as np

from models.errors import OutputError
from models.motion.demo import demo_frames
from runtime.records import Picture

CLIP_FPS = 30
CLIP_SIZE = (640, 480)
"""Width and height."""

_CODECS = ("libx264", "libopenh264", "mpeg4")
_DISTINCT = 150


def write_clip(path: Path, *, seconds: float) -> str:
    """Write the pictures of the demo, enlarged, at 30 frames per second, 640x480.

    Args:
        path: An .mp4 file.
        seconds: Its length.

    Returns:
        The codec, e.g. "h264".

    Raises:
        OutputError: It cannot be written.
    """
    import av

    name = next(one for one in _CODECS if one in av.codecs_available)
    count = max(1, round(seconds * CLIP_FPS))
    try:
        with av.open(str(path), "w") as container:
            stream = container.add_stream(name, rate=CLIP_FPS)
            stream.width, stream.height = CLIP_SIZE
            stream.pix_fmt = "yuv420p"
            stream.options = {"preset": "veryfast"} if name == "libx264" else {}
            for picture in _pictures(count):
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
            return str(stream.codec_context.codec.canonical_name)
    except (OSError, ValueError) as error:
        raise OutputError(f"{path} cannot be written: {error}.") from error


def _pictures(count: int) -> list[Picture]:
    import cv2

    some = [
        np.asarray(cv2.resize(picture, CLIP_SIZE, interpolation=cv2.INTER_LINEAR), dtype=np.uint8)
        for _, picture in islice(demo_frames(), min(count, _DISTINCT))
    ]
    return list(islice(cycle(some), count))
