"""From a decoded picture to the input tensor: resize, crop, normalise, lay out.

This is the only preprocessing in the code base; running, converting and calibrating share it.
It is done in two steps, so that windows which overlap resize a frame only once: `prepare`
gives a small uint8 picture per frame, `clip_tensor` turns T of them into a tensor.
`Preparation` is the same two steps for any number of views.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from models.errors import UsageError
from models.spec import ClipSpec, Resize
from runtime.records import Picture, Plane
from runtime.session import Tensor
from runtime.views import Views, views_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Preparation:
    """What is kept of every frame, and the tensors that T kept frames give.

    One view keeps the centre crop, and gives one tensor. Several views keep the resized
    picture, and give a tensor each, cut out when it is needed.

    Attributes:
        clip: What the network wants.
        views: Views per clip.
    """

    clip: ClipSpec
    views: Views = 1

    def kept(self, picture: Picture) -> Picture:
        """What is kept of a frame.

        Args:
            picture: RGB uint8 [H, W, 3], any size from 1x1; not modified.

        Returns:
            RGB uint8, [crop, crop, 3] or the resized picture, sharing no memory with `picture`.

        Raises:
            UsageError: `picture` is not an RGB uint8 picture.
        """
        if self.views == 1:
            return prepare(picture, self.clip)
        small = _resized(picture, self.clip.resize)
        return small.copy() if small is picture else small

    def tensors(self, kept: Sequence[Picture]) -> Iterator[Tensor]:
        """The input tensors of a clip, view by view, each made when it is asked for.

        Args:
            kept: Exactly `clip.frames` results of `kept`, in time order.

        Yields:
            As many as there are views; each as `clip_tensor` returns it.

        Raises:
            UsageError: Wrong number of pictures, or some that were not kept for this `clip`.
        """
        if self.views == 1:
            yield clip_tensor(kept, self.clip)
            return
        cut = [
            [view.cut(picture, self.clip.crop) for view in views_of(picture, self.clip, self.views)]
            for picture in kept
        ]
        for squares in zip(*cut, strict=True):
            yield clip_tensor(squares, self.clip)


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
    small = _resized(picture, clip.resize)
    (centre,) = views_of(small, clip, 1)
    return np.array(centre.cut(small, clip.crop), order="C")


def clip_tensor(prepared: Sequence[Picture], clip: ClipSpec) -> Tensor:
    """Normalise T prepared pictures: `(pixel / 255 - mean) / std`.

    Args:
        prepared: Exactly `clip.frames` results of `prepare`, or views of the same size, in time
            order.
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
    tensor = np.empty(clip.input_shape(), dtype=np.float32)
    for out, picture in zip(tensor[0], prepared, strict=True):
        normalise_into(picture, clip, out)
    return tensor


def normalise_into(
    picture: Picture, clip: ClipSpec, out: Tensor, *, planes: Sequence[Plane] | None = None
) -> None:
    """Normalise a prepared picture into a tensor that exists: `(pixel / 255 - mean) / std`.

    The 256 values of a channel are looked up; they are the same as in `clip_tensor`.

    Args:
        picture: uint8 [crop, crop, 3], a result of `prepare` or a view of the same size.
        clip: What the network wants.
        out: Written to: float32 [3, crop, crop], C-contiguous.
        planes: Three arrays uint8 [crop, crop] to work in, of one thread: a quarter quicker than
            to allocate them.

    Raises:
        UsageError: Shape or type of `picture` is another one.
        ValueError: That of `out` is.
    """
    import cv2

    side = clip.crop
    if picture.shape != (side, side, 3) or picture.dtype != np.uint8:
        raise UsageError(
            f"The model takes uint8 pictures of shape {[side, side, 3]}, got"
            f" {picture.dtype} {list(picture.shape)}."
        )
    if out.shape != (3, side, side) or out.dtype != np.float32 or not out.flags.c_contiguous:
        raise ValueError(
            f"A picture is normalised into contiguous float32 {[3, side, side]},"
            f" got {out.dtype} {list(out.shape)}."
        )
    split = cv2.split(np.ascontiguousarray(picture), planes)
    for plane, values, target in zip(split, _levels(clip.mean, clip.std), out, strict=True):
        cv2.LUT(plane, values, target)


@lru_cache(maxsize=8)
def _levels(mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """What each level of each channel becomes, float32 [3, 1, 256]."""
    levels = np.arange(256, dtype=np.float32)
    exact_std = np.array(std, dtype=np.float64)
    scale = (1.0 / (255.0 * exact_std)).astype(np.float32)
    offset = (-np.array(mean, dtype=np.float64) / exact_std).astype(np.float32)
    return np.asarray(levels * scale[:, None, None] + offset[:, None, None])


def _resized(picture: Picture, resize: Resize) -> Picture:
    """The resized picture, or `picture` itself when it has the right size."""
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or not picture.size:
        raise UsageError(
            f"A picture is RGB uint8 [H, W, 3], got {picture.dtype} {list(picture.shape)}."
        )
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
