"""Clips: textures seen through a moving camera, with photometric variation.

For one seed, the anchor frame of a clip is the same picture whatever the class, so a single frame
tells nothing about the motion. Held-out clips come from texture kinds that are never trained on,
or from seeds that are.
"""

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.random import PCG64, Generator, SeedSequence
from numpy.typing import NDArray

from models.motion.camera import (
    FULL_SPEEDS,
    FloatArray,
    SpeedRange,
    plan_shake,
    plan_steps,
    view_matrices,
)
from models.motion.labels import STILL
from models.motion.textures import HELD_OUT_KINDS, TRAINING_KINDS, paint_texture

Frames = NDArray[np.uint8]

TEXTURE_SIDE: Final = 320
"""Height and width of a texture in pixels; beyond it the texture is mirrored without end."""
POOLS: Final[dict[str, tuple[int, tuple[str, ...]]]] = {
    "train": (1, ("train",)),
    "seen-kinds": (2, ("train",)),
    "new-kinds": (3, ("held-out",)),
}
"""Texture pools: seed offset and the kinds in it. Only ``train`` is trained on."""


def seed_generator(*key: int) -> Generator:
    """A generator that depends on all the given integers."""
    return Generator(PCG64(SeedSequence(key)))


@lru_cache(maxsize=6000)
def load_texture(pool: str, index: int, seed: int = 0) -> tuple[Frames, Frames]:
    """Paints texture ``index`` of a pool.

    Returns:
        The RGB texture, uint8 ``[320, 320, 3]``, and the same at half the resolution.
    """
    import cv2

    offset, groups = POOLS[pool]
    kinds = TRAINING_KINDS if "train" in groups else HELD_OUT_KINDS
    texture = paint_texture(seed_generator(seed, offset, index), TEXTURE_SIDE, kinds)
    half = cv2.resize(texture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    return texture, np.asarray(half, np.uint8)


@dataclass(frozen=True)
class ClipStyle:
    """How clips are drawn.

    Attributes:
        side: height and width of the frames in pixels.
        frames: frames per clip.
        speeds: camera speeds per frame step.
        pool: texture pool, see ``POOLS``.
        textures: number of textures in the pool.
        shake: share of the ``still`` clips that are hand-held.
        seed: seed of the texture pool.
    """

    side: int = 64
    frames: int = 8
    speeds: SpeedRange = field(default_factory=lambda: FULL_SPEEDS)
    pool: str = "train"
    textures: int = 1500
    shake: float = 0.0
    seed: int = 0


def _is_legible(frame: Frames) -> bool:
    """Whether motion in any direction would show in the frame."""
    grey = frame.mean(-1, dtype=np.float32)
    across, down = np.diff(grey, axis=1)[1:].ravel(), np.diff(grey, axis=0)[:, 1:].ravel()
    xx, yy, xy = across @ across, down @ down, across @ down
    smaller = (xx + yy) / 2 - np.sqrt(((xx - yy) / 2) ** 2 + xy**2)
    return bool(smaller / across.size > 9.0)


def _draw_base(rng: Generator) -> tuple[FloatArray, float]:
    """A random place, direction, mirroring and scale on the texture."""
    scale = float(np.exp(rng.uniform(np.log(0.7), np.log(2.2))))
    angle = rng.uniform(-np.pi, np.pi) if rng.random() < 0.5 else rng.normal(0, 0.05)
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    mirror = -1.0 if rng.random() < 0.5 else 1.0
    x, y = rng.uniform(0, TEXTURE_SIDE, 2)
    return np.array([[cos * mirror, -sin, x], [sin * mirror, cos, y], [0.0, 0.0, 1.0]]), scale


def _shoot(
    textures: tuple[Frames, Frames], matrices: FloatArray, side: int, scale: float, over: int
) -> list[Any]:
    """Renders frames at ``over`` times the side; ``matrices`` are for that size."""
    import cv2

    coarse = scale > 1.3 * over
    source = textures[1] if coarse else textures[0]
    half = np.array([[0.5, 0, -0.25], [0, 0.5, -0.25]])
    frames = []
    for matrix in matrices:
        full = np.vstack((matrix, (0, 0, 1)))
        frames.append(
            cv2.warpAffine(
                source,
                half @ full if coarse else matrix,
                (side * over, side * over),
                flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                borderMode=cv2.BORDER_REFLECT,
            )
        )
    return frames


def _develop(frames: list[Any], side: int, rng: Generator) -> Frames:
    """Resizes, and varies brightness, colour, sharpness, grain and compression alike."""
    import cv2

    shrink = cv2.INTER_AREA if rng.random() < 0.6 else cv2.INTER_LINEAR
    gain, bias = np.exp(rng.normal(0, 0.25)), rng.normal(0, 20)
    tint = np.exp(rng.normal(0, 0.12, 3))
    gamma = np.exp(rng.normal(0, 0.25))
    ramp = np.linspace(0, 1, 256)[:, None] ** gamma
    curve = np.clip((ramp - 0.5) * 255 * gain * tint + 127 + bias, 0, 255)
    table = curve.astype(np.uint8)[:, None, :]
    blur = rng.uniform(0.3, 1.0) if rng.random() < 0.3 else 0.0
    grey = rng.random() < 0.12
    grain = rng.uniform(1, 9) if rng.random() < 0.5 else 0.0
    quality = int(rng.integers(25, 95)) if rng.random() < 0.15 else 0
    flicker = rng.uniform(0, 0.03)
    result = np.empty((len(frames), side, side, 3), np.uint8)
    for index, frame in enumerate(frames):
        if frame.shape[0] != side:
            frame = cv2.resize(frame, (side, side), interpolation=shrink)
        if blur:
            frame = cv2.GaussianBlur(frame, (0, 0), blur)
        frame = cv2.LUT(frame, table)
        if grey:
            frame = cv2.cvtColor(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        frame = cv2.convertScaleAbs(frame, alpha=1 + rng.normal(0, flicker))
        if grain:
            noise = rng.standard_normal(frame.shape, dtype=np.float32) * np.float32(grain)
            frame = np.clip(frame + noise, 0, 255).astype(np.uint8)
        if quality:
            coded = cv2.imencode(".jpg", frame, (cv2.IMWRITE_JPEG_QUALITY, quality))[1]
            frame = cv2.imdecode(coded, cv2.IMREAD_COLOR)
        result[index] = frame
    return result


def render_motion(label: str, seed: tuple[int, ...], style: ClipStyle) -> tuple[Frames, FloatArray]:
    """Renders one clip and says how the camera moved.

    Args:
        label: a class of ``MOTION_LABELS``.
        seed: integers that fix everything but the class.
        style: size, speeds and textures.

    Returns:
        RGB frames, uint8 ``[T, side, side, 3]``, and the steps ``[T - 1, 4]`` between them, see
        :mod:`models.motion.camera`.
    """
    view, motion, look = (seed_generator(*seed, stream) for stream in range(3))
    anchor = int(view.integers(style.frames))
    over = int(view.choice((1, 2, 3), p=(0.5, 0.3, 0.2)))
    for _ in range(6):
        index = int(view.integers(style.textures))
        textures = load_texture(style.pool, index, style.seed)
        base, scale = _draw_base(view)
        anchor_view = view_matrices(np.zeros((0, 4)), base, 0, (style.side, style.side))
        if _is_legible(_shoot(textures, anchor_view, style.side, scale, 1)[0]):
            break
    if label == STILL and motion.random() < style.shake:
        steps = plan_shake(style.frames, float(np.exp(motion.uniform(-6.2, -3.0))), motion)
    else:
        steps = plan_steps(label, style.frames, style.speeds, motion)
    base = base @ np.diag((1 / over, 1 / over, 1.0))
    matrices = view_matrices(steps, base, anchor, (style.side * over, style.side * over))
    frames = _shoot(textures, matrices, style.side, scale, over)
    return _develop(frames, style.side, look), steps


def render_clip(label: str, seed: tuple[int, ...], style: ClipStyle) -> Frames:
    """Renders one clip as :func:`render_motion` does, without the steps."""
    return render_motion(label, seed, style)[0]
