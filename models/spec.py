"""What a network wants to be fed: the clip specification, one value for all four packages."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

Side = Annotated[int, Field(ge=16, le=4096)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Triple = tuple[Finite, Finite, Finite]


class Resize(BaseModel):
    """How a decoded picture is brought to the size that is then cropped.

    Attributes:
        policy: `fixed_4_3` makes the short side `short_side` and the long side
            `int(short_side * 4 / 3)` *whatever the true aspect ratio*, as PaddleVideo and
            PaddleX do by default; `keep_aspect` keeps the ratio;
            `stretch` makes a square.
        short_side: Length of the shorter side after resizing, in pixels.
        library: Whose bilinear filter. Pillow widens the filter when it shrinks (antialias),
            OpenCV does not: the same clip differs visibly.
        long_side: Rounding of the long side under `keep_aspect`: `down`, or `nearest` (halves
            up), PaddleVideo's `do_round`.
        skip_if_short_side_fits: Leave a picture alone whose short side already has the right
            length, whatever its long side. The reference implementations do so.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    policy: Literal["fixed_4_3", "keep_aspect", "stretch"] = "fixed_4_3"
    short_side: Side = 256
    library: Literal["pillow", "opencv"] = "pillow"
    long_side: Literal["down", "nearest"] = "down"
    skip_if_short_side_fits: bool = True

    def target(self, width: int, height: int) -> tuple[int, int]:
        """Size after resizing.

        Args:
            width: Width of the decoded picture, in pixels.
            height: Height of the decoded picture, in pixels.

        Returns:
            Width and height in pixels. For 1920x1080 and `short_side` 256: (341, 256) under
            `fixed_4_3`, (455, 256) under `keep_aspect`, (256, 256) under `stretch`.
        """
        short = self.short_side
        if self.skip_if_short_side_fits and min(width, height) == short:
            return width, height
        if self.policy == "stretch":
            return short, short
        if self.policy == "fixed_4_3":
            long = int(short * 4.0 / 3.0)
        else:
            long = self._kept_long_side(short=min(width, height), long=max(width, height))
        return (short, long) if width <= height else (long, short)

    def _kept_long_side(self, *, short: int, long: int) -> int:
        """Long side under `keep_aspect`; multiplied in the order in which PaddleVideo does."""
        if self.long_side == "nearest":
            return int(long * (self.short_side / short) + 0.5)
        return int(long * self.short_side / short)


class ClipSpec(BaseModel):
    """Everything between decoded pictures and the input tensor of a network.

    The tensor is float32 of shape [N, frames, 3, crop, crop] (`NTCHW`), RGB:
    `(pixel / 255 - mean) / std` of the centre crop of the resized picture.

    Attributes:
        frames: Segments T of a clip; one frame is taken of each.
        segment_frame: Which frame of a segment, see `runtime.sampling`: `centre` (PaddleVideo's
            default), or `left` (its `select_left`, for segments of fractional length).
        resize: Geometry and filter of the resize.
        crop: Side of the centre crop, in pixels.
        crop_offset: Offset of the centre crop when the margins are uneven: `round` (halves to the
            even number) or `down`.
        views: Crops per frame that the family is tested with on whole files: 1 is the centre,
            10 the centre and the four corners, each also mirrored.
        mean: Per-channel mean in units of full scale (1.0 = 255), RGB order.
        std: Per-channel standard deviation, same units and order.
        layout: Axis order of the input tensor.
        clip_length_s: Length of the clips the network was trained on, in seconds; the default
            window.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    frames: Annotated[int, Field(ge=1, le=256)]
    resize: Resize = Resize()
    segment_frame: Literal["centre", "left"] = "centre"
    crop: Side = 224
    crop_offset: Literal["round", "down"] = "round"
    views: Literal[1, 10] = 1
    mean: Triple = IMAGENET_MEAN
    std: Triple = IMAGENET_STD
    layout: Literal["NTCHW"] = "NTCHW"
    clip_length_s: Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)] = 10.0

    @model_validator(mode="after")
    def _check(self) -> ClipSpec:
        if self.crop > self.resize.short_side:
            raise ValueError(
                f"crop {self.crop} is larger than the resized short side {self.resize.short_side}"
            )
        if min(self.std) <= 0:
            raise ValueError(f"std must be positive, got {self.std}")
        return self

    def input_shape(self, batch: int = 1) -> tuple[int, int, int, int, int]:
        """Shape of the input tensor for `batch` clips: (N, T, 3, H, W)."""
        return (batch, self.frames, 3, self.crop, self.crop)
