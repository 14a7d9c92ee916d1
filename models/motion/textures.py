"""Procedural pictures: contrast-rich, with structure at many scales and in all directions.

Each kind is a function of a random generator and a side length. ``TRAINING_KINDS`` feed the
training; ``HELD_OUT_KINDS`` are never trained on.
"""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
Image = NDArray[np.uint8]
Texture = Callable[[Generator, int], Image]


def _draw_color(rng: Generator) -> tuple[float, float, float]:
    """A random RGB colour, 0..255, with the brightness spread evenly."""
    red, green, blue = np.clip(rng.uniform(0, 255) + rng.normal(0, 45, 3), 0, 255)
    return float(red), float(green), float(blue)


def _stretch(values: FloatArray) -> Image:
    """Maps any float picture to uint8 between its 1 % and 99 % quantiles."""
    low, high = np.quantile(values[::4, ::4], (0.01, 0.99))
    scaled = (values - low) * (255.0 / max(float(high - low), 1e-6))
    return np.asarray(np.clip(scaled, 0, 255), np.uint8)


def _noise_field(rng: Generator, side: int, exponent: float, channels: int = 1) -> FloatArray:
    """Noise with amplitude spectrum ``1 / f ** exponent``, float32 ``[side, side, channels]``."""
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None, :])
    frequency[0, 0] = 1.0
    amplitude = (frequency**-exponent).astype(np.float32)
    amplitude[0, 0] = 0.0
    white = rng.standard_normal((channels, side, side), dtype=np.float32)
    field = np.fft.irfft2(np.fft.rfft2(white) * amplitude, s=(side, side))
    field /= field.std() + 1e-9
    return np.ascontiguousarray(field.transpose(1, 2, 0), dtype=np.float32)


def _color_ramp(rng: Generator, field: FloatArray, stops: int) -> Image:
    """Colours a float field ``[H, W]`` through a random palette."""
    palette = np.array([_draw_color(rng) for _ in range(stops)])
    position = _stretch(field).astype(np.float32) / 255.0 * (stops - 1)
    channels = [np.interp(position, np.arange(stops), palette[:, c]) for c in range(3)]
    return np.stack(channels, -1).astype(np.uint8)


def paint_leaves(rng: Generator, side: int) -> Image:
    """Dead leaves: overlapping discs, boxes and polygons with a power law of sizes."""
    import cv2

    image = np.full((side, side, 3), _draw_color(rng), np.uint8)
    for _ in range(int(rng.integers(250, 600))):
        radius = min(4.0 * float(rng.random() + 1e-3) ** -0.7, side / 5)
        x, y = (int(v) for v in rng.integers(0, side, 2))
        shape = rng.random()
        if shape < 0.5:
            axes = (int(radius) + 1, int(radius * rng.uniform(0.4, 1)) + 1)
            cv2.ellipse(image, (x, y), axes, rng.uniform(0, 180), 0, 360, _draw_color(rng), -1)
        else:
            angles = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(3, 7))))
            points = np.stack((np.cos(angles), np.sin(angles)), -1) * radius + (x, y)
            cv2.fillPoly(image, [points.astype(np.int32)], _draw_color(rng))
    return image


def paint_noise(rng: Generator, side: int) -> Image:
    """Coloured noise with a natural, roughly ``1 / f`` spectrum."""
    field = _noise_field(rng, side, rng.uniform(0.8, 1.4), 3)
    mix = np.eye(3) * rng.uniform(0.2, 1) + rng.uniform(0, 1, (3, 1))
    return _stretch((field @ mix.T).astype(np.float32))


