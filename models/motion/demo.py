"""The built-in demonstration video: every camera motion in turn over unseen textures.

Deterministic and cheap: one affine warp per frame, and a texture painted when first needed.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.motion.camera import STEP_AXES, FloatArray, view_matrices
from models.motion.clips import seed_generator
from models.motion.labels import STILL
from models.motion.textures import HELD_OUT_KINDS, TRAINING_KINDS

FRAME_WIDTH: Final = 320
FRAME_HEIGHT: Final = 240
FRAME_RATE: Final = 25.0
REST_SECONDS: Final = 1.2
MOVE_SECONDS: Final = 2.0
"""A window of 1 s fits into a rest and into a move, so that each is seen alone."""
DEMO_SEED: Final = 33
SPEEDS: Final = np.array([0.44, 0.44, 0.42, 0.75])
"""Per second: pan and tilt in picture heights, zoom as a logarithm, turn in radians."""
_TEXTURE_SIDE: Final = 640
_TEXTURES: Final = (
    ("leaves", 1),
    ("marble", 5),
    ("bricks", 4),
    ("leaves", 3),
    ("marble", 2),
    ("bricks", 9),
)
"""Kind and number of the textures, none of them trained on, nor any marble or bricks."""
_ORDER: Final = (
    "pan left",
    "zoom in",
    "tilt up",
    "rotate clockwise",
    "pan right",
    "zoom out",
    "tilt down",
    "rotate counter-clockwise",
)


@dataclass(frozen=True)
class Segment:
    """A stretch of the video with one motion, ``start_s <= time < end_s``."""

    start_s: float
    end_s: float
    label: str


def demo_schedule(rounds: int = 1) -> list[Segment]:
    """The segments of the video in order; ``rounds`` times through all the classes.

    The camera rests before every move, on the scene in which it will move.
    """
    segments = []
    start_s = 0.0
    for label in _ORDER * rounds:
        for what, seconds in ((STILL, REST_SECONDS), (label, MOVE_SECONDS)):
            segments.append(Segment(start_s, start_s + seconds, what))
            start_s += seconds
    return segments


@lru_cache(maxsize=len(_TEXTURES))
def _load_texture(place: int) -> NDArray[np.uint8]:
    kind, number = _TEXTURES[place]
    painter = {**TRAINING_KINDS, **HELD_OUT_KINDS}[kind]
    return painter(seed_generator(DEMO_SEED, number), _TEXTURE_SIDE)


def _plan_take(label: str) -> FloatArray:
    """Matrices ``[frames, 2, 3]`` of a rest and a move, mid-move centred on the texture."""
    rest, move = (round(seconds * FRAME_RATE) for seconds in (REST_SECONDS, MOVE_SECONDS))
    axis, sign = STEP_AXES[label]
    steps = np.zeros((rest + move - 1, 4))
    steps[rest - 1 :, axis] = sign * SPEEDS[axis] / FRAME_RATE
    middle = _TEXTURE_SIDE / 2
    base = np.array([[1.0, 0.0, middle], [0.0, 1.0, middle], [0.0, 0.0, 1.0]])
    return view_matrices(steps, base, rest + move // 2, (FRAME_HEIGHT, FRAME_WIDTH))


def demo_frames(rounds: int = 1) -> Iterator[tuple[float, NDArray[np.uint8]]]:
    """Yields the frames of the video.

    Args:
        rounds: how many times to go through all the classes, each time on other textures.

    Yields:
        Time in seconds and the RGB frame, uint8 ``[240, 320, 3]``, at 25 frames per second.
    """
    for time_s, draw in demo_drawings(rounds):
        yield time_s, draw()


def demo_drawings(rounds: int = 1) -> Iterator[tuple[float, Callable[[], NDArray[np.uint8]]]]:
    """Yields the frames of the video, not drawn yet.

    Args:
        rounds: as for `demo_frames`.

    Yields:
        Time in seconds and a function that draws the frame.
    """
    index = 0
    for take, label in enumerate(_ORDER * rounds):
        texture = _load_texture((take + take // len(_ORDER)) % len(_TEXTURES))
        for matrix in _plan_take(label):
            yield index / FRAME_RATE, partial(_draw, texture, matrix)
            index += 1


def _draw(texture: NDArray[np.uint8], matrix: FloatArray) -> NDArray[np.uint8]:
    import cv2

    frame = cv2.warpAffine(
        texture,
        matrix,
        (FRAME_WIDTH, FRAME_HEIGHT),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REFLECT,
    )
    return np.asarray(frame, np.uint8)
