"""Camera motion as one affine transform per frame. NumPy only.

A *step* is the motion from one frame to the next in the coordinates of the view: ``dx`` and ``dy``
are how far the camera moves to the right and down, as a fraction of the picture's side; ``zoom``
is the logarithm of the magnification; ``turn`` is the clockwise roll of the camera in radians.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from models.motion.labels import STILL

FloatArray = NDArray[np.float64]

STEP_AXES: Final[dict[str, tuple[int, int]]] = {
    "pan left": (0, -1),
    "pan right": (0, 1),
    "tilt up": (1, -1),
    "tilt down": (1, 1),
    "zoom in": (2, 1),
    "zoom out": (2, -1),
    "rotate clockwise": (3, 1),
    "rotate counter-clockwise": (3, -1),
}
"""Class to (index into a step, sign)."""

REACH: Final = np.array([1.0, 1.0, 0.38, 0.38])
"""Mean displacement in the picture (fraction of its side) per unit of each step entry."""


@dataclass(frozen=True)
class SpeedRange:
    """Speeds to draw from, all per frame step (about 1/8 s).

    Attributes:
        pan: slowest and fastest pan or tilt, fraction of the picture's side.
        zoom: slowest and fastest zoom, as relative growth (0.1 is 10 %).
        turn: slowest and fastest roll, degrees.
        still: the most that a still camera drifts, mean displacement as a fraction of the side.
        ease: how far the speed varies within a clip, as a fraction of itself.
        cross: the most that other axes move, as a fraction of the main displacement.
        jitter: the most shake, standard deviation as a fraction of the side.
    """

    pan: tuple[float, float] = (0.015, 0.12)
    zoom: tuple[float, float] = (0.02, 0.10)
    turn: tuple[float, float] = (2.0, 12.0)
    still: float = 0.003
    ease: float = 0.4
    cross: float = 0.2
    jitter: float = 0.002


FULL_SPEEDS: Final = SpeedRange()


def _draw_log(rng: Generator, bounds: tuple[float, float]) -> float:
    return float(np.exp(rng.uniform(np.log(bounds[0]), np.log(bounds[1]))))


def plan_steps(label: str, frames: int, speeds: SpeedRange, rng: Generator) -> FloatArray:
    """Draws the steps of one clip.

    Args:
        label: a motion class.
        frames: number of frames, so there are ``frames - 1`` steps.
        speeds: the speeds to draw from.
        rng: source of randomness.

    Returns:
        Steps ``[frames - 1, 4]``: dx, dy, zoom, turn.
    """
    count = frames - 1
    pose_shake = rng.normal(0, 1, (frames, 4)) * rng.uniform(0, speeds.jitter)
    steps = np.diff(pose_shake, axis=0) / REACH
    if label == STILL:
        drift = rng.normal(0, 1, 4)
        drift *= rng.uniform(0, speeds.still) / (np.abs(drift).max() + 1e-9)
        calm = min(1.0, speeds.still / max(speeds.jitter, 1e-9))
        return np.asarray(steps * calm + drift / REACH)
    axis, sign = STEP_AXES[label]
    speed = (
        _draw_log(rng, speeds.pan),
        _draw_log(rng, speeds.pan),
        np.log1p(_draw_log(rng, speeds.zoom)),
        np.radians(_draw_log(rng, speeds.turn)),
    )[axis]
    time = np.linspace(-1, 1, count) if count > 1 else np.zeros(1)
    ease = rng.uniform(0, speeds.ease) * np.sin(rng.uniform(0.5, 3.0) * time + rng.uniform(0, 6.3))
    profile = speed * (1 + ease - ease.mean())
    cross = rng.uniform(-1, 1, 4) * rng.uniform(0, speeds.cross) * REACH[axis]
    cross[axis] = 0.0
    steps += profile[:, None] * cross / REACH
    steps[:, axis] += sign * profile
    return np.asarray(steps)


def plan_shake(frames: int, amount: float, rng: Generator) -> FloatArray:
    """Draws the steps of a hand-held camera: independent poses about one spot.

    Args:
        frames: number of frames.
        amount: standard deviation of the displacement, fraction of the picture's side.
        rng: source of randomness.

    Returns:
        Steps ``[frames - 1, 4]``: dx, dy, zoom, turn.
    """
    weights = rng.uniform(0, 1, 4)
    return np.asarray(np.diff(rng.normal(0, amount, (frames, 4)) * weights, axis=0) / REACH)


def step_matrix(step: FloatArray, side: float) -> FloatArray:
    """The 3x3 matrix that maps a point of the later view to the earlier view.

    Args:
        step: dx, dy, zoom, turn.
        side: the picture's side in pixels.

    Returns:
        Matrix in pixels about the picture's centre, x to the right and y down.
    """
    dx, dy, zoom, turn = (float(v) for v in step)
    scale = np.exp(-zoom)
    cos, sin = scale * np.cos(turn), scale * np.sin(turn)
    return np.array([[cos, -sin, dx * side], [sin, cos, dy * side], [0.0, 0.0, 1.0]])


def view_matrices(
    steps: FloatArray, base: FloatArray, anchor: int, view: tuple[int, int]
) -> FloatArray:
    """Chains steps into one transform per frame.

    Args:
        steps: ``[T - 1, 4]``.
        base: 3x3 matrix from the anchor frame (pixels about its centre) to the texture.
        anchor: index of the frame that shows exactly ``base``.
        view: height and width of the picture in pixels; the shorter is the side.

    Returns:
        ``[T, 2, 3]`` matrices from picture pixels to texture pixels, for ``cv2.warpAffine`` with
        ``WARP_INVERSE_MAP``.
    """
    count = len(steps) + 1
    height, width = view
    chain = [np.asarray(base, np.float64)] * count
    for index in range(anchor + 1, count):
        chain[index] = chain[index - 1] @ step_matrix(steps[index - 1], min(view))
    for index in range(anchor - 1, -1, -1):
        chain[index] = chain[index + 1] @ np.linalg.inv(step_matrix(steps[index], min(view)))
    centre = np.array([[1, 0, -(width - 1) / 2], [0, 1, -(height - 1) / 2], [0, 0, 1.0]])
    return np.stack([(matrix @ centre)[:2] for matrix in chain])