def paint_cells(rng: Generator, side: int) -> Image:
    """Voronoi cells of random colour, now and then with dark joints or shading."""
    import cv2

    seeds = np.full((side, side), 255, np.uint8)
    count = int(rng.integers(60, 700))
    seeds[rng.integers(0, side, count), rng.integers(0, side, count)] = 0
    distance, cells = cv2.distanceTransformWithLabels(
        seeds, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    colors = np.array([_draw_color(rng) for _ in range(int(cells.max()) + 1)], np.float32)
    image = colors[cells]
    if rng.random() < 0.5:
        image *= np.clip(1.1 - distance / (distance.max() + 1e-6), 0, 1)[..., None]
    return np.asarray(image, np.uint8)


def paint_blobs(rng: Generator, side: int) -> Image:
    """Soft blobs: a thresholded smooth field through a palette."""
    field = _noise_field(rng, side, rng.uniform(1.5, 2.2))[..., 0]
    field = field + 0.25 * _noise_field(rng, side, 1.0)[..., 0]
    return _color_ramp(rng, np.sin(field * rng.uniform(1.5, 5)), int(rng.integers(3, 7)))


def paint_plaid(rng: Generator, side: int) -> Image:
    """Three or four crossed gratings, slightly warped, each channel its own mixture."""
    ys, xs = np.mgrid[0:side, 0:side].astype(np.float32)
    warp = _noise_field(rng, side, 2.0, 2) * rng.uniform(1, 8)
    turn = rng.uniform(0, np.pi)
    image = np.zeros((side, side, 3), np.float32)
    count = int(rng.integers(3, 5))
    for index in range(count):
        angle = turn + np.pi * (index + rng.uniform(-0.2, 0.2)) / count
        wave = 2 * np.pi / rng.uniform(9, 45)
        phase = (xs + warp[..., 0]) * np.cos(angle) + (ys + warp[..., 1]) * np.sin(angle)
        grating = np.sin(phase * wave + rng.uniform(0, 6))
        image += np.sign(grating)[..., None] * 0.3 * rng.random(3) if index % 2 else 0
        image += grating[..., None] * rng.uniform(0.2, 1, 3)
    image += 0.3 * _noise_field(rng, side, 1.0, 3)
    return _stretch(image.astype(np.float32))


def paint_shapes(rng: Generator, side: int) -> Image:
    """Lines, outlines, boxes and writing over a smooth ground."""
    import cv2

    ground = _noise_field(rng, side, rng.uniform(1.2, 2.0), 3) * rng.uniform(15, 60)
    image = np.ascontiguousarray(np.clip(ground + _draw_color(rng), 0, 255), dtype=np.uint8)
    for _ in range(int(rng.integers(60, 160))):
        x, y, far_x, far_y = (int(v) for v in rng.integers(0, side, 4))
        size, thick = int(rng.integers(3, 36)), int(rng.integers(1, 5))
        kind, color = rng.random(), _draw_color(rng)
        if kind < 0.25:
            cv2.line(image, (x, y), (far_x, far_y), color, thick, cv2.LINE_AA)
        elif kind < 0.5:
            cv2.circle(image, (x, y), size, color, thick, cv2.LINE_AA)
        elif kind < 0.75:
            cv2.rectangle(image, (x, y), (x + size, y + int(rng.integers(3, 36))), color, -1)
        else:
            text = "".join(chr(int(c)) for c in rng.integers(48, 91, 5))
            scale = float(rng.uniform(0.3, 1.2))
            cv2.putText(image, text, (x, y), int(rng.integers(0, 5)), scale, color, thick)
    return image


def paint_scene(rng: Generator, side: int) -> Image:
    """A landscape: graded sky, ridges of coloured noise, boxes with windows, round crowns."""
    import cv2

    rows = np.linspace(0, 1, side, dtype=np.float32)[:, None, None]
    image = (1 - rows) * np.array(_draw_color(rng)) + rows * np.array(_draw_color(rng))
    image = image + 14 * _noise_field(rng, side, 1.2, 3)
    for layer in range(3):
        line = side * (0.25 + 0.2 * layer) + 18 * _noise_field(rng, side, 1.5)[0, :, 0]
        ground = np.array(_draw_color(rng)) + 26 * _noise_field(rng, side, 1.0, 3)
        image = np.where((np.arange(side)[:, None] > line[None, :])[..., None], ground, image)
    canvas = np.ascontiguousarray(np.clip(image, 0, 255), dtype=np.uint8)
    for _ in range(int(rng.integers(10, 30))):
        x, y = int(rng.integers(0, side)), int(rng.integers(side // 5, side))
        wide, high = (int(v) for v in rng.integers(12, 55, 2))
        if rng.random() < 0.5:
            cv2.rectangle(canvas, (x, y), (x + wide, y + high), _draw_color(rng), -1)
            light = _draw_color(rng)
            for window_x in range(x + 3, x + wide - 4, 8):
                for window_y in range(y + 3, y + high - 4, 9):
                    cv2.rectangle(
                        canvas, (window_x, window_y), (window_x + 3, window_y + 4), light, -1
                    )
        else:
            for _ in range(12):
                leaf_x, leaf_y = rng.normal((x, y), wide / 3).astype(int)
                cv2.circle(canvas, (int(leaf_x), int(leaf_y)), wide // 5, _draw_color(rng), -1)
    return canvas


def paint_mixture(rng: Generator, side: int) -> Image:
    """Two other training kinds, one over the other through a smooth mask or half transparent."""
    kinds = [paint_leaves, paint_noise, paint_cells, paint_blobs, paint_plaid, paint_shapes]
    first, second = (kinds[int(i)](rng, side).astype(np.float32) for i in rng.integers(0, 6, 2))
    if rng.random() < 0.5:
        mask: Any = rng.uniform(0.3, 0.7)
    else:
        mask = np.clip(_noise_field(rng, side, 1.8) * rng.uniform(0.5, 8) + 0.5, 0, 1)
    return np.asarray(first * mask + second * (1 - mask), np.uint8)


def paint_bricks(rng: Generator, side: int) -> Image:
    """Rows of bricks, each its own colour and grain."""
    high, wide, joint = int(rng.integers(10, 26)), int(rng.integers(18, 60)), rng.integers(1, 4)
    base, spread = np.array(_draw_color(rng)), rng.uniform(20, 60)
    ys, xs = np.mgrid[0:side, 0:side]
    row = ys // high
    shifted = xs + (row % 2) * (wide // 2)
    column = shifted // wide
    table = rng.normal(0, spread, (int(row.max()) + 1, int(column.max()) + 1, 1))
    table = table + rng.normal(0, spread / 3, (*table.shape[:2], 3))
    image = base + table[row, column] + 14 * _noise_field(rng, side, 1.0, 3)
    gap = (ys % high < joint) | (shifted % wide < joint)
    image = np.where(gap[..., None], np.array(_draw_color(rng)), image)
    return np.clip(image, 0, 255).astype(np.uint8)


def paint_marble(rng: Generator, side: int) -> Image:
    """Veins: a sine of position bent by noise, through a palette, with fine grain."""
    ys, xs = np.mgrid[0:side, 0:side].astype(np.float32)
    bend = _noise_field(rng, side, 1.6, 2)
    angle, wave = rng.uniform(0, np.pi), 2 * np.pi / rng.uniform(30, 90)
    phase = (xs * np.cos(angle) + ys * np.sin(angle)) * wave + bend[..., 0] * rng.uniform(2, 4)
    field = np.sin(phase) + 0.6 * np.abs(bend[..., 1]) + 0.15 * _noise_field(rng, side, 0.8)[..., 0]
    return _color_ramp(rng, field.astype(np.float32), int(rng.integers(3, 7)))


TRAINING_KINDS: Final[dict[str, Texture]] = {
    "leaves": paint_leaves,
    "noise": paint_noise,
    "cells": paint_cells,
    "blobs": paint_blobs,
    "plaid": paint_plaid,
    "shapes": paint_shapes,
    "scene": paint_scene,
    "mixture": paint_mixture,
}
HELD_OUT_KINDS: Final[dict[str, Texture]] = {"bricks": paint_bricks, "marble": paint_marble}


def paint_texture(rng: Generator, side: int, kinds: dict[str, Texture]) -> Image:
    """Paints a picture of a kind drawn from ``kinds``.

    Args:
        rng: source of randomness.
        side: height and width in pixels.
        kinds: the painters to choose from.

    Returns:
        RGB picture, uint8 ``[side, side, 3]``.
    """
    painter = list(kinds.values())[int(rng.integers(len(kinds)))]
    return painter(rng, side)
