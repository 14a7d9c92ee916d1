"""`QuantizeLinear` and `DequantizeLinear` on arrays, for constants.

The reference implementation of the `onnx` package knows only some versions of the two.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = Sequence[NDArray[Any] | None]


def quantized(values: Values, axis: int) -> NDArray[Any] | None:
    """Round to the nearest (halves to even) multiple of the scale, and clip to the type.

    Args:
        values: The data, the scale, and the zero point if there is one.
        axis: Along which scale and zero point vary, where they are not scalars.
    """
    data, scale = values[0], values[1]
    zero = values[2] if len(values) > 2 else None
    if data is None or scale is None:
        return None
    if zero is None:
        zero = np.zeros_like(scale, np.uint8)
    limits = np.iinfo(zero.dtype)
    steps = np.rint(data / _along(scale, data.ndim, axis))
    whole = steps + _along(zero, data.ndim, axis).astype(np.float64)
    return np.asarray(np.clip(whole, limits.min, limits.max).astype(zero.dtype))


def dequantized(values: Values, axis: int) -> NDArray[Any] | None:
    """The value that an integer stands for. Arguments as of `quantized`."""
    data, scale = values[0], values[1]
    zero = values[2] if len(values) > 2 else None
    if data is None or scale is None:
        return None
    offset = 0 if zero is None else _along(zero, data.ndim, axis).astype(np.int64)
    steps = (data.astype(np.int64) - offset).astype(scale.dtype)
    return np.asarray(steps * _along(scale, data.ndim, axis))


def _along(values: NDArray[Any], rank: int, axis: int) -> NDArray[Any]:
    """One value per position on an axis, for broadcasting; a scalar as it is."""
    if values.size == 1:
        return values.reshape(())
    shape = [1] * rank
    shape[axis % rank] = values.size
    return values.reshape(shape)
