"""From a decoded picture to the input tensor: resize, centre crop, normalise, lay out.

This is the only preprocessing in the code base; running, converting and calibrating share it.
It is done in two steps, so that windows which overlap resize a frame only once: `prepare`
gives a small uint8 picture per frame, `clip_tensor` turns T of them into a tensor.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from models.errors import UsageError
from models.spec import ClipSpec, Resize
from runtime.records import Picture
from runtime.session import Tensor


def prepare(picture: Picture, clip: ClipSpec) -> Picture:
    """Resize a picture and cut its centre out, as the reference implementation does.

    Args:
        picture: RGB uint8 [H, W, 3], any size from 1x1; not modified.
        clip: What the network wants.

    Returns:
        RGB uint8 [crop, crop, 3], contiguous, sharing no memory with `picture`.

    Raises:
        UsageError: `picture` is not an RGB uint8 picture, or is too small for the crop.
    """
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or not picture.size:
        raise UsageError(
            f"A picture is RGB uint8 [H, W, 3], got {picture.dtype} {list(picture.shape)}."
        )
    return np.array(centre_crop(_resized(picture, clip.resize), clip.crop), order="C")


def centre_crop(picture: Picture, side: int) -> Picture:
    """View of the centre square of a picture.

    The offset is `round((length - side) / 2)`, halves to the even number, as PaddleVideo and
    PaddleX compute it: 224 of 341 starts at 58 (58.5 to even), 224 of 455 at 116 (115.5).

    Args:
        picture: uint8 [H, W, 3].
        side: Side of the square, in pixels.

    Raises:
        UsageError: The picture is smaller than the square.
    """
    height, width = picture.shape[:2]
    if width < side or height < side:
        raise UsageError(
            f"The picture is {width}x{height} after resizing, too small for a {side}x{side} crop.",
            hint="Check short_side and crop in the bundle's card.json.",
        )
    left, top = round((width - side) / 2.0), round((height - side) / 2.0)
    return picture[top : top + side, left : left + side]


def clip_tensor(prepared: Sequence[Picture], clip: ClipSpec) -> Tensor:
    """Normalise T prepared pictures: `(pixel / 255 - mean) / std` in one multiply-add.

    Args:
        prepared: Exactly `clip.frames` results of `prepare`, in time order.
        clip: What the network wants.

    Returns:
        float32 [1, T, 3, crop, crop], C-contiguous, owned by the caller; within 1e-6 of the
        formula in exact arithmetic.

    Raises:
        UsageError: Wrong number of pictures, or one that was not prepared for this `clip`.
    """
    expected = (clip.crop, clip.crop, 3)
    shapes = {picture.shape for picture in prepared}
    if len(prepared) != clip.frames or shapes != {expected}:
        raise UsageError(
            f"The model takes {clip.frames} pictures of shape {list(expected)},"
            f" got {len(prepared)} of shapes {sorted(map(list, shapes))}."
        )
    std = np.array(clip.std, dtype=np.float64)
    scale = (1.0 / (255.0 * std)).astype(np.float32)
    offset = (-np.array(clip.mean, dtype=np.float64) / std).astype(np.float32)
    tensor = np.empty(clip.input_shape(), dtype=np.float32)
    for planes, picture in zip(tensor[0], prepared, strict=True):
        for channel, plane in enumerate(planes):
            np.copyto(plane, picture[:, :, channel])
            plane *= scale[channel]
            plane += offset[channel]
    return tensor


def _resized(picture: Picture, resize: Resize) -> Picture:
    height, width = picture.shape[:2]
    size = resize.target(width, height)
    if size == (width, height):
        return picture
    if resize.library == "opencv":
        import cv2

        return np.asarray(
            cv2.resize(np.ascontiguousarray(picture), size, interpolation=cv2.INTER_LINEAR),
            dtype=np.uint8,
        )
    from PIL import Image

    resized = Image.fromarray(picture).resize(size, Image.Resampling.BILINEAR)
    return np.asarray(resized, dtype=np.uint8)
