"""Names that the files of an INT8 graph get in its bundle."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from models.card import Variant
from models.stages import Stage

MARK = "int8"
"""Part of the name of every graph file that a calibration writes."""

BEGINNINGS = (f"model.{MARK}", f"stream.{MARK}")
"""What these names begin with: graphs, and stage graphs."""


def free_names(
    variant: Variant, suffixes: Sequence[str], *, taken: Collection[str]
) -> tuple[str, ...]:
    """Names that no file of the card has, alike but for their endings.

    E.g. `model.int8.onnx`, `stream.int8.frame.onnx` and `stream.int8.window.onnx`; where one of
    them is taken, `model.int8-2.onnx`, `stream.int8-2.frame.onnx` and so on.

    Args:
        variant: The graph, with its stages.
        suffixes: Endings of the graph and, if that is a file of its own, of its weights.
        taken: Names in use.

    Returns:
        One for each suffix, then one for each stage.
    """
    engine = "" if variant.engine == "any" else f".{variant.engine}"
    number = 1
    while True:
        stem = f"{MARK}{engine}{'' if number == 1 else f'-{number}'}"
        names = (
            *(f"model.{stem}{suffix}" for suffix in suffixes),
            *(f"stream.{stem}.{name}.onnx" for name in _stage_names(variant.stages)),
        )
        if not any(name in taken for name in names):
            return names
        number += 1


def _stage_names(stages: Sequence[Stage]) -> tuple[str, ...]:
    """`frame`, `shift1`, `shift2`, ..., `window`."""
    return tuple(
        f"shift{place}" if stage.kind == "shifted" else stage.kind
        for place, stage in enumerate(stages)
    )
