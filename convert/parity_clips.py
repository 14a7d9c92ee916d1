"""Clips on which Paddle and ONNX are compared: noise, and pictures that look like the world."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.bundle import expand_probe
from models.spec import ClipSpec
from runtime.preprocess import clip_tensor
from runtime.records import Picture
from runtime.session import Tensor

_SHIFT_PX = 5
"""Pan per frame of a natural clip."""


def random_clips(clip: ClipSpec, count: int, seed: int) -> Tensor:
    """Blocks of Gaussian noise whose contrast grows from frame to frame.

    Blocks rather than pixels, because deep features of white noise are all alike; growing
    contrast, because otherwise the order of the frames would hardly matter.

    Returns:
        float32 [count, T, 3, H, W].
    """
    return expand_probe(noise_seeds(clip, count, seed), block_side(clip.crop))


def noise_seeds(clip: ClipSpec, count: int, seed: int) -> Tensor:
    """The noise of `random_clips` at one value per block: float32 [count, T, 3, h, w]."""
    grid = clip.crop // block_side(clip.crop)
    noise = np.random.Generator(np.random.PCG64(seed)).normal(
        size=(count, clip.frames, 3, grid, grid)
    )
    contrast = np.linspace(0.25, 1.75, clip.frames)[:, None, None, None]
    return (noise * contrast).astype(np.float32)


def block_side(crop: int) -> int:
    """Largest of 16, 8, 4, 2, 1 that divides the side of the input."""
    return next(side for side in (16, 8, 4, 2, 1) if crop % side == 0)


def natural_clips(clip: ClipSpec, count: int, seed: int) -> Tensor:
    """Panning pictures with the 1/f spectrum of natural scenes (Field, 1987), fully preprocessed.

    Returns:
        float32 [count, T, 3, H, W].
    """
    rng = np.random.Generator(np.random.PCG64(seed))
    clips = []
    for _ in range(count):
        scene = natural_scene(clip.crop + _SHIFT_PX * clip.frames, rng)
        frames = [
            np.ascontiguousarray(scene[start : start + clip.crop, start : start + clip.crop])
            for start in (_SHIFT_PX * index for index in range(clip.frames))
        ]
        clips.append(clip_tensor(frames, clip))
    return np.concatenate(clips)


def natural_scene(side: int, rng: np.random.Generator) -> Picture:
    """Coloured noise with amplitude 1/f, uint8 [side, side, 3]."""
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None, :])
    frequency[0, 0] = np.inf
    planes = []
    for _ in range(3):
        phase = rng.uniform(0, 2 * np.pi, frequency.shape)
        plane: NDArray[np.float64] = np.fft.irfft2(np.exp(1j * phase) / frequency, s=(side, side))
        planes.append(plane / plane.std())
    grey = planes[0]
    colour = np.stack([grey + 0.3 * plane for plane in planes], axis=-1)
    scene: Picture = np.clip(127 + 55 * colour, 0, 255).astype(np.uint8)
    return scene
