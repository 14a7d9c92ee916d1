"""How the figures of `edgecls bench --stream` are called, in its table and in its picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runtime.stream_bench import StreamRow

_WAYS = {"whole": "whole", "exact": "incremental", "approx": "approximate"}
_RIVALS = {"paddle": "Paddle Inference", "paddlex": "PaddleX predict"}


def title_of(row: StreamRow) -> str:
    """E.g. "openvino int8, incremental", "Paddle Inference fp32, whole"."""
    return f"{name_of(row)} {row.graph}, {_WAYS[row.way]}"


def name_of(row: StreamRow) -> str:
    """E.g. "openvino", "Paddle Inference"."""
    return _RIVALS.get(row.backend, row.backend)


def times(ratio: float | None) -> str:
    """E.g. "6.1", "0.85", "-"."""
    if ratio is None:
        return "-"
    return f"{ratio:.1f}" if ratio >= 1 else f"{ratio:.2f}"
