"""Settle how a network is fed: the flags, `inference.yml`, the program, the family's habit."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from convert.paddlex_config import PaddleXConfig
from convert.request import ConvertRequest
from models.errors import CheckpointError, UsageError
from models.spec import ClipSpec, Resize, Triple

PIXEL_UNITS = 255.0
"""Mean and deviation are given for pixels of 0 to 255 when one of them is above 1."""


def clip_spec(
    default: ClipSpec,
    request: ConvertRequest,
    config: PaddleXConfig | None,
    *,
    size: int = -1,
) -> ClipSpec:
    """Settle the preprocessing: flags first, then `inference.yml`, then the family's default.

    Args:
        default: What the family was tested with.
        request: The flags.
        config: The `inference.yml`; PaddleX always resizes to 4:3 with OpenCV.
        size: Side of the input where the program fixes it, else -1.

    Raises:
        UsageError: The flags contradict one another.
        CheckpointError: What the source tells is out of range.
    """
    resize, crop = default.resize, default.crop
    mean, std = default.mean, default.std
    told_crop = config.crop if config else None
    told_short_side = config.short_side if config else None
    if config is not None:
        resize = Resize(
            policy="fixed_4_3", short_side=told_short_side or resize.short_side, library="opencv"
        )
        mean, std = config.mean or mean, config.std or std
    crop = request.size or told_crop or (size if size > 0 else crop)
    short_side = request.short_side or told_short_side
    if short_side is None or (request.size and not (request.short_side or told_short_side)):
        # Keep the reference proportion of resize and crop, 256 to 224.
        short_side = round(crop * default.resize.short_side / default.crop)
    if request.short_side is None:
        short_side = max(short_side, crop)
    if crop > short_side:
        raise UsageError(
            f"The input side {crop} is larger than the short side {short_side} after the resize.",
            hint=f"--short-side {crop}",
        )
    mean, std = _statistics(request, mean, std)
    return _checked(
        {
            **default.model_dump(),
            "resize": {
                "policy": request.resize or resize.policy,
                "short_side": short_side,
                "library": request.resize_library or resize.library,
                "long_side": resize.long_side,
            },
            "crop": crop,
            "mean": mean,
            "std": std,
            "views": request.views or default.views,
            "clip_length_s": request.clip_length_s or default.clip_length_s,
        }
    )


def _checked(values: dict[str, Any]) -> ClipSpec:
    """A specification.

    Raises:
        CheckpointError: A value that the source told is out of range; flags have been checked.
    """
    try:
        return ClipSpec.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise CheckpointError(
            f"The model cannot be fed: {where or 'clip'}: {first['msg']}.",
            hint="Flags such as --frames, --size and --short-side overrule what the source tells.",
        ) from error


def _statistics(request: ConvertRequest, mean: Triple, std: Triple) -> tuple[Triple, Triple]:
    """Mean and deviation in units of full scale."""
    mean, std = request.mean or mean, request.std or std
    unit = PIXEL_UNITS if max(*map(abs, mean), *std) > 1 else 1.0
    if request.mean is None and request.std is None:
        return mean, std
    if (request.mean is None or request.std is None) and unit != 1:
        raise UsageError(
            "Mean and deviation for pixels of 0 to 255 must be given together.",
            hint="--mean 123.675,116.28,103.53 --std 58.395,57.12,57.375",
        )
    return tuple(value / unit for value in mean), tuple(value / unit for value in std)  # type: ignore[return-value]
